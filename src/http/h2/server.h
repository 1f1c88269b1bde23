// The server's end of HTTP/2: requests from a client, each on a stream of its own.
//
//   struct Connection : Http2ServerSession::Owner {
//     void stream_opened(Http2ServerStream& stream) override;   // start an exchange, or queue it
//   };
//   session.use(transport, wake, EventFlags::client);
//   for (;;) {
//     while (session.receive() == Io::ready && there is time) {}
//     session.flush();
//     if (session.is_over()) break;
//     wait for the bit
//   }
//
// Threading and who is resumed when: see session.h. Lifetime: a stream belongs to its session, which deletes
// it when both nghttp2 has closed it and the owner has called done().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "http/h2/session.h"
#include "http/h2/submit.h"
#include "http/message_stream.h"
#include "remora/config.h"

namespace remora {

class Http2ServerSession;

/// One request and its response.
class Http2ServerStream final : public ServerStream, public Http2Stream {
 public:
  static void* operator new(std::size_t) { return Spare<Http2ServerStream>::take(); }
  static void operator delete(void* p) noexcept { Spare<Http2ServerStream>::give_back(p); }
  Http2ServerStream(Http2ServerSession& session, std::int32_t id) noexcept;

  void attach(EventFlags& wake, unsigned bit) noexcept override { attach_to(wake, bit); }
  /// Never blocks: the head came before stream_opened(). The head is valid until done().
  Io read_head(RequestHead&) override;
  /// Never receives: the session does.
  Io fill() override;
  Body body() override;
  void consume(std::size_t n) override { consume_body(n); }
  const std::vector<Field>* trailers() const noexcept override { return received_trailers(); }
  void watch() override {}
  /// A 101 becomes 200 (RFC 8441 5). Fields about the connection are left out. `close` is heeded only after a
  /// request that was read whole: then the connection shuts down gracefully.
  void put_head(const OutHead&) override;
  void put_interim(const OutHead&) override;
  WriteResult send(Body body, const std::vector<Field>* trailers) override {
    return send_body(body, trailers);
  }
  /// Never blocks: an interim response needs no place in a window.
  Io flush() override;
  /// Waits for the socket or for a window.
  bool send_blocked() const noexcept override { return is_stalled(); }
  void tunnel() override;
  void end_sending() noexcept override {}  // the last DATA frame ended our side
  void look_for_end() noexcept override;
  void look_for_reset() noexcept override { look_for_end(); }
  /// RST_STREAM: CANCEL before the response, INTERNAL_ERROR in it.
  void abort() noexcept override { reset(); }
  void cancel() noexcept override { reset(Http2Error::cancel); }
  void require_http1() noexcept override { reset(Http2Error::http_1_1_required); }
  bool is_open() const noexcept override { return !aborted_ && !is_lost(); }
  bool is_broken() const noexcept override { return is_lost(); }
  const StreamFailure& failure() const noexcept override { return failure_; }
  /// The connection goes on without this stream.
  bool closes() const noexcept override { return false; }
  bool gone() const noexcept override { return is_lost(); }
  bool cut_short() override { return false; }  // RST_STREAM says so, and is never overlooked
  bool request_complete() const noexcept override;
  bool has_more() const noexcept override { return false; }
  bool is_secure() const noexcept override;

 private:
  friend class Http2ServerSession;
  ~Http2ServerStream() override = default;
  Http2ServerSession& server() const noexcept;
  Io refuse(StreamFailure::Kind kind, std::uint16_t code, const char* why) noexcept;
  Io read_tunnel(RequestHead& head, std::string_view protocol);
  void submit(const OutHead& head, std::uint16_t status, Follows follows);

  HeadBlock head_;
  bool oversized_ = false;  // the head exceeded the limits and was dropped
  bool ended_by_head_ = false;
  bool head_read_ = false;    // the owner began to serve it
  bool asks_tunnel_ = false;  // extended CONNECT
  bool tunnels_ = false;      // tunnel() was called
  bool bodiless_ = false;     // a response to HEAD
};

class Http2ServerSession final : public Http2Session {
 public:
  /// Is called by receive(), flush() and posted turns, never by operations on streams. Must not throw.
  class Owner {
   public:
    /// A request head was received. Serve it, at once or later, and call done() in the end, at once or later.
    virtual void stream_opened(Http2ServerStream&) = 0;
    /// A malformed request was refused by RST_STREAM, and no stream was opened. `why`: static text.
    virtual void head_refused(const char* why) = 0;
    /// The client floods (`what`: static text), and the session ends.
    virtual void flooded(const char* what) = 0;

   protected:
    ~Owner() = default;
  };

  /// The first bytes on the transport are the client's preface. Throws std::bad_alloc.
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
  Http2Stream* make_stream(std::int32_t id) override;
  bool take_head(Http2Stream& stream, ReceivedHead head) override;
  void drop(Http2Stream& stream) noexcept override;
  void tell(Http2Stream& stream) override;
  void tell_flood(const char* what) override { owner_.flooded(what); }

  Owner& owner_;
  // Not all of the listener's limits: each connection keeps these while it is idle.
  const std::optional<std::uint64_t> max_body_;
  const std::uint32_t max_target_, max_streams_;
};

}  // namespace remora
