// The decision part of health checks: `fall` failed or `rise` passed probes in a row change the state; in
// state `unknown` the first probe decides. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "remora/pool_snapshot.h"

namespace remora {

class HealthTracker {
 public:
  HealthTracker(std::uint16_t rise, std::uint16_t fall, Health initial) noexcept
      : rise_(rise), fall_(fall), state_(initial) {}

  /// Returns the new state if this probe changed it. `urgent`: no other backend is in service, so the first
  /// passed probe is enough.
  std::optional<Health> observe(bool passed, bool urgent) noexcept {
    const Health seen = passed ? Health::up : Health::down;
    if (seen == state_) {
      streak_ = 0;
      return std::nullopt;
    }
    ++streak_;
    const std::uint16_t needed = passed ? rise_ : fall_;
    if (state_ != Health::unknown && streak_ < needed && !(passed && urgent)) return std::nullopt;
    streak_ = 0;
    state_ = seen;
    return state_;
  }
  /// Sets the state to down, regardless of `fall`. False: it was down already.
  bool condemn() noexcept {
    streak_ = 0;
    return std::exchange(state_, Health::down) != Health::down;
  }
  Health state() const noexcept { return state_; }
  /// Undecided: the next probe comes sooner.
  bool undecided() const noexcept { return streak_ > 0 || state_ == Health::unknown; }

 private:
  std::uint16_t rise_, fall_, streak_ = 0;
  Health state_;
};

}  // namespace remora
