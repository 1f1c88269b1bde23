// Another configuration: read, checked, opened, and only then in force. What it does not change goes on.

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "affinity/registry.h"
#include "config/loader.h"
#include "net/unix_path.h"
#include "pool/queue.h"
#include "server/exposed.h"
#include "server/log.h"
#include "server/server.h"
#include "server/systemd.h"

namespace remora {

namespace {
/// A socket that stays open gets the mode and group that the file says now.
void follow_access(const config::Address& bind, const config::SocketAccess& access) {
  if (bind.kind != config::Address::Kind::unix_path) return;
  config::SocketAccess wanted = access;
  if (!wanted.group) wanted.group = ::getegid();
  if (const int error = set_socket_access(bind.host, wanted); error != 0)
    spdlog::error("changing mode and group of {} failed: {}", bind.text(), socket_access_advice(error));
}
}  // namespace

/// What a running process cannot change, by name.
std::vector<std::string> Server::fixed_for_life(const config::Config& fresh) const {
  std::vector<std::string> out;
  const auto refuse = [&](const char* key, const char* why) {
    out.push_back(file_ + ": " + key + ": needs a restart or an upgrade (SIGUSR2): " + why);
  };
  if (fresh.workers != config_.workers)
    refuse("workers", "closing one of several sockets on a port would reset the connections that wait in it");
  if (fresh.state_dir != config_.state_dir) refuse("state_dir", "keys and wishes were read from the old one");
  if (!(fresh.session_api == config_.session_api)) refuse("session_api", "it is opened at the start");
  if (!(fresh.store == config_.store))
    refuse("store", "the table is made and the store is connected to at the start");
  if (fresh.dns_servers != config_.dns_servers) refuse("dns.servers", "the resolver is made at the start");
  if (fresh.log.output != config_.log.output || fresh.log.format != config_.log.format ||
      fresh.log.access_format != config_.log.access_format ||
      fresh.log.access_output != config_.log.access_output)
    refuse("log", "only its level can change while it is written");
  return out;
}

/// A file that is wrong changes nothing and says why; a good one replaces the snapshot.
std::vector<std::string> Server::reload() {
  notify_systemd_reloading();
  if (access_writer_ && !access_writer_->reopen())
    spdlog::error("the access log cannot be opened again; the old file stays in use");
  if (!refresh_log(config_.log)) spdlog::error("the log cannot be opened again; the old file stays in use");
  const auto refused = [&](std::vector<std::string> lines) {
    for (const auto& line : lines) spdlog::error("{}", line);
    spdlog::error("reload refused: nothing was changed");
    events_.emit("reload", {{"refused", lines.front()}}, clock_.wall_now());
    notify_systemd("READY=1");
    return lines;
  };
  if (phase_ != Phase::serving || child_)
    return refused({"this process is stopping or being replaced; ask again in a moment"});
  auto loaded = config::load_file(file_, affinity_kinds());
  if (auto* errors = std::get_if<config::LoadError>(&loaded)) return refused(std::move(errors->lines));
  const auto& fresh = std::get<config::Config>(loaded);
  // An editor or a copy may be in the middle of it, and half a file can be a good one.
  if (!fresh.text.ends_with('\n') && config_.text.ends_with('\n'))
    return refused(
        {file_ + ": ends in the middle of a line: is it still being written? (end it with a line end)"});
  if (auto fixed = fixed_for_life(fresh); !fixed.empty()) return refused(std::move(fixed));
  try {
    install(fresh);
  } catch (const std::exception& e) {
    return refused({e.what()});
  }
  refresh_log(config_.log);  // its level may have changed
  for (const std::string& doubt : config::doubts(config_)) spdlog::warn("{}", doubt);
  spdlog::info("reloaded {}", file_);
  events_.emit("reload", {{"config_hash", config_.hash}}, clock_.wall_now());
  notify_systemd("READY=1");
  return {};
}

/// Everything that can fail comes first. Throws std::runtime_error; then nothing has changed.
void Server::install(const config::Config& fresh) {
  const auto built = builder_.build(with_discovered(fresh), load_keys(fresh));
  std::unique_ptr<AdminServer> admin;
  const bool moves_admin = fresh.admin.bind != config_.admin.bind;
  if (moves_admin && fresh.admin.bind)
    admin = std::make_unique<AdminServer>(loop_, fresh.admin, -1, actions());
  const auto opened = open_new(*built);

  const std::vector<config::Listener> before = config_.listeners;
  const config::SocketAccess admin_before = config_.admin.access;
  config_ = fresh;
  for (const config::Listener& l : config_.listeners)
    for (const config::Listener& old : before)
      if (l.bind == old.bind && l.access != old.access) follow_access(l.bind, l.access);
  if (!moves_admin && config_.admin.bind && config_.admin.access != admin_before)
    follow_access(*config_.admin.bind, config_.admin.access);
  for (const std::string& line : exposed_secrets(config_)) spdlog::warn("{}", line);
  overrides_.follow(config_);
  put_in_force(built);
  listen(opened);
  retire_gone(*built);
  if (moves_admin) {
    // The answer to the request that brought this is still to be sent, by the old one.
    asio::post(loop_.ctx, [old = std::shared_ptr<AdminServer>(std::move(admin_))] {});
    admin_ = std::move(admin);
    if (admin_) spdlog::info("admin on {}", bound_address(admin_->fd(), *config_.admin.bind));
  }
  discover();
  keys_.watch(config_.jwt);
}

void Server::put_in_force(const std::shared_ptr<const Snapshot>& built) {
  builder_.commit(built);
  checker_.configure(builder_.last()->pools);
  ejector_.retain([&](const Backend* backend) {
    return builder_.find_backend(backend->pool, backend->id).get() == backend;
  });
  republish();
  // Behind the snapshot: whoever enters now looks at it.
  for (const auto& pool : builder_.last()->pools)
    for (const Member& m : pool->snapshot->members) m.backend->queue->admit(m.backend, m.max_in_flight);
}

std::vector<Server::OpenListener> Server::open_new(const Snapshot& built) {
  std::vector<OpenListener> opened;
  try {
    for (const std::size_t slot : built.serving) {
      if (stays_open(built, slot)) continue;
      const config::Listener& l = built.listeners[slot]->config;
      opened.push_back({slot, l.bind, descriptors_for(l)});
    }
  } catch (...) {
    for (const OpenListener& l : opened)
      for (const int fd : l.fds) ::close(fd);
    throw;
  }
  return opened;
}

/// Inherited from the process before or from systemd, or opened.
std::vector<int> Server::descriptors_for(const config::Listener& listener) {
  if (inherited_) {
    std::vector<int> fds = inherited_->take_listener(listener.bind, worker_count_);
    if (!fds.empty()) return fds;
  }
  const bool ours = std::any_of(listeners_.begin(), listeners_.end(), [&](const OpenListener& l) {
    return l.bind.kind == config::Address::Kind::tcp && l.bind.port == listener.bind.port && l.bind.port != 0;
  });
  return open_listener(listener, worker_count_, ours);
}

/// It is open, and takes what the file wants: `[::]` has to be opened anew when IPv4 becomes its own.
bool Server::stays_open(const Snapshot& built, std::size_t slot) const {
  if (std::none_of(listeners_.begin(), listeners_.end(), [&](const auto& l) { return l.slot == slot; }))
    return false;
  return !builder_.last()->listeners[slot]->config.v6_only || built.listeners[slot]->config.v6_only ||
         built.listeners[slot]->config.bind.host != "::";
}

/// The workers already have, or will get first, the snapshot that knows the slots.
void Server::listen(const std::vector<OpenListener>& opened) {
  for (const OpenListener& l : opened) {
    std::erase_if(listeners_, [&](const OpenListener& old) {  // opened anew
      if (old.slot == l.slot)
        for (auto& worker : workers_) worker->retire(l.slot);
      return old.slot == l.slot;
    });
    const auto& shared = builder_.last()->listeners[l.slot]->shared;
    for (std::size_t i = 0; i < l.fds.size(); ++i)
      workers_[i % workers_.size()]->listen({l.fds[i], {l.slot, shared}});
    spdlog::info("listening on {}", bound_address(l.fds.front(), l.bind));
    listeners_.push_back(l);
  }
}

void Server::retire_gone(const Snapshot& built) {
  std::erase_if(listeners_, [&](const OpenListener& l) {
    if (std::find(built.serving.begin(), built.serving.end(), l.slot) != built.serving.end()) return false;
    spdlog::info("no longer listening on {}", l.bind.text());
    for (auto& worker : workers_) worker->retire(l.slot);
    if (l.bind.kind == config::Address::Kind::unix_path) remove_socket(l.bind.host);
    return true;
  });
}

}  // namespace remora
