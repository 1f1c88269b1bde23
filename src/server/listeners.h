// The open listening sockets. Decides which listeners of a new configuration to open, keep or retire.
//
// Everything that can fail is done in open_new(), before a configuration becomes active. A listener that
// stays keeps its sockets, so connections in the kernel's queue are not lost.
// Threading: control thread. Workers own the descriptors; this class only records them for a hot restart.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "proxy/snapshot.h"
#include "remora/config.h"
#include "server/builder.h"
#include "util/unique_fd.h"

namespace remora {

/// Opened, but not serving yet.
struct NewListener {
  std::size_t slot = 0;
  config::Address bind;
  std::vector<UniqueFd> fds;
};

struct OpenListener {
  std::size_t slot = 0;
  config::Address bind;
  std::vector<int> fds;  // owned by the workers
};

class Listeners {
 public:
  struct Hooks {
    /// Descriptors for this listener from the previous process or systemd. If none, the listener is opened.
    std::function<std::vector<UniqueFd>(const config::Listener&)> inherited;
    /// Makes a worker accept on `socket`. `nth`: index among the listener's descriptors.
    std::function<void(std::size_t nth, UniqueFd socket, std::size_t slot)> serve;
    /// Makes all workers stop accepting on this slot.
    std::function<void(std::size_t slot)> retire;
  };
  /// `workers`: number of descriptors per listener.
  Listeners(const SnapshotBuilder& builder, unsigned workers, Hooks hooks)
      : builder_(builder), workers_(workers), hooks_(std::move(hooks)) {}

  /// Opens listeners that are in `built` but not active yet. On failure throws std::runtime_error and leaves
  /// nothing open.
  std::vector<NewListener> open_new(const Snapshot& built);
  /// Starts accepting. Call once the snapshot with their slots is active.
  void listen(std::vector<NewListener> opened);
  /// Closes listeners that `built` does not have.
  void retire_gone(const Snapshot& built);
  const std::vector<OpenListener>& open() const noexcept { return open_; }

 private:
  bool stays_open(const Snapshot& built, std::size_t slot) const;
  std::vector<UniqueFd> descriptors_for(const config::Listener& listener);

  const SnapshotBuilder& builder_;
  const unsigned workers_;
  const Hooks hooks_;
  std::vector<OpenListener> open_;
};

/// Applies changed modes and groups to Unix sockets that are in both configurations. Logs failures.
void apply_socket_access(const config::Config& before, const config::Config& now);

}  // namespace remora
