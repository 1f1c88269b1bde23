// The new process of a hot restart, as seen by the old one. It gets the same arguments, and one end of a
// SOCK_SEQPACKET pair through its environment.
//
// The old process sends the listening sockets, the state and the sessions and then, while it serves its last
// connections, each change to its sessions. The new process answers once, when it is serving.
// Threading: control thread. Lifetime: destroying this object does not kill the process; `memory` must
// outlive it.
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
  /// Starts the process. Throws std::runtime_error with one line that says what to do.
  ChildProcess(const std::vector<std::string>& arguments, SessionMemory& memory);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  bool send(char kind, std::string_view text, std::span<const int> fds = {}) {
    return send_message(channel_.get(), kind, text, fds);
  }
  /// Sends all sessions. From now on, changes to them are collected.
  bool send_sessions();
  /// Sends the changes since the last call. Returns false if the other end is gone.
  bool send_changes();
  enum class State : std::uint8_t { starting, serving, failed };
  State poll();
  pid_t pid() const noexcept { return pid_; }

 private:
  SessionFeed feed_;
  UniqueFd channel_;
  pid_t pid_ = -1;
  bool ready_ = false;
};

}  // namespace remora
