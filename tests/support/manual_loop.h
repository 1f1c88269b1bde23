// A Loop on a manual clock: coroutines with deadlines are tested without waiting for any.
//
//   ManualLoop loop;
//   asio::co_spawn(loop.ctx.get_executor(), something(loop), asio::detached);
//   loop.advance(2s);  // all that happens within two seconds has happened
//
// No timer is armed. Sockets work as ever, but only what is ready is handled: use unix sockets and socket
// pairs, whose other end has what was sent as soon as it was sent (support/unix_listener.h).
#pragma once

#include <algorithm>
#include <stdexcept>

#include "net/loop.h"
#include "support/manual_clock.h"

namespace remora::test {

/// A base, so that the clock is older than the loop.
struct OwnsManualClock {
  ManualClock manual_clock;
};

class ManualLoop : public OwnsManualClock, public Loop {
 public:
  ManualLoop() : Loop(manual_clock, Driver::owner) {}

  Clock::Steady now() const noexcept { return manual_clock.steady_now(); }

  /// Runs what is ready, and what becomes ready by that, until nothing is.
  void settle() {
    constexpr int max_handlers = 1'000'000;
    ctx.restart();
    for (int i = 0; i < max_handlers; ++i)
      if (ctx.poll_one() == 0) return;
    throw std::runtime_error("the loop never becomes quiet");
  }
  /// Moves the time on in steps of one tick, so that deadlines expire in order, and settles after each.
  void advance(std::chrono::nanoseconds by) {
    settle();
    const Clock::Steady end = now() + by;
    while (now() < end) jump(std::min<std::chrono::nanoseconds>(DeadlineWheel::tick, end - now()));
  }
  /// The same in a single step: as if the thread, or the machine, had stood still meanwhile.
  void jump(std::chrono::nanoseconds by) {
    manual_clock.advance(by);
    wheel.run(now());
    settle();
  }
  /// Advances until `done()`. False: it is not within `limit`.
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
