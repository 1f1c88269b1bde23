// The client's end of HTTP/2: requests to a backend, each on a stream of its own.
//
//   session.use(transport, wake, EventFlags::backend);
//   session.flush();                                  // preface and SETTINGS
//   ... on each event, receive() until it is blocked; then, if session.has_room():
//   Http2ClientStream& stream = session.open();
//   stream.attach(wake, bit); stream.put_head(head); stream.send(...); stream.read_head(...);
//   stream.release();                                 // the session may destroy it now
//
// The server's SETTINGS come first (RFC 9113 3.4): until then nothing is known to speak HTTP/2 there, and
// has_room() is false.
//
// Threading and who is resumed when: see session.h.
#pragma once

#include <string>
#include <vector>

#include "http/h2/session.h"
#include "http/message_stream.h"

namespace remora {

class Http2ClientSession;

/// One request and its response. Made by its session, which owns it until both nghttp2 has closed it and
/// release() was called.
class Http2ClientStream final : public ClientStream, public Http2Stream {
 public:
  static void* operator new(std::size_t) { return Spare<Http2ClientStream>::take(); }
  static void operator delete(void* p) noexcept { Spare<Http2ClientStream>::give_back(p); }

  /// Never: its session has the connection.
  void use(TransportRef, bool) override {}
  /// The owner has done with the stream. Returns null: the connection stays with its session.
  TransportRef release() override;
  bool has_connection() const noexcept override { return true; }
  bool is_reused() const noexcept override { return reused_; }

  void attach(EventFlags& wake, unsigned bit) noexcept override { attach_to(wake, bit); }
  /// Fields about the connection are left out. A tunnel is asked for by extended CONNECT (RFC 8441), without
  /// Sec-WebSocket-Key.
  void put_head(const OutHead&) override;
  WriteResult send(Body body, const std::vector<Field>* trailers) override {
    return send_body(body, trailers);
  }
  bool send_blocked() const noexcept override { return is_stalled(); }
  bool began() const noexcept override;
  bool request_sent() const noexcept override { return all_sent() || (asks_tunnel_ && !tunnels_); }
  /// A 200 to an extended CONNECT becomes a 101, with the fields that HTTP/1.1 has then.
  Io read_head(ResponseHead&, Method asked) override;
  Io fill() override;
  Body body() override { return received_body(); }
  void consume(std::size_t n) override { consume_body(n); }
  const std::vector<Field>* trailers() const noexcept override { return received_trailers(); }
  void watch() override {}
  void tunnel() override { tunnels_ = true; }
  void end_sending() noexcept override {}  // the last DATA ended the stream
  void look_for_end() noexcept override;
  /// RST_STREAM(CANCEL), unless the message pair is complete.
  void abort() noexcept override;
  bool is_open() const noexcept override { return !aborted_ && !lost_; }
  bool is_broken() const noexcept override { return lost_ || (closed_ && !(all_sent() && all_received())); }
  const StreamFailure& failure() const noexcept override { return failure_; }
  bool closes() const noexcept override { return false; }
  bool reusable() const noexcept override;
  std::optional<std::chrono::seconds> idle_promise() const noexcept override { return std::nullopt; }

 private:
  friend class Http2ClientSession;
  Http2ClientStream(Http2ClientSession& session, bool reused) noexcept;
  ~Http2ClientStream() override = default;
  Http2ClientSession& client() const noexcept;
  Io fail(StreamFailure::Kind kind, const char* why) noexcept;
  Io fail_without_head() noexcept;
  Io read_block(ResponseHead& head, Method asked, bool ends);
  Io read_granted(ResponseHead& head);
  void choose_tunnel(const OutHead& head);

  HeadBlock head_, shown_;           // the final head; the one that was read last
  std::vector<HeadBlock> interims_;  // not read yet
  std::uint64_t begins_at_ = 0;      // bytes of the session before the request
  std::string protocol_, accept_;    // of a tunnel: what it speaks; its Sec-WebSocket-Accept
  const bool reused_;
  bool oversized_ = false;      // a head exceeded the limits
  bool ended_by_head_ = false;  // the response is its head alone
  bool asks_tunnel_ = false;    // extended CONNECT
  bool tunnels_ = false;        // tunnel() was called
};

class Http2ClientSession final : public Http2Session {
 public:
  class Owner {
   public:
    /// A stream is gone: there may be room for another. `silent`: it was given up although its request was
    /// sent, without a response head. Is called by operations on streams too.
    virtual void stream_ended(bool silent) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  /// `secure`: over TLS, so the scheme is https. Throws std::bad_alloc.
  Http2ClientSession(Loop& loop, const Http2Settings& settings, bool secure, Owner& owner);
  /// REQUIRES: each stream was released.
  ~Http2ClientSession() override;

  /// The server's SETTINGS have arrived.
  bool is_ready() const noexcept { return settings_received_; }
  /// How many streams the server allows at once; at most our own limit.
  std::uint32_t max_streams() const noexcept;
  /// open() is possible.
  bool has_room() const noexcept { return takes_requests() && open_ < max_streams(); }
  /// The server has not said that it goes away (GOAWAY), and neither have we.
  bool takes_requests() const noexcept;
  /// The server knows extended CONNECT.
  bool allows_tunnels() const noexcept;
  /// A stream for one request. REQUIRES: has_room(). Throws std::bad_alloc.
  Http2ClientStream& open();
  using Http2Session::look_for_end;
  /// Asks the server for a sign of life.
  void ping() noexcept;

 private:
  friend class Http2ClientStream;
  Http2Stream* make_stream(std::int32_t) override { return nullptr; }  // pushed: never
  bool take_head(Http2Stream& stream, ReceivedHead head) override;
  void drop(Http2Stream& stream) noexcept override;
  void tell(Http2Stream& stream) override;
  void tell_flood(const char*) override {}
  void submit(Http2ClientStream& stream, const OutHead& head);
  void done(Http2ClientStream& stream) noexcept;
  bool knows(const Http2ClientStream& stream) const noexcept;

  Owner& owner_;
  const std::uint32_t max_streams_;
  const bool secure_;
  std::uint32_t open_ = 0;  // streams, including those that nghttp2 still has to close
  bool carried_ = false;    // a request before
};

}  // namespace remora
