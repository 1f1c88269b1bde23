// The open listening sockets: which of a new configuration's listeners are opened, which stay, which retire.
//
// Everything that can fail is in open_new(), before a configuration becomes active. A listener that stays
// keeps its sockets, so that no connection in the kernel's queue is lost. Threading: control thread.
// Descriptors are handed to the workers, and known here to be handed over.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "proxy/snapshot.h"
#include "remora/config.h"
#include "server/builder.h"

namespace remora {

struct OpenListener {
  std::size_t slot = 0;
  config::Address bind;
  std::vector<int> fds;  // the workers'
};

class Listeners {
 public:
  struct Hooks {
    /// Descriptors that the previous process or systemd left for it; none: it is to be opened.
    std::function<std::vector<int>(const config::Listener&)> inherited;
    /// A worker accepts on `fd` from now on. `nth`: of the listener's descriptors.
    std::function<void(std::size_t nth, int fd, std::size_t slot)> serve;
    /// No worker accepts on this slot any more.
    std::function<void(std::size_t slot)> retire;
  };
  /// `workers`: descriptors of each listener.
  Listeners(const SnapshotBuilder& builder, unsigned workers, Hooks hooks)
      : builder_(builder), workers_(workers), hooks_(std::move(hooks)) {}

  /// Opens what `built` has and the active snapshot lacks. Throws std::runtime_error; then nothing is open.
  std::vector<OpenListener> open_new(const Snapshot& built);
  /// The snapshot that has their slots is active: clients are accepted.
  void listen(const std::vector<OpenListener>& opened);
  /// Closes those that `built` lacks.
  void retire_gone(const Snapshot& built);
  const std::vector<OpenListener>& open() const noexcept { return open_; }

 private:
  bool stays_open(const Snapshot& built, std::size_t slot) const;
  std::vector<int> descriptors_for(const config::Listener& listener);

  const SnapshotBuilder& builder_;
  const unsigned workers_;
  const Hooks hooks_;
  std::vector<OpenListener> open_;
};

/// Unix sockets that both configurations have get the mode and group of the new one. A failure is logged.
void apply_socket_access(const config::Config& before, const config::Config& now);

}  // namespace remora
