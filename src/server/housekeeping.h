// Periodic work of the control thread, checked every second: removes expired table entries (every 60 s), logs
// losses that the request path only counts (at most every 30 s), and recovers from exceptions that
// interrupted an event.
//
// Threading: the loop's thread. Lifetime: everything passed in must outlive it; call stop() before the loop
// finishes.
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
    /// An event of the loop ended with an exception: restart everything it may have interrupted.
    std::function<void()> recover;
    /// Number of tokens sealed with an unknown key, since the start.
    std::function<std::uint64_t()> unknown_keys;
    std::function<void()> every_second;
  };
  struct Sessions {
    SessionMemory& memory;
    std::size_t capacity;  // configured table size
  };
  Housekeeping(const Clock& clock, Sessions sessions, std::unique_ptr<Alarm> alarm, Tasks tasks);
  void start() { run(); }
  /// Notes that an event of the loop ended with an exception.
  void on_exception() noexcept { stumbled_ = true; }
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
