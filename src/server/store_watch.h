// Logs and emits an event when the session store becomes unreachable, partly or entirely, and when it
// recovers. In between, a new reason is reported too, less and less often.
//
// Threading: the control thread. Lifetime: everything passed in must outlive it.
#pragma once

#include <chrono>
#include <string>

#include "admin/events.h"
#include "remora/clock.h"
#include "session/memory.h"

namespace remora {

class StoreWatch {
 public:
  StoreWatch(const Clock& clock, SessionMemory& memory, EventHub& events)
      : clock_(clock), memory_(memory), events_(events) {}
  /// Takes a worker's view of the store. `error`: why it is unavailable or, if available, which part fails.
  void heard(bool available, const std::string& error);

 private:
  const Clock& clock_;
  SessionMemory& memory_;
  EventHub& events_;
  enum class State : std::uint8_t { fine, partly, away } state_ = State::fine;
  std::string error_;  // as last reported
  std::chrono::seconds pause_{1};
  Clock::Steady silent_until_{};
};

}  // namespace remora
