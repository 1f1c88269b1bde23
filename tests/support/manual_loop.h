// A Loop on a manual clock: tests of coroutines with deadlines need no real waiting.
//
//   ManualLoop loop;
//   asio::co_spawn(loop.ctx.get_executor(), something(loop), asio::detached);
//   loop.advance(2s);  // all that happens within two seconds has happened
//
// No real timer is armed. Sockets work as usual, but only events that are ready are handled. So use unix
// sockets and socket pairs, where sent bytes are available at the other end at once
// (support/unix_listener.h).
#pragma once

#include <algorithm>
#include <stdexcept>

#include "net/loop.h"
#include "support/manual_clock.h"

namespace remora::test {

/// A base class, so that the clock is constructed before the loop.
struct OwnsManualClock {
  ManualClock manual_clock;
};

class ManualLoop : public OwnsManualClock, public Loop {
 public:
  ManualLoop() : Loop(manual_clock, Driver::owner) {}

  Clock::Steady now() const noexcept { return manual_clock.steady_now(); }

  /// Runs ready handlers until none are left. Throws if that never happens.
  void settle() {
    constexpr int max_handlers = 1'000'000;
    ctx.restart();
    for (int i = 0; i < max_handlers; ++i)
      if (ctx.poll_one() == 0) return;
    throw std::runtime_error("the loop never becomes quiet");
  }
  /// Advances the clock in steps of one tick, so that deadlines expire in order, and settles after each step.
  void advance(std::chrono::nanoseconds by) {
    settle();
    const Clock::Steady end = now() + by;
    while (now() < end) jump(std::min<std::chrono::nanoseconds>(DeadlineWheel::tick, end - now()));
  }
  /// Advances the clock in one step, as if the thread or the machine had been suspended.
  void jump(std::chrono::nanoseconds by) {
    manual_clock.advance(by);
    wheel.run(now());
    settle();
  }
  /// Advances until `done()`. False: not done within `limit` of manual time.
  template <class Done>
  bool advance_until(Done done, std::chrono::nanoseconds limit) {
    settle();
    const Clock::Steady end = now() + limit;
    while (!done()) {
      if (now() >= end) return false;
      jump(DeadlineWheel::tick);
    }
    return true;
  }
};

}  // namespace remora::test
