// The current time on both clocks, and the time format of tables: 50 ms ticks of the steady clock in 32 bits
// (6.8 years). They begin 400 days before the clock does, so that a session can be older than the machine is
// up.
#pragma once

#include <cstdint>

#include "remora/clock.h"

namespace remora {

struct ClockReading {
  Clock::Steady steady;
  Clock::Wall wall;
};

/// Converts times to ticks and back. Rounds up, so that nothing expires early.
class Ticks {
 public:
  static constexpr std::int64_t length_ms = 50;
  static constexpr std::uint32_t before_start = 400U * 86400 * (1000 / length_ms);
  static std::uint32_t at(Clock::Steady t) noexcept { return before_start + of(t.time_since_epoch()); }
  template <class Duration>
  static std::uint32_t of(Duration d) noexcept {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    return static_cast<std::uint32_t>((ms + length_ms - 1) / length_ms);
  }
  static std::chrono::milliseconds duration(std::uint32_t ticks) noexcept {
    return std::chrono::milliseconds(std::int64_t{ticks} * length_ms);
  }
};

}  // namespace remora
