// Listening sockets, and the accept loop of one worker.
//
// `[::]` accepts IPv4 too; such clients have IPv4 addresses everywhere (client_address()).
// TCP: each worker has its own socket with SO_REUSEPORT, so the kernel spreads connections and no worker
// wakes for another's. Unix: one socket, whose descriptor is duplicated for each worker (SO_REUSEPORT does
// not work there).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "proxy/connection.h"
#include "remora/config.h"
#include "util/unique_fd.h"

namespace remora {

/// Opens `count` descriptors for one listener. `ours`: this process already has sockets on the port, so no
/// other process can own it. Throws std::runtime_error with one line that says what to do.
std::vector<UniqueFd> open_listener(const config::Listener& listener, unsigned count, bool ours = false);

/// The address a socket is bound to, with port 0 replaced by the real port.
std::string bound_address(int fd, const config::Address& configured);

/// Accepts on one descriptor until closed. If descriptors run out, it pauses and recovers: it never spins,
/// and no failed accept ends it.
class Acceptor final : private Descriptor::Events {
 public:
  Acceptor(WorkerContext& worker, UniqueFd socket, ListenerState state);
  /// Destroy only when the loop has nothing left to do: pending events refer to this object.
  ~Acceptor();
  /// Stops accepting, after serving the connections already in the kernel's queue.
  void retire();
  /// Stops accepting, and leaves the kernel's queue to other owners of the socket.
  void close();
  std::size_t slot() const noexcept { return state_.slot; }

 private:
  bool is_open() const noexcept { return socket_.fd() >= 0; }
  /// `noticed`: accept just returned EAGAIN, or the socket was just registered.
  void wait(bool noticed);
  void accept_some();
  /// Returns false if there is no memory for the connection, and closes it.
  bool serve(UniqueFd socket, const sockaddr_storage& peer);
  void complain(const char* what, const char* advice);
  void readable(const error_code&) override;
  class Pause final : public DeadlineEntry {
   public:
    explicit Pause(Acceptor& a) : acceptor_(a) {}

   private:
    void expired() override { acceptor_.wait(false); }
    Acceptor& acceptor_;
  };

  WorkerContext& worker_;
  Descriptor socket_;
  bool waiting_ = false;
  // How many connections to accept before waiting for another event. An accept that finds none has already
  // created a file and an inode, and costs three times as much as waiting (measured: a tenth of the whole
  // cost of a connection), so it must be rare. But in a burst, one event per connection would be wasteful.
  int in_a_row_ = 1, full_rows_ = 0;
  ListenerState state_;
  Pause pause_{*this};
  Clock::Steady complained_{};
};

}  // namespace remora
