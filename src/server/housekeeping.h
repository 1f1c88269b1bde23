// What the control thread does every second whatever happens: tables lose what has expired, losses that the
// request path only counts are logged, and what an exception cut short is set going again.
//
// Threading: the loop's thread. Lifetime: what it is given outlives it; stop() before the loop runs out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "remora/clock.h"
#include "server/alarm.h"
#include "session/memory.h"

namespace remora {

class Housekeeping {
 public:
  struct Tasks {
    /// An event of the loop ended with an exception: starts again what it may have left undone.
    std::function<void()> recover;
    /// Tokens that no key opens, since the start.
    std::function<std::uint64_t()> unknown_keys;
    std::function<void()> every_second;
  };
  struct Sessions {
    SessionMemory& memory;
    std::size_t capacity;  // of the table, as configured
  };
  Housekeeping(const Clock& clock, Sessions sessions, std::unique_ptr<Alarm> alarm, Tasks tasks);
  void start() { run(); }
  /// An event of the loop ended with an exception.
  void stumbled() noexcept { stumbled_ = true; }
  void stop() { alarm_->cancel(); }

 private:
  void run();
  void warn_of_losses();

  const Clock& clock_;
  const Sessions sessions_;
  const std::unique_ptr<Alarm> alarm_;
  const Tasks tasks_;
  bool stumbled_ = false;
  std::uint64_t evictions_told_ = 0, unknown_keys_told_ = 0;
  Clock::Steady swept_at_{}, told_at_{};
};

}  // namespace remora
