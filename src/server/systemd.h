// Notifications to systemd (Type=notify), and sockets from socket activation.
#pragma once

#include <string>
#include <vector>

#include "util/unique_fd.h"

namespace remora {

/// sd_notify(3). Does nothing without systemd.
void notify_systemd(const std::string& state);
/// Sends RELOADING=1 with the timestamp that Type=notify-reload requires.
void notify_systemd_reloading();
/// Returns the descriptors from socket activation (sd_listen_fds(3)), if any.
std::vector<UniqueFd> systemd_sockets();

}  // namespace remora
