// The two ends of one exchange, without a protocol: what the exchange talks to.
//
// HTTP/1 is one implementation (http1.h); HTTP/2 would be another, and the exchange would not change.
// Operations do not suspend: `blocked` means armed, and the side's Wake bit will come.
//
// Threading: one thread. Lifetime: of the exchange; views from `body()` and heads are borrowed from the
// side's receive buffer and valid until the next fill() or consume().
#pragma once

#include <boost/asio/buffer.hpp>
#include <cstdint>
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
  bool more = false;  // more follows at once, past this side (splicing)
  std::size_t size() const noexcept {
    std::size_t n = 0;
    for (const auto& r : runs) n += r.size();
    return n;
  }
};

/// What a side took of the body that it was given.
struct Taken {
  std::size_t bytes = 0;
  bool finished = false;  // the whole message has left, its end included
  Io io = Io::ready;
};

/// Why a side failed, as far as its protocol can tell.
struct SideFailure {
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

class Side {
 public:
  virtual ~Side() = default;
  virtual void attach(Wake&, unsigned bit) noexcept = 0;
  /// Sees to it that body bytes are there, by at most one receive. ready: body() has bytes or is last.
  virtual Io fill() = 0;
  virtual Body body() = 0;
  virtual void consume(std::size_t) = 0;
  /// After `last` was consumed; nullptr: none.
  virtual const std::vector<Field>* trailers() const noexcept = 0;
  /// At most one gathered write: a staged head, framing and runs. `trailers` count when body.last.
  virtual Taken send(Body, const std::vector<Field>* trailers) = 0;
  /// body() has bytes already.
  virtual bool holds_body() const noexcept = 0;
  /// Body bytes still to be received, if they may go on as they are and none is here yet (splicing); 0: not
  /// so.
  virtual std::uint64_t raw_left() const noexcept = 0;
  /// The same for what is still to come behind body().
  virtual std::uint64_t raw_behind() const noexcept = 0;
  /// So many of them were received past this side.
  virtual void skip_raw(std::uint64_t) noexcept = 0;
  /// Body bytes may be written to the stream past this side: no framing, nothing staged.
  virtual bool takes_raw() const noexcept = 0;
  virtual Stream& stream() const noexcept = 0;
  /// After 101: raw bytes both ways.
  virtual void tunnel() = 0;
  /// The rest is not wanted or cannot come: both directions end, visibly for the peer if in mid-message.
  virtual void abort() noexcept = 0;
  virtual const SideFailure& failure() const noexcept = 0;
};

class ClientSide : public Side {
 public:
  virtual Io read_head(RequestHead&) = 0;
  virtual void put_head(const OutHead&) = 0;
  /// An interim response (1xx); does not count as the response.
  virtual void put_interim(const OutHead&) = 0;
  /// The client has really gone: its connection was reset, or broke. An end of what it sends (FIN, TLS
  /// close_notify) only says that no other request follows: it may wait for the answer all the same (RFC 9112
  /// 9.6).
  virtual bool gone() const noexcept = 0;
};

class BackendSide : public Side {
 public:
  virtual void put_head(const OutHead&) = 0;
  /// Interim responses are returned like others; call again for the final one.
  virtual Io read_head(ResponseHead&, Method asked) = 0;
  /// After a complete exchange: may carry another.
  virtual bool reusable() const noexcept = 0;
};

}  // namespace remora
