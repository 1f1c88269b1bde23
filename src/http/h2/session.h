// Http2Session: one HTTP/2 connection: an nghttp2 session, its transport, and its output. Base of both ends.
//
// nghttp2 does frames, HPACK, stream states, flow control arithmetic and the rules of messages (RFC 9113
// 8.1.1). This class does memory, sending order and lifetimes.
//
// Who is resumed when. nghttp2's callbacks resume nobody, they only mark streams. Operations on a stream
// (send, consume, abort) resume nobody either. Streams are woken by receive(), by flush(), and by the turn
// that flush_soon() posts; then a woken exchange may call anything on its own stream, and end it.
//
// Sending. An operation gives its frames to nghttp2, which serializes them in its own order as long as
// there is room (output.h). They leave with the next flush(), or in a turn posted for that, so that frames of
// many streams leave in one write. A body is lent to nghttp2 only for the duration of a stream's send(). A
// stream that cannot go on (its window, the connection's window, or the socket) is stalled; when that ends,
// stalled streams are woken by urgency, then those not incremental by their number, then incremental ones in
// turn (RFC 9218 10), as long as the socket takes more.
//
// The session outlives its transport: while the connection is parked it has none (release(), use()).
//
// Threading: one thread. Lifetime: longer than its streams are used. It may not be destroyed while it wakes
// streams, so not by stream_opened() and not by an exchange.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "http/h2/flood.h"
#include "http/h2/output.h"
#include "http/h2/pages.h"
#include "http/h2/settings.h"
#include "http/h2/stream.h"
#include "net/deadlines.h"
#include "net/loop.h"
#include "util/ref.h"

struct nghttp2_session;

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

/// A pseudo-header field (RFC 9113 8.3): name and value.
using Http2Pseudo = std::pair<std::string_view, std::string_view>;

class Http2Session : private DeadlineEntry {
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
  bool send_blocked() const noexcept;
  /// Bytes that the socket has taken so far: shows progress.
  std::uint64_t bytes_sent() const noexcept { return output_.written(); }
  /// Streams whose owner has not done with them.
  std::size_t running() const noexcept { return running_; }

  // End --------------------------------------------------------------------------------------------
  /// Graceful end (RFC 9113 6.8), in two steps: a GOAWAY that refuses nothing yet, then, a round trip or a
  /// second later, one that names the last stream. Open streams go on; is_over() becomes true after the last.
  void shutdown();
  bool is_shutting_down() const noexcept { return shutdown_ != Shutdown::none; }
  /// Ends at once: sends GOAWAY with this code, as far as the socket takes it. All streams are lost.
  void terminate(Http2Error code) noexcept;

 protected:
  friend class Http2Stream;
  friend struct Http2Callbacks;
  enum class End : std::uint8_t { server, client };

  /// Throws std::bad_alloc.
  Http2Session(Loop& loop, End end, const Http2Settings& settings, std::size_t header_bytes,
               std::size_t headers);
  ~Http2Session() override;

  /// A request arrives on a new stream. Null: it is refused.
  virtual Http2Stream* make_stream(std::int32_t id) = 0;
  /// A head is complete, in `block`; `oversized`: over the limits, only the method is left. False: it was an
  /// interim response, so the message's head is still to come.
  virtual bool take_head(Http2Stream& stream, HeadBlock block, bool oversized) = 0;
  /// The stream is gone, and its owner has done with it or never knew it.
  virtual void drop(Http2Stream& stream) noexcept = 0;
  /// Tells the stream's owner that something has happened.
  virtual void tell(Http2Stream& stream) = 0;
  /// The peer floods, and the session ends.
  virtual void tell_flood(const char* what) = 0;

  void add(Http2Stream& stream) noexcept { streams_.push_back(stream); }
  /// Drops all streams.
  void clear() noexcept;
  void mark(Http2Stream& stream) noexcept;
  /// Forgets what the stream holds, and consumes its unread bytes.
  void release_memory(Http2Stream& stream) noexcept;
  void reset_stream(std::int32_t id, Http2Error code) noexcept;
  enum class Follows : std::uint8_t { nothing, body, another_head };
  /// Gives nghttp2 a response head with this status, without fields about the connection.
  void submit_response(Http2Stream& stream, const OutHead& head, std::uint16_t status, Follows follows);
  /// Gives nghttp2 a request head: the pseudo-header fields, then those of `head` that HTTP/2 has. `body`:
  /// DATA follows. Sets the stream's number.
  void submit_request(Http2Stream& stream, std::span<const Http2Pseudo> pseudo, const OutHead& head,
                      bool body);
  /// The connection is lost for all streams. Wakes nobody yet.
  void lose() noexcept;
  /// Asks the kernel whether the peer has ended unnoticed. One system call.
  void look_for_end() noexcept;
  bool is_tls() const noexcept { return transport_ && transport_->is_tls(); }

  /// Bytes written and to be written so far: what is submitted from now on comes behind them.
  std::uint64_t bytes_submitted() const noexcept { return output_.written() + output_.pending(); }

  Loop& loop_;
  std::size_t running_ = 0;
  nghttp2_session* session_ = nullptr;
  bool settings_received_ = false;  // the peer's

 private:
  class Posted;
  struct InTurn;
  enum class Shutdown : std::uint8_t { none, noticed, said };
  /// A body on loan from a stream's send().
  struct Loan {
    Http2Stream* stream = nullptr;
    std::span<const asio::const_buffer> runs;
    std::size_t offset = 0;  // into the first run
    std::size_t left = 0, taken = 0;
    bool last = false, direct = false;
    const std::vector<Field>* trailers = nullptr;
  };

  void expired() override;  // a second after shutdown(), or without memory to post a turn
  void say_goaway() noexcept;
  void process(std::string_view bytes);
  void wake_marked();
  void turn();
  bool post_turn() noexcept;
  void submit_goaway() noexcept;
  void posted_turn();
  void tell_marked();
  void send_due();
  bool pull() noexcept;
  bool write_out() noexcept;
  void wake_stalled();
  void end_if_over() noexcept;
  void flooded(const char* what);
  WriteResult send(Http2Stream& stream, const Body& body, const std::vector<Field>* trailers);
  void stall(Http2Stream& stream) noexcept;
  void send_loan() noexcept;
  void pass_loan(std::size_t bytes);
  bool has_room() const noexcept;
  void consume(std::int32_t id, std::size_t n) noexcept;

  const std::size_t header_bytes_, headers_, max_queued_;
  const End end_;
  TransportRef transport_;
  EventFlags* wake_ = nullptr;
  unsigned bit_ = 0;
  Ref<Posted> posted_;
  Http2Pages pages_;
  Http2Output output_;
  FloodGuard flood_;
  std::unique_ptr<HeadCollector> collector_;  // from the first header block until the connection is parked
  Http2Stream* collecting_ = nullptr;         // whose header block is being received
  Http2Stream::List<AnyTag> streams_;
  Http2Stream::List<MarkedTag> marked_;
  Http2Stream::List<StalledTag> stalled_;
  Loan loan_;
  Shutdown shutdown_ = Shutdown::none;
  bool ping_due_ = false;    // behind the first GOAWAY
  bool goaway_due_ = false;  // the second, with the number of the last stream at that moment
  const char* flood_of_fields_ = nullptr;
  bool in_turn_ = false, post_pending_ = false;
  bool polled_ = false;          // a posted turn has waited for other streams' events
  bool socket_blocked_ = false;  // at the last write
  bool told_blocked_ = false;    // the owner knows of send_blocked()
  bool may_resume_ = false;      // a window was opened, or the socket takes more
  bool over_ = false;
};

}  // namespace remora
