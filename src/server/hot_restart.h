// Hot restart (SIGUSR2), on the side of the process that is replaced: another binary, started with the same
// arguments, takes over the sockets, the state and the sessions. One that does not come up changes nothing.
//
//   start: run the child, send it everything --> poll every 20 ms
//     child ended, or not ready after 60 s --> as if nothing had happened
//     child serves --> Hooks::serves, once; then each change of the sessions until this process ends
//
// Threading: the loop's thread. Lifetime: what it is given outlives it; stop() before the loop runs out.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/alarm.h"
#include "server/child_process.h"
#include "session/memory.h"

namespace remora {

class HotRestart {
 public:
  struct Sockets {
    std::string address;
    std::vector<int> fds;  // stay open here
  };
  /// What the child is given beside the sessions.
  struct Handover {
    std::vector<Sockets> listeners;
    Sockets admin;  // no descriptor: there is none
    std::string state;
  };
  struct Hooks {
    /// This process serves, and is not about to end.
    std::function<bool()> serving;
    std::function<Handover()> handover;
    /// The child serves: this process is to take nothing new. May call stop().
    std::function<void(pid_t child)> serves;
  };
  /// `arguments`: of this process; empty: unknown.
  HotRestart(const Clock& clock, SessionMemory& memory, std::vector<std::string> arguments,
             std::unique_ptr<Alarm> alarm, Hooks hooks);

  /// A refusal is logged.
  void start();
  /// A child has been started, and may be serving already.
  bool under_way() const noexcept { return child_ != nullptr; }
  /// Sends the last changes.
  void stop();

 private:
  bool send(const Handover& handover);
  bool send_listener(const Sockets& listener);
  void check();
  bool goes_on();
  bool child_serves();
  void kill_child();

  const Clock& clock_;
  SessionMemory& memory_;
  const std::vector<std::string> arguments_;
  const std::unique_ptr<Alarm> alarm_;
  const Hooks hooks_;
  std::unique_ptr<ChildProcess> child_;
  Clock::Steady give_up_{};
};

}  // namespace remora
