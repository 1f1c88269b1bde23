// What this process inherits at its start: from the process that it replaces (hot restart), or from systemd
// (socket activation). Both provide listening sockets; only a process provides state and sessions.
//
// Threading: control thread. Lifetime: closes its remaining sockets when destroyed.
#pragma once

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "remora/config.h"
#include "server/message.h"
#include "session/handover.h"

namespace remora {

class InheritedState {
 public:
  /// Returns null if nothing is inherited. Throws std::runtime_error if the data cannot be read.
  static std::unique_ptr<InheritedState> receive(SessionMemory& memory, const Clock& clock);
  ~InheritedState();
  InheritedState(const InheritedState&) = delete;
  InheritedState& operator=(const InheritedState&) = delete;

  /// Returns at least `count` descriptors for the address, or none at all. Throws std::runtime_error if there
  /// are no descriptors left.
  std::vector<UniqueFd> take_listener(const config::Address& bind, unsigned count);
  /// Empty if there is none.
  UniqueFd take_admin(const config::Address& bind);
  /// The state as written by the old process; empty if there is none.
  const std::string& state() const noexcept { return state_; }
  bool from_process() const noexcept { return channel_ || changes_; }
  /// Closes sockets that no listener of the configuration uses.
  void close_unused();
  /// Tells the old process that this one is serving, and applies the session changes it still sends.
  void report_ready(Loop& loop);
  void stop();

 private:
  InheritedState(SessionMemory& memory, const Clock& clock) : memory_(memory), clock_(clock) {}
  struct Socket {
    std::string address;
    std::vector<UniqueFd> fds;
    bool admin = false;
  };
  void read();
  void listen();
  SessionMemory& memory_;
  const Clock& clock_;
  UniqueFd channel_;  // until report_ready(); then `changes_` owns it
  std::string state_;
  std::vector<Socket> sockets_;
  std::unique_ptr<asio::posix::basic_stream_descriptor<Executor>> changes_;
};

}  // namespace remora
