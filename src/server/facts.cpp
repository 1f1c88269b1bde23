// What is known of backends: probes, live traffic and operators' overrides, brought together and published.

#include <spdlog/spdlog.h>

#include <algorithm>

#include "server/server.h"

namespace remora {

using std::chrono::milliseconds;

void Server::publish() {
  for (auto& worker : workers_) worker->publish(builder_.last());
  if (session_server_) session_server_->publish(builder_.last());
}

void Server::republish() {
  const Moment at = now();
  builder_.with_status(checker_, ejector_, overrides_, at);
  announce_passed_deadlines(at.wall);
  publish();
  await_return();
}

/// Those since the last look, and not by the timer: a short one may have passed before it is ever waited for.
void Server::announce_passed_deadlines(Clock::Wall until) {
  for (const auto& pool : builder_.last()->pools)
    for (const Member& m : pool->snapshot->members) {
      const AdminOverride* const wanted = overrides_.find(pool->config.name, m.backend->id);
      if (!m.leaving || wanted == nullptr || !wanted->deadline || *wanted->deadline <= deadlines_seen_)
        continue;
      spdlog::info("backend {}/{}: drain deadline passed; moving its remaining sessions", m.backend->pool,
                   m.backend->id);
      announce(*m.backend, {{"deadline", "passed"}});
    }
  deadlines_seen_ = std::max(deadlines_seen_, until);
}

void Server::announce(const Backend& backend, boost::json::object what) {
  what["pool"] = backend.pool;
  what["backend"] = backend.id;
  events_.emit("backend", std::move(what), clock_.wall_now());
}

void Server::flipped(const std::shared_ptr<Backend>& backend, Health state, const std::string& why) {
  const bool up = state == Health::up;
  spdlog::log(up ? spdlog::level::info : spdlog::level::warn, "backend {}/{} is {}: {}", backend->pool,
              backend->id, up ? "up" : "down", why);
  announce(*backend, {{"health", up ? "up" : "down"}, {"why", why}});
  republish();
  if (!up) drop_dead_leavers();
}

/// Live traffic showed that a backend fails.
void Server::eject(const std::shared_ptr<Backend>& backend, Ejected how) {
  struct Judged {  // the last thing, when workers have been told
    Backend& backend;
    ~Judged() { backend.failures.judged(); }
  } judged{*backend};
  if (phase_ != Phase::serving && phase_ != Phase::delaying) return;
  for (const auto& pool : builder_.last()->pools) {
    const auto& members = pool->snapshot->members;
    if (std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.backend == backend; }))
      continue;
    const auto length =
        ejector_.report(backend, how, pool->config.eject, members.size(), clock_.steady_now());
    if (!length) return;
    spdlog::warn("backend {}/{} is ejected for {} ms: {} {} in a row; it takes {}", backend->pool,
                 backend->id, length->count(), pool->config.eject.consecutive_failures,
                 how == Ejected::all ? "failed connections" : "failed answers",
                 how == Ejected::all ? "nothing" : "no new sessions");
    announce(*backend,
             {{"ejected", how == Ejected::all ? "all" : "new_sessions"}, {"for_ms", length->count()}});
    republish();
    return;
  }
}

/// Sleeps until an ejection ends, a backend in its slow start is worth more, or a drain's deadline passes.
void Server::await_return() {
  const Moment at = now();
  std::optional<Clock::Steady> next = ejector_.next_end();
  const auto sooner = [&](Clock::Steady t) { next = next ? std::min(*next, t) : t; };
  if (builder_.warming_up()) sooner(at.steady + milliseconds(200));
  if (const auto deadline = overrides_.next_deadline(std::max(at.wall, deadlines_seen_)))
    sooner(at.steady + (*deadline - at.wall));
  if (!next) return;
  return_timer_.expires_at(*next);
  return_timer_.async_wait([this](const error_code& ec) {
    if (ec) return;
    for (const auto& backend : ejector_.expire(clock_.steady_now())) {
      backend->failures.succeeded();
      spdlog::info("backend {}/{} is back from its ejection", backend->pool, backend->id);
      announce(*backend, {{"ejected", "no"}});
    }
    republish();
  });
}

}  // namespace remora
