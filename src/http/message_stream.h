// One message pair, request and response, as its exchange sees it: without a protocol.
//
// A ServerStream is the client's end: we serve it. A ClientStream is the backend's end: we are its client.
// HTTP/1 is one implementation (h1/streams.h); another protocol is another implementation, and the exchange
// does not change. Operations do not suspend: `blocked` means armed, and the stream's Wake bit will come.
//
// Threading: one thread. Lifetime: longer than the exchange; views from `body()` and heads are borrowed from
// the receive buffer and valid until the next fill() or consume().
#pragma once

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "http/head.h"
#include "net/stream.h"

namespace remora {

/// Decoded body bytes that can be sent on.
struct Body {
  std::span<const asio::const_buffer> runs;
  bool last = false;  // nothing follows these runs, but trailers
  bool more = false;  // more follows at once, past the codec (splicing)
  std::size_t size() const noexcept {
    std::size_t n = 0;
    for (const auto& r : runs) n += r.size();
    return n;
  }
};

/// What a stream took of the body that it was given.
struct WriteResult {
  std::size_t bytes = 0;
  bool finished = false;  // the whole message has left, its end included
  Io io = Io::ready;
};

/// Why a stream failed, as far as its protocol can tell.
struct StreamFailure {
  enum class Kind : std::uint8_t {
    none,
    ended,      // closed by the peer in the middle of something
    reset,      // an error of the connection
    malformed,  // bytes that are not HTTP, or not allowed
    too_large,  // over a limit
  } kind = Kind::none;
  std::uint16_t code = 0;  // malformed requests: the status to answer
  const char* why = "";    // static text, for the log
};

/// A head to be sent: the fields as edited, in order. The codec adds what its framing needs.
struct OutHead {
  std::string_view method, target;  // requests
  std::uint16_t status = 0;         // responses
  std::string_view reason;
  std::vector<Field> fields;    // views; reused
  std::string_view raw_fields;  // more fields, each "Name: value\r\n"
  Framing framing;              // of the body that will follow
  bool close = false;           // this connection ends after the message
  std::string_view upgrade;     // value of Upgrade, when it is asked for or granted
  std::string_view trailers;    // names that may stand in the trailers, beside those that always may

  /// Begins another head in the same memory: no view of the last one stays.
  void clear() noexcept {
    fields.clear();
    method = target = reason = raw_fields = upgrade = trailers = {};
    status = 0;
    framing = {};
    close = false;
  }
};

/// Body bytes that pass by the codec as they are, because both ends are plain sockets (splice(2)).
class RawPath {
 public:
  virtual ~RawPath() = default;
  /// body() has bytes already: those go first.
  virtual bool holds_body() const noexcept = 0;
  /// Body bytes still to be received, if they may go on as they are and none is here yet; 0: not so.
  virtual std::uint64_t raw_left() const noexcept = 0;
  /// The same for what is still to come behind body().
  virtual std::uint64_t raw_behind() const noexcept = 0;
  /// So many of them were received past the codec.
  virtual void skip_raw(std::uint64_t) noexcept = 0;
  /// Body bytes may be written to the socket past the codec: no framing, nothing staged.
  virtual bool takes_raw() const noexcept = 0;
  /// takes_raw(), once what is staged has left.
  virtual bool takes_raw_next() const noexcept = 0;
  virtual Stream& socket() const noexcept = 0;
};

class MessageStream {
 public:
  virtual ~MessageStream() = default;
  virtual void attach(Wake&, unsigned bit) noexcept = 0;

  /// Sees to it that body bytes are there, by at most one receive. ready: body() has bytes or is last.
  virtual Io fill() = 0;
  virtual Body body() = 0;
  virtual void consume(std::size_t) = 0;
  /// After `last` was consumed; nullptr: none.
  virtual const std::vector<Field>* trailers() const noexcept = 0;
  /// From now on the peer's end is noticed. Not before the body was sent on: the receive would have only the
  /// room behind it. After that end: a reset is.
  virtual void watch() = 0;

  /// At most one gathered write: a staged head, framing and runs. `trailers` count when body.last.
  virtual WriteResult send(Body, const std::vector<Field>* trailers) = 0;
  /// The peer takes nothing more for now.
  virtual bool send_blocked() const noexcept = 0;

  /// Null: no byte may pass by the codec.
  virtual RawPath* raw_path() noexcept { return nullptr; }

  /// After 101: raw bytes both ways.
  virtual void tunnel() = 0;
  /// Half-closes a tunnel, as the other end did.
  virtual void end_sending() noexcept = 0;
  /// Asks whether the peer has ended without our noticing (an end that comes together with the last bytes
  /// raises no event of its own). One system call.
  virtual void look_for_end() noexcept = 0;

  /// The rest is not wanted or cannot come: both directions end, visibly for the peer if in mid-message.
  virtual void abort() noexcept = 0;
  virtual bool is_open() const noexcept = 0;
  /// Receiving or sending failed.
  virtual bool is_broken() const noexcept = 0;
  /// What is wrong with what came.
  virtual const StreamFailure& failure() const noexcept = 0;
};

/// The client's end.
class ServerStream : public MessageStream {
 public:
  virtual Io read_head(RequestHead&) = 0;
  virtual void put_head(const OutHead&) = 0;
  /// An interim response (1xx); does not count as the response.
  virtual void put_interim(const OutHead&) = 0;
  /// Sends what is staged (an interim response); ready when nothing is left.
  virtual Io flush() = 0;
  /// The client has really gone: its connection was reset, or broke. An end of what it sends (FIN, TLS
  /// close_notify) only says that no other request follows: it may wait for the answer all the same (RFC 9112
  /// 9.6).
  virtual bool gone() const noexcept = 0;
  /// The client has ended in the middle of its request. Asks the kernel, unless all of the request is here.
  virtual bool cut_short() = 0;
  /// Asks whether the client has reset without our noticing; then it is gone. One system call.
  virtual void look_for_reset() noexcept = 0;
  /// The request was read to its end.
  virtual bool request_complete() const noexcept = 0;
  /// More has come than this request.
  virtual bool has_more() const noexcept = 0;
  /// Over TLS.
  virtual bool is_secure() const noexcept = 0;
};

/// The backend's end. It outlives the attempts of a request, each of which gives it a connection.
class ClientStream : public MessageStream {
 public:
  /// Takes a connection, new or idle. What put_head() laid ready goes out on it.
  virtual void use(StreamRef connection, bool reused) = 0;
  /// Gives it away again; null: it had none.
  virtual StreamRef release() = 0;
  virtual bool has_connection() const noexcept = 0;
  /// It carried other requests before.
  virtual bool is_reused() const noexcept = 0;

  virtual void put_head(const OutHead&) = 0;
  /// Interim responses are returned like others; call again for the final one.
  virtual Io read_head(ResponseHead&, Method asked) = 0;
  /// A byte of the request was given to the kernel: the backend may have begun to act.
  virtual bool began() const noexcept = 0;
  virtual bool request_sent() const noexcept = 0;
  /// After a complete exchange: may carry another.
  virtual bool reusable() const noexcept = 0;
  /// How long the backend promised to keep it idle (keep_alive.h); none: it did not say.
  virtual std::optional<std::chrono::seconds> idle_promise() const noexcept = 0;
};

}  // namespace remora
