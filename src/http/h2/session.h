// Http2Session: one HTTP/2 connection: whose turn it is, and how it begins and ends. Base of both ends.
//
// nghttp2 does frames, HPACK, stream states, flow control arithmetic and the rules of messages (RFC 9113
// 8.1.1). Parts of the session do the rest: Http2Codec holds nghttp2's session, FloodGuard and IncomingBlock
// receive, Http2Sender sends, Http2Streams knows which streams have news or wait, PostedTurn gathers what
// they do, and GracefulShutdown ends it without loss.
//
// Who is resumed when. nghttp2's callbacks resume nobody, they only mark streams. Operations on a stream
// (send, consume, abort) resume nobody either. Streams are woken by receive(), by flush(), and by the turn
// that flush_soon() posts; then a woken exchange may call anything on its own stream, and end it.
//
// Sending. An operation gives its frames to nghttp2, which serializes them in its own order as long as
// there is room (sender.h). They leave with the next flush(), or in a turn posted for that, so that frames of
// many streams leave in one write. A stream that cannot go on (its window, the connection's window, or the
// socket) is stalled; when that ends, stalled streams are woken in the order of RFC 9218 10 (streams.h), as
// long as the socket takes more.
//
// The session outlives its transport: while the connection is parked it has none (release(), use()).
//
// Threading: one thread. Lifetime: longer than its streams are used. It may not be destroyed while it wakes
// streams, so not by stream_opened() and not by an exchange.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/h2/codec.h"
#include "http/h2/flood.h"
#include "http/h2/incoming_block.h"
#include "http/h2/posted_turn.h"
#include "http/h2/sender.h"
#include "http/h2/settings.h"
#include "http/h2/stream.h"
#include "http/h2/streams.h"
#include "net/loop.h"

namespace remora {

/// The codes of RFC 9113 7 that are used here.
enum class Http2Error : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  refused_stream = 7,
  cancel = 8,
  enhance_your_calm = 11,
  http_1_1_required = 13,
};

class Http2Session {
 public:
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // Transport --------------------------------------------------------------------------------------
  /// Runs on this transport from now on. Its events set `bit` of `wake`, and so does what needs the owner's
  /// attention otherwise: call receive() until it is blocked, flush(), and look at is_over() then.
  void use(TransportRef transport, EventFlags& wake, unsigned bit);
  /// Gives the transport back; null if there is none. REQUIRES: is_idle(), if the session is to go on.
  TransportRef release();

  /// Processes what has been received, or makes at most one receive and processes that; then wakes the
  /// streams concerned; flush() has to follow. ready: call it again. blocked: the bit will be set. failed:
  /// the connection is lost, or over.
  Io receive();
  /// Sends what is due, at once or, while several streams are open, with the next posted turn. If the socket
  /// takes more again, wakes stalled streams.
  void flush();
  /// Posts a turn that flushes and wakes, unless one is due.
  void flush_soon() noexcept;

  // State ------------------------------------------------------------------------------------------
  /// The connection is lost, or both ends have said all they had to say: close the transport. All streams
  /// were told.
  bool is_over() const noexcept { return over_; }
  /// No stream is open, and nothing is to be sent: the connection may be parked.
  bool is_idle() const noexcept;
  /// The preface, a frame's header or a header block has begun and is not complete: see `timeouts.header`.
  bool mid_head() const noexcept { return flood_.mid_head(); }
  /// Bytes wait for the socket, which takes no more for now: see `timeouts.write` and bytes_sent().
  bool send_blocked() const noexcept { return sender_.waits_for_socket(); }
  /// Bytes that the socket has taken so far: shows progress.
  std::uint64_t bytes_sent() const noexcept { return sender_.bytes_written(); }
  /// Streams whose owner has not done with them.
  std::size_t running() const noexcept { return running_; }

  // End --------------------------------------------------------------------------------------------
  /// Graceful end (RFC 9113 6.8), in two steps: a GOAWAY that refuses nothing yet, then, a round trip or a
  /// second later, one that names the last stream. Open streams go on; is_over() becomes true after the last.
  void shutdown();
  bool is_shutting_down() const noexcept { return sender_.shutdown().has_begun(); }
  /// Ends at once: sends GOAWAY with this code, as far as the socket takes it. All streams are lost.
  void terminate(Http2Error code) noexcept;

 protected:
  friend class Http2Stream;
  friend struct Http2Callbacks;
  friend class PostedTurn;

  /// Throws std::bad_alloc.
  Http2Session(Loop& loop, Http2End end, const Http2Settings& settings, std::size_t header_bytes,
               std::size_t headers);
  virtual ~Http2Session() = default;

  /// A request arrives on a new stream. Null: it is refused.
  virtual Http2Stream* make_stream(std::int32_t id) = 0;
  struct ReceivedHead {
    HeadBlock block;
    bool oversized = false;  // over the limits, only the method is left
    bool ends = false;       // the message has no more than its head
  };
  /// A head is complete. False: it was an interim response, so the message's head is still to come.
  virtual bool take_head(Http2Stream& stream, ReceivedHead head) = 0;
  /// The stream is gone, and its owner has done with it or never knew it.
  virtual void drop(Http2Stream& stream) noexcept = 0;
  /// Tells the stream's owner that something has happened.
  virtual void tell(Http2Stream& stream) = 0;
  /// The peer floods, and the session ends.
  virtual void tell_flood(const char* what) = 0;

  /// Drops all streams.
  void clear() noexcept;
  void reset_stream(std::int32_t id, Http2Error code) noexcept;
  /// The connection is lost for all streams. Wakes nobody yet.
  void lose() noexcept;
  /// Asks the kernel whether the peer has ended unnoticed. One system call.
  void look_for_end() noexcept;
  bool is_tls() const noexcept { return transport_ && transport_->is_tls(); }

  /// Bytes written and to be written so far: what is submitted from now on comes behind them.
  std::uint64_t bytes_submitted() const noexcept { return sender_.bytes_serialized(); }

  Loop& loop_;
  Http2Codec session_;
  Http2Streams streams_;
  std::uint32_t running_ = 0;
  bool settings_received_ = false;  // the peer's

 private:
  struct InTurn;

  // Receiving
  const char* process(std::string_view bytes);
  void consume(std::int32_t id, std::size_t n) noexcept;
  // Turns
  void posted_turn();
  void turn();
  void wake_marked();
  void tell_marked();
  void send_due();
  void wake_stalled();
  void end_if_over() noexcept;
  // Sending
  WriteResult send(Http2Stream& stream, const Body& body, const std::vector<Field>* trailers);
  // The end
  void time_is_up();  // a second after shutdown(), or without memory to post a turn
  void say_goaway() noexcept;

  TransportRef transport_;
  EventFlags* wake_ = nullptr;
  PostedTurn turn_;
  Http2Sender sender_;
  FloodGuard flood_;
  IncomingBlock incoming_;
  const std::uint32_t max_queued_;
  unsigned bit_ = 0;  // of wake_
  const Http2End end_;
  bool in_turn_ = false;
  bool told_blocked_ = false;  // the owner knows of send_blocked()
  bool may_resume_ = false;    // a window was opened, or the socket takes more
  bool over_ = false;
};

}  // namespace remora
