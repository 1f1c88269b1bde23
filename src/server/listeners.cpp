#include "server/listeners.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "net/unix_path.h"
#include "server/listener.h"

namespace remora {

std::vector<NewListener> Listeners::open_new(const Snapshot& built) {
  std::vector<NewListener> opened;
  for (const std::size_t slot : built.serving) {
    if (stays_open(built, slot)) continue;
    const config::Listener& l = built.listeners[slot]->config;
    opened.push_back({slot, l.bind, descriptors_for(l)});
  }
  return opened;
}

std::vector<UniqueFd> Listeners::descriptors_for(const config::Listener& listener) {
  std::vector<UniqueFd> fds = hooks_.inherited(listener);
  if (!fds.empty()) return fds;
  const bool ours = std::any_of(open_.begin(), open_.end(), [&](const OpenListener& l) {
    return l.bind.kind == config::Address::Kind::tcp && l.bind.port == listener.bind.port && l.bind.port != 0;
  });
  return open_listener(listener, workers_, ours);
}

/// True if it is open in the way the file wants. `[::]` must be reopened if it now has to accept IPv4 as
/// well.
bool Listeners::stays_open(const Snapshot& built, std::size_t slot) const {
  if (std::none_of(open_.begin(), open_.end(), [&](const auto& l) { return l.slot == slot; })) return false;
  return !builder_.last()->listeners[slot]->config.v6_only || built.listeners[slot]->config.v6_only ||
         built.listeners[slot]->config.bind.host != "::";
}

void Listeners::listen(std::vector<NewListener> opened) {
  for (NewListener& l : opened) {
    std::erase_if(open_, [&](const OpenListener& old) {  // reopened
      if (old.slot == l.slot) hooks_.retire(l.slot);
      return old.slot == l.slot;
    });
    spdlog::info("listening on {}", bound_address(l.fds.front().get(), l.bind));
    OpenListener& open = open_.emplace_back(OpenListener{l.slot, l.bind, {}});
    for (UniqueFd& fd : l.fds) {
      open.fds.push_back(fd.get());
      hooks_.serve(open.fds.size() - 1, std::move(fd), l.slot);
    }
  }
}

void Listeners::retire_gone(const Snapshot& built) {
  std::erase_if(open_, [&](const OpenListener& l) {
    if (std::find(built.serving.begin(), built.serving.end(), l.slot) != built.serving.end()) return false;
    spdlog::info("no longer listening on {}", l.bind.text());
    hooks_.retire(l.slot);
    if (l.bind.kind == config::Address::Kind::unix_path) remove_socket(l.bind.host);
    return true;
  });
}

namespace {

void apply_access(const config::Address& bind, const config::SocketAccess& access) {
  if (bind.kind != config::Address::Kind::unix_path) return;
  config::SocketAccess wanted = access;
  if (!wanted.group) wanted.group = ::getegid();
  if (const int error = set_socket_access(bind.host, wanted); error != 0)
    spdlog::error("changing mode and group of {} failed: {}", bind.text(), socket_access_advice(error));
}

}  // namespace

void apply_socket_access(const config::Config& before, const config::Config& now) {
  for (const config::Listener& l : now.listeners)
    for (const config::Listener& old : before.listeners)
      if (l.bind == old.bind && l.access != old.access) apply_access(l.bind, l.access);
  if (now.admin.bind && now.admin.bind == before.admin.bind && now.admin.access != before.admin.access)
    apply_access(*now.admin.bind, now.admin.access);
}

}  // namespace remora
