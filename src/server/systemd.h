// What systemd wants to hear, when it listens (Type=notify), and the sockets that it opened for us.
#pragma once

#include <string>
#include <vector>

namespace remora {

/// sd_notify(3); does nothing where nobody listens.
void notify_systemd(const std::string& state);
/// RELOADING=1 with the time that Type=notify-reload wants.
void notify_systemd_reloading();
/// The descriptors of socket activation (sd_listen_fds(3)); none: none.
std::vector<int> systemd_sockets();

}  // namespace remora
