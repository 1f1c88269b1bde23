// Listening sockets, and the accept loop of one worker.
//
// `[::]` takes IPv4 as well; its clients' addresses are IPv4 everywhere (client_address()).
// TCP: every worker has a socket of its own with SO_REUSEPORT, so that the kernel spreads connections and no
// worker wakes for another's. Unix: one socket, its descriptor duplicated into each worker (SO_REUSEPORT
// fails there).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "proxy/connection.h"
#include "remora/config.h"

namespace remora {

/// Opens `count` descriptors for one listener. `ours`: this process has sockets on the port already, so that
/// it is no other's. Throws std::runtime_error with one line that says what to do.
std::vector<int> open_listener(const config::Listener& listener, unsigned count, bool ours = false);

/// What a socket is bound to: port 0 has become a real one.
std::string bound_address(int fd, const config::Address& configured);

/// Accepts on one descriptor until closed. When descriptors run out it pauses and recovers; it never spins
/// and never dies of a failed accept.
class Acceptor final : private Descriptor::Events {
 public:
  Acceptor(WorkerContext& worker, int fd, ListenerState state);
  /// What is still pending refers to it: only when the loop has nothing left to do.
  ~Acceptor();
  /// Ends. What the kernel has accepted already is still served.
  void retire();
  /// Takes nothing more, but leaves the kernel's queue to whoever else has the socket.
  void close();
  std::size_t slot() const noexcept { return state_.slot; }

 private:
  bool is_open() const noexcept { return socket_.fd() >= 0; }
  /// `noticed`: the kernel just said that nobody is there.
  void wait(bool noticed);
  void accept_some();
  /// False: there is no memory for it, and it is closed.
  bool serve(int fd, const sockaddr_storage& peer);
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
  // How many are accepted before the kernel is asked for another event. An accept that finds nobody has made
  // a file and an inode first, and costs three times as much as asking (measured: a tenth of a connection's
  // whole cost), so it must stay rare; and in a burst one event for each would be one too many.
  int in_a_row_ = 1, full_rows_ = 0;
  ListenerState state_;
  Pause pause_{*this};
  Clock::Steady complained_{};
};

}  // namespace remora
