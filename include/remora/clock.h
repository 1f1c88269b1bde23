// Two clocks, because they answer different questions.
//
// Steady time is for deadlines and durations inside this process: it never goes back. Wall time is for
// anything that another process may read (a token, a store, a JWT): it may jump. Envoy issue 44111 shows what
// happens when steady time leaves the process. Pure code takes a `now`; code with I/O takes a Clock, so that
// tests can drive it by hand.
#pragma once

#include <chrono>

namespace remora {

class Clock {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  using Wall = std::chrono::system_clock::time_point;
  virtual ~Clock() = default;
  virtual Steady steady_now() const noexcept = 0;
  virtual Wall wall_now() const noexcept = 0;
};

/// The machine's clocks. Both are read through the vDSO, without a system call.
class SystemClock final : public Clock {
 public:
  Steady steady_now() const noexcept override { return std::chrono::steady_clock::now(); }
  Wall wall_now() const noexcept override { return std::chrono::system_clock::now(); }
};

/// The default clock. Nothing else asks the machine for the time (enforced by layering_test).
inline const Clock& real_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

}  // namespace remora
