// Says in the log and as an event when the session store becomes unreachable, in part or as a whole, and when
// it is back. While it stays so, another reason is told too, ever more seldom.
//
// Threading: the control thread. Lifetime: what it is given outlives it.
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
  /// What a worker sees of it. `error`: why it is not available; or, available, what is wrong with a part.
  void heard(bool available, const std::string& error);

 private:
  const Clock& clock_;
  SessionMemory& memory_;
  EventHub& events_;
  enum class State : std::uint8_t { fine, partly, away } state_ = State::fine;
  std::string error_;  // as last told
  std::chrono::seconds pause_{1};
  Clock::Steady silent_until_{};
};

}  // namespace remora
