// A clock that only the test advances.
#pragma once

#include <chrono>

#include "remora/clock.h"

namespace remora::test {

class ManualClock final : public Clock {
 public:
  Steady steady_now() const noexcept override { return steady_; }
  Wall wall_now() const noexcept override { return wall_; }
  void advance(std::chrono::nanoseconds by) noexcept {
    steady_ += by;
    wall_ += by;
  }
  /// Sets only the wall clock, as an administrator or NTP does.
  void set_wall(Wall wall) noexcept { wall_ = wall; }

 private:
  // Far from zero, because code may subtract hours from now, or treat zero as "never".
  Steady steady_{std::chrono::hours(1000)};
  Wall wall_{std::chrono::hours(500'000)};
};

}  // namespace remora::test
