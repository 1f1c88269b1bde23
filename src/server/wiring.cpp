// Wires the server's parts with references and functions, so that none of them knows the server. Also
// implements the admin API's actions.

#include <algorithm>
#include <boost/asio/post.hpp>

#include "server/restart_state.h"
#include "server/server.h"

namespace remora {

BackendStatus::Reports Server::status_reports() {
  BackendStatus::Reports reports;
  reports.publish = [this] { publish(); };
  reports.settled = [this](const std::shared_ptr<Backend>& backend) {
    for (auto& worker : workers_) worker->settled(backend);
  };
  reports.went_down = [this] { discovery_.drop_dead_leavers(); };
  return reports;
}

Discovery::Reports Server::discovery_reports() {
  Discovery::Reports reports;
  reports.changed = [this] { rebuild(); };
  reports.changed_within = [this] { asio::post(loop_.ctx, [this] { rebuild(); }); };
  reports.moved = [this](const std::shared_ptr<Backend>& backend) { status_.forgive(backend); };
  return reports;
}

HotRestart::Hooks Server::hot_restart_hooks() {
  HotRestart::Hooks hooks;
  hooks.serving = [this] { return phase_ == Phase::serving; };
  hooks.handover = [this] { return handover(); };
  hooks.serves = [this](pid_t child) { hand_over(child); };
  return hooks;
}

HotRestart::Handover Server::handover() const {
  HotRestart::Handover out;
  for (const OpenListener& l : listeners_.open()) out.listeners.push_back({l.bind.text(), l.fds});
  if (admin_) out.admin = {config_.admin.bind->text(), {admin_->fd()}};
  out.state = restart_state(builder_, status_, discovery_);
  return out;
}

Listeners::Hooks Server::listener_hooks() {
  Listeners::Hooks hooks;
  hooks.inherited = [this](const config::Listener& listener) {
    return inherited_ ? inherited_->take_listener(listener.bind, worker_count_) : std::vector<UniqueFd>();
  };
  hooks.serve = [this](std::size_t nth, UniqueFd socket, std::size_t slot) {
    workers_[nth % workers_.size()]->listen(
        {std::move(socket), {slot, builder_.last()->listeners[slot]->shared}});
  };
  hooks.retire = [this](std::size_t slot) {
    for (auto& worker : workers_) worker->retire(slot);
  };
  return hooks;
}

Housekeeping::Tasks Server::housekeeping_tasks() {
  Housekeeping::Tasks tasks;
  tasks.recover = [this] {
    status_.judge_all();
    status_.republish();
    discovery_.look_up_due();
    keys_.fetch_due();
  };
  tasks.unknown_keys = [this] { return builder_.refused(Cause::unknown_key); };
  tasks.every_second = [this] { every_second(); };
  return tasks;
}

/// The functions are called by workers, on their threads.
Worker::Reports Server::worker_reports() {
  Worker::Reports reports;
  reports.failures = [this](const std::shared_ptr<Backend>& backend, Ejected how) {
    asio::post(loop_.ctx, [this, backend, how] {
      status_.failures_reported(backend, how, phase_ == Phase::serving || phase_ == Phase::delaying);
    });
  };
  reports.lost = [this](const std::shared_ptr<Backend>& backend) {
    asio::post(loop_.ctx, [this, backend] {
      if (phase_ == Phase::serving) discovery_.backend_lost(*backend);
    });
  };
  reports.unknown_key = [this](const std::string& url) {
    asio::post(loop_.ctx, [this, url] { keys_.unknown_key(url); });
  };
  reports.suspect = [this](const std::shared_ptr<Backend>& backend, std::chrono::milliseconds within) {
    asio::post(loop_.ctx, [this, backend, within] { status_.look_into(backend, within); });
  };
  return reports;
}

void Server::every_second() {
  // One worker's view is enough: each has its own connection, but to the same store servers.
  if (config_.store.shared())
    workers_.front()->ask_about_store([this](bool available, std::string error) {
      asio::post(loop_.ctx,
                 [this, available, error = std::move(error)] { store_watch_.heard(available, error); });
    });
  if (phase_ == Phase::serving) discovery_.look_up_early();
  // Expired sessions leave room: drop them sooner than the tables' sweep does.
  const auto& pools = builder_.last()->pools;
  const bool has_rooms = std::any_of(pools.begin(), pools.end(), [](const auto& pool) {
    const auto& all = pool->snapshot->members;
    return std::any_of(all.begin(), all.end(), [](const Member& m) { return m.max_sessions != 0; });
  });
  if (has_rooms) session_counter_.refresh(now());
}

std::optional<Clock::Wall> Server::deadline(const std::string& pool, const std::string& backend) const {
  return status_.deadline(pool, backend);
}

std::string Server::health_note(const Backend& backend) const {
  const std::string note = discovery_.note(backend);
  return note.empty() ? status_.note(backend) : note;
}

std::string Server::set_admin(const std::string& pool, const std::string& backend, config::AdminState admin,
                              std::optional<std::chrono::milliseconds> deadline) {
  if (hot_restart_.under_way()) return "an upgrade is under way; ask again in a moment";
  return status_.set_admin(pool, backend, admin, deadline);
}

}  // namespace remora
