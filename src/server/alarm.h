// A timer that runs one function at a time, used by the server's parts. An interface, so that tests can fire
// it by hand.
//
// Threading: the loop's thread. Lifetime: destroy a loop's alarm only once the loop has finished or will not
// run again.
#pragma once

#include <functional>
#include <memory>

#include "net/loop.h"
#include "remora/clock.h"

namespace remora {

class Alarm {
 public:
  virtual ~Alarm() = default;
  /// Calls `ring` once, at `at` or as soon as possible after it. Replaces an alarm that is already set.
  virtual void set(Clock::Steady at, std::function<void()> ring) = 0;
  virtual void cancel() = 0;
};

std::unique_ptr<Alarm> make_alarm(Loop& loop);

}  // namespace remora
