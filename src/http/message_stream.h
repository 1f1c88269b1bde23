// Protocol-neutral interface to one message pair (request and response), as its exchange sees it.
//
// A ServerStream is the client's end: we are the server. A ClientStream is the backend's end: we are the
// client. HTTP/1 is one implementation (h1/streams.h); another protocol would be another implementation,
// without a change to the exchange. Operations do not suspend: `blocked` means armed, and the stream's
// EventFlags bit will be set.
//
// Threading: one thread. Lifetime: longer than the exchange. A request head is valid until the connection's
// next request. A response head and views from `body()` are borrowed from the receive buffer, and valid until
// the next fill() or consume().
#pragma once

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "net/transport.h"

namespace remora {

/// Decoded body bytes, ready to be forwarded.
struct Body {
  std::span<const asio::const_buffer> runs;
  bool last = false;  // nothing but trailers follows these runs
  bool more = false;  // more follows at once, bypassing the codec (splicing)
  std::size_t size() const noexcept {
    std::size_t n = 0;
    for (const auto& r : runs) n += r.size();
    return n;
  }
};

/// How much a stream took of the body it was given.
struct WriteResult {
  std::size_t bytes = 0;
  bool finished = false;  // the whole message was sent, including its end
  Io io = Io::ready;
};

/// Why a stream failed, as far as the protocol can tell.
struct StreamFailure {
  enum class Kind : std::uint8_t {
    none,
    ended,           // closed by the peer in mid-message
    reset,           // connection error
    malformed,       // invalid or disallowed HTTP
    too_large,       // exceeds a limit
    refused,         // the backend says that it did not act on the request
    http1_required,  // likewise: it wants to be asked by HTTP/1.1
  } kind = Kind::none;
  std::uint16_t code = 0;  // malformed requests: the status of the local reply
  const char* why = "";    // static text for the log
};

/// Body bytes that bypass the codec unchanged, because both ends are plain sockets (splice(2)).
class RawPath {
 public:
  /// Bodies from this size on are spliced. Of 32 and 48 KiB, spliced bodies cost as much CPU time as copied
  /// ones (0.9 to 1.1 times, with 1, 8, 32, 64 and 256 connections).
  static constexpr std::uint64_t worth_splicing = 48 * 1024;

  virtual ~RawPath() = default;
  /// body() has bytes: they must be sent first.
  virtual bool holds_body() const noexcept = 0;
  /// Body bytes still to be received, if they may bypass the codec and none has been received yet; otherwise
  /// 0.
  virtual std::uint64_t raw_left() const noexcept = 0;
  /// The same for the bytes behind body().
  virtual std::uint64_t raw_behind() const noexcept = 0;
  /// Records body bytes that were received past the codec.
  virtual void skip_raw(std::uint64_t) noexcept = 0;
  /// Body bytes may be written directly to the socket: no framing, and nothing staged.
  virtual bool takes_raw() const noexcept = 0;
  /// takes_raw() will be true once the staged bytes are sent.
  virtual bool takes_raw_next() const noexcept = 0;
  virtual Transport& socket() const noexcept = 0;
};

class MessageStream {
 public:
  virtual ~MessageStream() = default;
  virtual void attach(EventFlags&, unsigned bit) noexcept = 0;

  /// Gets body bytes, with at most one receive. ready: body() has bytes or is last.
  virtual Io fill() = 0;
  virtual Body body() = 0;
  virtual void consume(std::size_t) = 0;
  /// The trailers, after `last` was consumed; nullptr if there are none.
  virtual const std::vector<Field>* trailers() const noexcept = 0;
  /// From now on, notices when the peer ends; after that, a reset. Call it only after the body was
  /// forwarded: the receive would have only the room behind the body.
  virtual void watch() = 0;

  /// At most one gathered write: staged head, framing and runs. `trailers` are sent if body.last.
  virtual WriteResult send(Body, const std::vector<Field>* trailers) = 0;
  /// The socket accepts no more bytes for now.
  virtual bool send_blocked() const noexcept = 0;

  /// Null: bytes cannot bypass the codec.
  virtual RawPath* raw_path() noexcept { return nullptr; }

  /// After 101: raw bytes in both directions.
  virtual void tunnel() = 0;
  /// Half-closes a tunnel after the other end did.
  virtual void end_sending() noexcept = 0;
  /// Asks the kernel whether the peer has ended unnoticed: an end that arrives together with the last bytes
  /// raises no event of its own. One system call.
  virtual void look_for_end() noexcept = 0;

  /// Aborts both directions, in a way that the peer can detect if in mid-message.
  virtual void abort() noexcept = 0;
  virtual bool is_open() const noexcept = 0;
  /// Receiving or sending failed.
  virtual bool is_broken() const noexcept = 0;
  /// Why receiving failed.
  virtual const StreamFailure& failure() const noexcept = 0;
  /// The connection carries no other message after this one: the peer said so in the head that was read, or
  /// ours says so. Known once a head was read or put.
  virtual bool closes() const noexcept = 0;
};

/// The client's end.
class ServerStream : public MessageStream {
 public:
  virtual Io read_head(RequestHead&) = 0;
  virtual void put_head(const OutHead&) = 0;
  /// An interim response (1xx); does not count as the response.
  virtual void put_interim(const OutHead&) = 0;
  /// Sends the staged bytes (an interim response); ready when none are left.
  virtual Io flush() = 0;
  /// The client is gone: its connection was reset or broke. An end of stream (FIN, TLS close_notify) only
  /// means that no further request follows: the client may still wait for the response (RFC 9112 9.6).
  virtual bool gone() const noexcept = 0;
  /// The client ended its stream in mid-request. Asks the kernel, unless the whole request was received.
  virtual bool cut_short() = 0;
  /// Asks the kernel whether the client has reset the connection unnoticed; if so, gone() becomes true. One
  /// system call.
  virtual void look_for_reset() noexcept = 0;
  /// The whole request was read.
  virtual bool request_complete() const noexcept = 0;
  /// Bytes behind this request were received.
  virtual bool has_more() const noexcept = 0;
  /// Over TLS.
  virtual bool is_secure() const noexcept = 0;
  /// As abort(), but because we do not want to go on with it, not because of a fault.
  virtual void cancel() noexcept { abort(); }
  /// HTTP/2: ends this message without a response. The client is to repeat the request by HTTP/1.1 (RFC 9113
  /// 7, HTTP_1_1_REQUIRED).
  virtual void require_http1() noexcept {}
};

/// The backend's end of one attempt after the other (of one, if its connection is shared).
class ClientStream : public MessageStream {
 public:
  /// Takes a connection, new or idle. Not for a stream of a connection that several requests share.
  virtual void use(TransportRef connection, bool reused) = 0;
  /// The attempt is over. Returns the connection; null if it has none, or if it is shared, and then the
  /// stream may not be used any longer.
  virtual TransportRef release() = 0;
  virtual bool has_connection() const noexcept = 0;
  /// The connection carried other requests before.
  virtual bool is_reused() const noexcept = 0;

  virtual void put_head(const OutHead&) = 0;
  /// Returns interim responses too; call again for the final one.
  virtual Io read_head(ResponseHead&, Method asked) = 0;
  /// At least one byte of the request was sent: the backend may have acted on it.
  virtual bool began() const noexcept = 0;
  virtual bool request_sent() const noexcept = 0;
  /// After a complete exchange: the connection may carry another.
  virtual bool reusable() const noexcept = 0;
  /// How long the backend promised to keep the connection idle (keep_alive.h); none: it did not say.
  virtual std::optional<std::chrono::seconds> idle_promise() const noexcept = 0;
};

}  // namespace remora
