// Whether a backend that keeps a request waiting is alive: probe results, shared by all requests that wait.
//
// A slow page and a hung server look the same from outside. A request that has waited too long suspects its
// backend. The first to suspect has it probed at once, outside the schedule. All requests that wait read the
// result here.
//
// Threading: the control thread records probes; any thread reads and suspects.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "remora/clock.h"

namespace remora {

class Liveness {
 public:
  /// A request has waited too long. True: no probe is pending, so the caller must ask for one. The prober
  /// calls settled() whatever the result.
  bool suspect() noexcept { return !suspected_.exchange(true, std::memory_order_relaxed); }
  void settled() noexcept { suspected_.store(false, std::memory_order_relaxed); }

  /// Records the result of a probe that began at `began`.
  void probed(bool passed, Clock::Steady began) noexcept {
    (passed ? passed_ : failed_).store(began.time_since_epoch().count(), std::memory_order_relaxed);
  }
  /// The state that follows from the probes so far.
  void set_down(bool down) noexcept { down_.store(down, std::memory_order_relaxed); }

  bool down() const noexcept { return down_.load(std::memory_order_relaxed); }
  /// A probe that began at that time or later passed: the backend was alive.
  bool alive_at(Clock::Steady at) const noexcept { return since(passed_, at); }
  /// A probe that began at that time or later failed, and none passed.
  bool mute_since(Clock::Steady at) const noexcept { return since(failed_, at) && !since(passed_, at); }

 private:
  using Count = Clock::Steady::rep;
  static bool since(const std::atomic<Count>& last, Clock::Steady at) noexcept {
    return last.load(std::memory_order_relaxed) >= at.time_since_epoch().count();
  }
  static constexpr Count never = std::numeric_limits<Count>::min();
  std::atomic<Count> passed_{never}, failed_{never};
  std::atomic<bool> suspected_{false}, down_{false};
};

}  // namespace remora
