// OpenStreams: a worker's responses and tunnels that are still open, and when they are ended because their
// backend drains or is in maintenance (`drain: {streams: end}`).
//
// An exchange whose response does not end at once joins with its OpenStream. follow() gets the backends whose
// streams are to be ended, from each snapshot: it sets their times, evenly over the spread and the oldest
// first, and wakes their exchanges, which wait for that time too from then on. If a backend is no longer
// among them, its streams stay.
//
// Threading: its worker's thread. Lifetime: an OpenStream belongs to one exchange, and its destructor leaves
// the list.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "net/event_flags.h"
#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

class OpenStream
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  /// A stream in the middle of a message is ended behind it, if that comes within this time.
  static constexpr std::chrono::seconds patience{1};

  /// `wake`: gets the bit `snapshot` when its time has changed. Must outlive this object.
  explicit OpenStream(EventFlags& wake) noexcept : wake_(wake) {}

  /// Whether it is to be ended now. `between_messages`: nothing is cut in two.
  bool is_over(bool between_messages, Clock::Steady now) const noexcept {
    return now >= ends_at_ && (between_messages || now - ends_at_ >= patience);
  }
  /// When is_over() may change without an event; max(): never.
  Clock::Steady next_change(Clock::Steady now) const noexcept {
    return now < ends_at_ ? ends_at_ : ends_at_ + patience;
  }
  void leave() noexcept {
    if (is_linked()) unlink();
  }

 private:
  friend class OpenStreams;
  EventFlags& wake_;
  const Backend* of_ = nullptr;
  Clock::Steady counts_from_{};
  Clock::Steady ends_at_ = Clock::Steady::max();
};

class OpenStreams {
 public:
  /// A backend whose streams are to be ended.
  struct Ending {
    const Backend* of;
    std::chrono::nanoseconds spread;
    bool operator==(const Ending&) const = default;
  };

  explicit OpenStreams(unsigned worker) noexcept;

  /// `counts_from`: it is not ended before: until then it may be an ordinary request. Allocates nothing.
  void add(OpenStream& stream, const Backend& of, Clock::Steady counts_from, Clock::Steady now) noexcept;
  /// A snapshot is in force. `living`: all its backends; the streams of others keep their times. Resumes
  /// exchanges: they run inside this call, and may end or open other streams before it returns.
  void follow(std::vector<Ending> endings, std::span<const Backend* const> living, Clock::Steady now);

 private:
  using List = boost::intrusive::list<OpenStream, boost::intrusive::constant_time_size<false>>;
  const Ending* ending_of(const Backend& of) const noexcept;
  void begin(const Ending& ending, Clock::Steady now, List& changed) noexcept;
  void cancel(const Backend& of, List& changed) noexcept;

  const double shift_;
  std::size_t late_ = 0;  // how many were opened at a backend whose streams are being ended
  std::vector<Ending> endings_;
  List all_;  // the oldest first
};

}  // namespace remora
