// Whether a backend that keeps a request waiting is alive: what its probes showed, for all who wait.
//
// A slow page and a hung server look the same from outside. A request that has waited for too long doubts its
// backend; the first to doubt has it probed, apart from the schedule, and all who wait read the result here.
//
// Threading: probes are told by the control thread; any thread reads and doubts.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "remora/clock.h"

namespace remora {

class Liveness {
 public:
  /// Somebody has waited for too long. True: nobody else's doubt is being looked into, so the caller asks for
  /// a probe. Whoever probes says settled(), whatever came of it.
  bool doubt() noexcept { return !doubted_.exchange(true, std::memory_order_relaxed); }
  void settled() noexcept { doubted_.store(false, std::memory_order_relaxed); }

  /// A probe that began then passed, or did not.
  void probed(bool passed, Clock::Steady began) noexcept {
    (passed ? passed_ : failed_).store(began.time_since_epoch().count(), std::memory_order_relaxed);
  }
  /// What follows from the probes so far.
  void set_down(bool down) noexcept { down_.store(down, std::memory_order_relaxed); }

  bool down() const noexcept { return down_.load(std::memory_order_relaxed); }
  /// The last good probe began at that time or later: it was alive then.
  bool alive_at(Clock::Steady at) const noexcept { return since(passed_, at); }
  /// It has failed a probe that began at that time or later, and passed none.
  bool mute_since(Clock::Steady at) const noexcept { return since(failed_, at) && !since(passed_, at); }

 private:
  using Count = Clock::Steady::rep;
  static bool since(const std::atomic<Count>& last, Clock::Steady at) noexcept {
    return last.load(std::memory_order_relaxed) >= at.time_since_epoch().count();
  }
  static constexpr Count never = std::numeric_limits<Count>::min();
  std::atomic<Count> passed_{never}, failed_{never};
  std::atomic<bool> doubted_{false}, down_{false};
};

}  // namespace remora
