// A timer for one function at a time: what the server's parts wait with. An interface, so that their tests
// ring it by hand.
//
// Threading: the loop's thread. Lifetime: an alarm of a loop is destroyed when the loop has run out, or will
// not run again.
#pragma once

#include <functional>
#include <memory>

#include "net/loop.h"
#include "remora/clock.h"

namespace remora {

class Alarm {
 public:
  virtual ~Alarm() = default;
  /// Calls `ring` once, at `at` or as soon as possible after it. Replaces what was set before.
  virtual void set(Clock::Steady at, std::function<void()> ring) = 0;
  virtual void cancel() = 0;
};

std::unique_ptr<Alarm> make_alarm(Loop& loop);

}  // namespace remora
