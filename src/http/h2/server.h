// The server's end of HTTP/2: requests from a client, each on a stream of its own.
//
//   class Owner : Http2ServerSession::Owner {
//     void stream_opened(Http2ServerStream& stream) override;   // start an exchange, or queue it
//   };
//   session.use(transport, wake, EventFlags::client);
//   for (;;) {
//     while (session.receive() == Io::ready && turn not spent) {}
//     if (session.is_over()) break;
//     wait for the bit
//   }
//
// Threading and who is resumed when: see session.h.
#pragma once

#include <cstddef>
#include <string_view>

#include "http/h2/session.h"
#include "http/message_stream.h"
#include "remora/config.h"

namespace remora {

class Http2ServerSession;

/// One request and its response. Made by its session, which owns it until both nghttp2 has closed it and the
/// owner has called done().
class Http2ServerStream final : public ServerStream, public Http2Stream {
 public:
  static void* operator new(std::size_t) { return Spare<Http2ServerStream>::take(); }
  static void operator delete(void* p) noexcept { Spare<Http2ServerStream>::give_back(p); }

  void attach(EventFlags&, unsigned bit) noexcept override;
  /// Never blocks: the head came before stream_opened(). The head is valid until done().
  Io read_head(RequestHead&) override;
  Io fill() override;
  Body body() override;
  void consume(std::size_t) override;
  const std::vector<Field>* trailers() const noexcept override;
  void watch() override {}
  /// A 101 becomes 200 (RFC 8441 5). Fields about the connection are left out. `close` is heeded only after a
  /// request that was read whole: then the connection shuts down gracefully.
  void put_head(const OutHead&) override;
  void put_interim(const OutHead&) override;
  WriteResult send(Body body, const std::vector<Field>* trailers) override;
  Io flush() override;
  bool send_blocked() const noexcept override;
  void tunnel() override;
  void end_sending() noexcept override {}  // the last DATA ended the stream
  void look_for_end() noexcept override {}
  void look_for_reset() noexcept override;
  /// RST_STREAM.
  void abort() noexcept override;
  bool is_open() const noexcept override;
  bool is_broken() const noexcept override;
  const StreamFailure& failure() const noexcept override;
  bool closes() const noexcept override { return false; }
  bool gone() const noexcept override;
  bool cut_short() override { return false; }
  bool request_complete() const noexcept override;
  bool has_more() const noexcept override { return false; }
  bool is_secure() const noexcept override;

 private:
  friend class Http2ServerSession;
  Http2ServerStream(Http2ServerSession& session, std::int32_t id) noexcept;
  ~Http2ServerStream() override = default;
  Http2ServerSession& server() const noexcept;

  HeadBlock head_;
  bool oversized_ = false;    // the head exceeded the limits and was dropped
  bool head_read_ = false;    // the owner began to serve it
  bool asks_tunnel_ = false;  // extended CONNECT
  bool tunnels_ = false;      // tunnel() was called
  bool is_head_ = false;      // the method is HEAD
};

class Http2ServerSession final : public Http2Session {
 public:
  /// Is called by receive() only, never by operations on streams.
  class Owner {
   public:
    /// A request head was received. Serve it, at once or later, and call done() in the end, at once or later.
    virtual void stream_opened(Http2ServerStream&) = 0;
    /// A malformed request was refused by RST_STREAM, and no stream was opened.
    virtual void head_refused(const char* why) = 0;
    /// The client floods (`what`: static text), and the session ends.
    virtual void flooded(const char* what) = 0;

   protected:
    ~Owner() = default;
  };

  /// The transport's first bytes are the client's preface. Throws std::bad_alloc.
  Http2ServerSession(Loop& loop, const Http2Settings& settings, const config::ListenerLimits& limits,
                     Owner& owner);
  /// REQUIRES: done() was called for each opened stream.
  ~Http2ServerSession() override;

  /// The owner has done with the stream and will not touch it again. A response that is not finished is
  /// reset with INTERNAL_ERROR; a request that is not complete, with NO_ERROR (RFC 9113 8.1); a request whose
  /// head was never read, with REFUSED_STREAM: it may be sent again elsewhere.
  void done(Http2ServerStream&) noexcept;

 private:
  friend class Http2ServerStream;
  void tell(Http2Stream& stream) override;

  Owner& owner_;
  const config::ListenerLimits limits_;
};

}  // namespace remora
