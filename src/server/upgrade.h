// Another binary takes over: what goes from the old process to the new one, and how.
//
// The old process starts the new one with one end of a SOCK_SEQPACKET pair. Over it go the listening sockets,
// the state (operators' wishes, what probes saw, generations, names of pools in the tables) and the sessions;
// then, while the old process serves its last connections, each change to its sessions. The new one answers
// once when it serves. A new process that does not come up changes nothing.
//
// Threading: control thread. Both ends are of one machine and one user; what comes is checked all the same.
#pragma once

#include <sys/types.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "remora/config.h"
#include "session/handover.h"

namespace remora {

/// One message: a kind, a text, descriptors. Longer texts travel in a memory file.
struct Parcel {
  char kind = 0;  // 'l' listener, 'a' admin, 's' state, 't' sessions, 'e' end, 'r' ready, 'c' changes
  std::string text;
  std::vector<int> fds;  // owned by whoever takes the parcel
};

/// Sends whole or not at all; false: the other end is gone.
bool send_parcel(int channel, const Parcel& parcel);
/// Waits for at most `limit_ms`. False: nothing came, or the other end is gone.
bool receive_parcel(int channel, Parcel& out, int limit_ms);

/// The new process while it starts.
class Successor {
 public:
  /// Starts it. Throws std::runtime_error with one line that says what to do.
  Successor(const std::vector<std::string>& arguments, SessionMemory& memory);
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  bool send(const Parcel& parcel) { return send_parcel(channel_, parcel); }
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

/// What this process was given at its start: by the process before, or by systemd.
class Inheritance {
 public:
  /// Null: nothing. Throws std::runtime_error when what comes cannot be understood.
  static std::unique_ptr<Inheritance> receive(SessionMemory& memory, const Clock& clock);
  ~Inheritance();
  Inheritance(const Inheritance&) = delete;
  Inheritance& operator=(const Inheritance&) = delete;

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
  Inheritance(SessionMemory& memory, const Clock& clock) : memory_(memory), clock_(clock) {}
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
