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
// many streams leave in one write. A body is lent to nghttp2 only for the duration of Http2Stream::send(). A
// stream that cannot go on (its window, the connection's window, or the socket) is stalled; when that ends,
// stalled streams are woken by urgency, then those not incremental by their number, then incremental ones in
// turn (RFC 9218 10), as long as the socket takes more.
//
// The session outlives its transport: while the connection is parked it has none (release(), use()).
//
// Threading: one thread. Lifetime: longer than its streams are used. It may not be destroyed while it wakes
// streams, so not by stream_opened() and not by an exchange.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

#include "http/h2/flood.h"
#include "http/h2/output.h"
#include "http/h2/settings.h"
#include "http/h2/stream.h"
#include "net/deadlines.h"
#include "net/loop.h"
#include "util/ref.h"

struct nghttp2_session;

namespace remora {

/// Codes of RFC 9113 7 that are used here.
enum class Http2Error : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  refused_stream = 7,
  cancel = 8,
  enhance_your_calm = 11,
};

class Http2Session : private DeadlineEntry {
 public:
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // Transport --------------------------------------------------------------------------------------
  /// Runs on this transport from now on. Its events set `bit` of `wake`, and so does what needs the owner's
  /// attention otherwise: call receive() and flush() then, and look at is_over().
  void use(TransportRef transport, EventFlags& wake, unsigned bit);
  /// Gives the transport back; null if there is none. REQUIRES: is_idle(), if it is to be used again.
  TransportRef release();

  /// Processes what has been received, or makes at most one receive and processes that; then wakes the
  /// streams concerned and sends what is due. ready: call it again. blocked: the bit will be set. failed: the
  /// connection is lost, or over.
  Io receive();
  /// Sends what is due. If the socket takes more again, wakes stalled streams.
  void flush();
  /// Posts a turn that flushes and wakes, unless one is due.
  void flush_soon();

  // State ------------------------------------------------------------------------------------------
  /// The connection is lost, or both ends have said all they had to say: close the transport. All streams
  /// were told.
  bool is_over() const noexcept { return over_; }
  /// No stream is open, and nothing is to be sent: the connection may be parked.
  bool is_idle() const noexcept;
  /// A header block has begun and is not complete: see `timeouts.header`.
  bool mid_head() const noexcept { return mid_head_; }
  /// The socket takes no more for now; bytes are waiting for it: see `timeouts.write` and bytes_sent().
  bool send_blocked() const noexcept;
  /// Bytes that the socket has taken so far: shows progress.
  std::uint64_t bytes_sent() const noexcept { return output_.written(); }
  /// Streams whose owner has not done with them.
  std::size_t running() const noexcept { return running_; }

  // End --------------------------------------------------------------------------------------------
  /// Graceful end (RFC 9113 6.8), in two steps: a GOAWAY that names no stream, then, a round trip or a second
  /// later, one that names the last stream. Open streams go on; is_over() becomes true after the last one.
  void shutdown();
  bool is_shutting_down() const noexcept { return shutdown_ != Shutdown::none; }
  /// Ends at once: sends GOAWAY with this code, as far as the socket takes it. All streams are lost.
  void terminate(Http2Error code);

 protected:
  using MarkedList = boost::intrusive::list<
      Http2Stream,
      boost::intrusive::base_hook<boost::intrusive::list_base_hook<
          boost::intrusive::tag<MarkedTag>, boost::intrusive::link_mode<boost::intrusive::auto_unlink>>>,
      boost::intrusive::constant_time_size<false>>;
  using StalledList = boost::intrusive::list<
      Http2Stream,
      boost::intrusive::base_hook<boost::intrusive::list_base_hook<
          boost::intrusive::tag<StalledTag>, boost::intrusive::link_mode<boost::intrusive::auto_unlink>>>,
      boost::intrusive::constant_time_size<false>>;

  enum class Shutdown : std::uint8_t { none, noticed, said };
  class Posted;
  friend class Http2Stream;

  Http2Session(Loop& loop, const Http2Settings& settings, std::size_t preface);
  ~Http2Session() override;
  /// Tells the stream's owner what has happened to it.
  virtual void tell(Http2Stream& stream) = 0;
  void expired() override;  // a second after shutdown()

  Loop& loop_;
  const Http2Settings settings_;
  nghttp2_session* session_ = nullptr;
  TransportRef transport_;
  EventFlags* wake_ = nullptr;
  unsigned bit_ = 0;
  Ref<Posted> posted_;
  Http2Output output_;
  FloodGuard flood_;
  HeadCollector head_;
  MarkedList marked_;
  StalledList stalled_;
  std::size_t running_ = 0;
  Shutdown shutdown_ = Shutdown::none;
  bool mid_head_ = false, over_ = false;
};

}  // namespace remora
