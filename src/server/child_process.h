// The new process of a hot restart, as the old one sees it: started with the same arguments and one end of a
// SOCK_SEQPACKET pair in its environment.
//
// Over the pair go the listening sockets, the state and the sessions; then, while the old process serves its
// last connections, each change to its sessions. The new process answers once, when it serves.
// Threading: control thread. Lifetime: it does not kill the process; `memory` outlives it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/message.h"
#include "session/handover.h"

namespace remora {

class ChildProcess {
 public:
  /// Starts it. Throws std::runtime_error with one line that says what to do.
  ChildProcess(const std::vector<std::string>& arguments, SessionMemory& memory);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool send(const Message& message) { return send_message(channel_, message); }
  /// All sessions; their changes are collected from now on.
  bool send_sessions();
  /// What changed since. False: nobody listens any more.
  bool send_changes();
  enum class State : std::uint8_t { starting, serving, failed };
  State poll();
  pid_t pid() const noexcept { return pid_; }

 private:
  SessionFeed feed_;
  int channel_ = -1;
  pid_t pid_ = -1;
  bool ready_ = false;
};

}  // namespace remora
