// Hot restart (SIGUSR2), in the process that is being replaced: another binary, started with the same
// arguments, takes over the sockets, the state and the sessions. If it fails to start, nothing changes.
//
//   start: run the child, send it everything --> poll every 20 ms
//     child ended, or not ready after 60 s --> give up; this process continues
//     child serves --> Hooks::serves, once; then send session changes until this process ends
//
// Threading: the loop's thread. Lifetime: everything passed in must outlive it; call stop() before the loop
// finishes.
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
    std::vector<int> fds;  // stay open in this process
  };
  /// What the child gets, apart from the sessions.
  struct Handover {
    std::vector<Sockets> listeners;
    Sockets admin;  // without descriptors: there is none
    std::string state;
  };
  struct Hooks {
    /// True if this process is serving and not about to end.
    std::function<bool()> serving;
    std::function<Handover()> handover;
    /// The child is serving: this process must accept nothing new. May call stop().
    std::function<void(pid_t child)> serves;
  };
  /// `arguments`: this process's own; empty: unknown.
  HotRestart(const Clock& clock, SessionMemory& memory, std::vector<std::string> arguments,
             std::unique_ptr<Alarm> alarm, Hooks hooks);

  /// Starts a hot restart, or logs why it refuses.
  void start();
  /// True once a child has been started, and while it serves.
  bool under_way() const noexcept { return child_ != nullptr; }
  /// Sends the last session changes.
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
