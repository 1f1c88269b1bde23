#include "server/systemd.h"

#include <systemd/sd-daemon.h>

#include <ctime>

namespace remora {

void notify_systemd(const std::string& state) {
  ::sd_notify(0, state.c_str());
}

void notify_systemd_reloading() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  notify_systemd("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(t.tv_sec * 1000000LL + t.tv_nsec / 1000));
}

std::vector<UniqueFd> systemd_sockets() {
  std::vector<UniqueFd> fds;
  const int n = ::sd_listen_fds(1);
  for (int i = 0; i < n; ++i) fds.emplace_back(SD_LISTEN_FDS_START + i);
  return fds;
}

}  // namespace remora
