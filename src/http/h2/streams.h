// Http2Streams: the streams of one session, in three lists: all of them, those whose owner is to be told that
// something has happened, and those that wait until they can send.
//
// Threading: one thread. Lifetime: that of its session. It owns no stream: one that is destroyed leaves the
// lists.
#pragma once

#include <cstdint>

#include "http/h2/fields.h"
#include "http/h2/stream.h"

struct nghttp2_session;

namespace remora {

/// What decides when a stream may send, while several wait.
struct SendingPlace {
  StreamPriority priority;
  std::int32_t id = 0;
};
/// The order of RFC 9218 10: by urgency, then those not incremental by their number, then incremental ones,
/// of which none goes before another: they take turns.
bool goes_before(const SendingPlace& a, const SendingPlace& b) noexcept;

class Http2Streams {
 public:
  bool empty() const noexcept { return all_.empty(); }
  /// REQUIRES: not empty().
  Http2Stream& first() noexcept { return all_.front(); }
  void add(Http2Stream& stream) noexcept { all_.push_back(stream); }
  /// The connection is lost for all of them; marks those whose owner has not done with them.
  void lose() noexcept;

  /// Something has happened that the stream's owner is to be told.
  void mark(Http2Stream& stream) noexcept;
  bool has_marked() const noexcept { return !marked_.empty(); }
  /// The one marked first; it is marked no longer. REQUIRES: has_marked().
  Http2Stream& take_marked() noexcept;

  /// It waits until it can send, behind those that wait already.
  void stall(Http2Stream& stream) noexcept;
  bool has_stalled() const noexcept { return !stalled_.empty(); }
  /// It waits no longer.
  static void unstall(Http2Stream& stream) noexcept;

  /// Its owner has done with it: it is not marked and does not wait.
  static void forget(Http2Stream& stream) noexcept;

  /// Stalled streams whose windows are open. Those that were not taken wait on, before all others.
  class Ready {
   public:
    Ready(Http2Streams& streams, nghttp2_session* session) noexcept;
    ~Ready();
    Ready(const Ready&) = delete;
    Ready& operator=(const Ready&) = delete;
    bool empty() const noexcept { return ready_.empty(); }
    /// The one that may send first. REQUIRES: not empty().
    Http2Stream& take() noexcept;

   private:
    Http2Streams& streams_;
    Http2Stream::List<StalledTag> ready_;
  };

 private:
  Http2Stream::List<AnyTag> all_;
  Http2Stream::List<MarkedTag> marked_;
  Http2Stream::List<StalledTag> stalled_;
};

}  // namespace remora
