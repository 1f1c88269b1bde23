// What this process was given at its start: by the process that it replaces (hot restart), or by systemd
// (socket activation). Listening sockets in both cases; state and sessions from a process only.
//
// Threading: control thread. Lifetime: sockets that nobody takes are closed with it.
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
  /// Null: nothing. Throws std::runtime_error when what comes cannot be understood.
  static std::unique_ptr<InheritedState> receive(SessionMemory& memory, const Clock& clock);
  ~InheritedState();
  InheritedState(const InheritedState&) = delete;
  InheritedState& operator=(const InheritedState&) = delete;

  /// At least `count` descriptors for the address, or none at all.
  std::vector<int> take_listener(const config::Address& bind, unsigned count);
  /// -1: none.
  int take_admin(const config::Address& bind);
  /// The state as the old process wrote it; empty: none.
  const std::string& state() const noexcept { return state_; }
  bool from_process() const noexcept { return channel_ >= 0; }
  /// Sockets that no listener of the configuration wants.
  void close_unused();
  /// Tells the old process that this one serves, and takes over what still changes there.
  void report_ready(Loop& loop);
  void stop();

 private:
  InheritedState(SessionMemory& memory, const Clock& clock) : memory_(memory), clock_(clock) {}
  struct Socket {
    std::string address;
    std::vector<int> fds;
    bool admin = false;
  };
  void read(int channel);
  void listen();
  SessionMemory& memory_;
  const Clock& clock_;
  int channel_ = -1;
  std::string state_;
  std::vector<Socket> sockets_;
  std::unique_ptr<asio::posix::basic_stream_descriptor<Executor>> changes_;
};

}  // namespace remora
