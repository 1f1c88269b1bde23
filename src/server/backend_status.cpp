#include "server/backend_status.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "admin/api.h"

namespace remora {

using std::chrono::milliseconds;

BackendStatus::BackendStatus(Surroundings around, std::string state_dir, std::unique_ptr<Alarm> alarm,
                             Reports reports)
    : around_(around),
      alarm_(std::move(alarm)),
      reports_(std::move(reports)),
      overrides_(std::move(state_dir)),
      checker_(
          around.loop,
          [this](const std::shared_ptr<Backend>& b, Health state, const std::string& why) {
            flipped(b, state, why);
          },
          [this](const std::shared_ptr<Backend>& b) { reports_.settled(b); }),
      deadlines_seen_(around.clock.wall_now()) {}

void BackendStatus::load_overrides() {
  std::string error;
  overrides_.load(error);
  if (!error.empty()) spdlog::error("{}", error);
}

void BackendStatus::follow(const config::Config& config) {
  overrides_.follow(config);
}

void BackendStatus::begin() {
  checker_.configure(around_.builder.last()->pools);
  refresh(now());
  await_change();
}

void BackendStatus::configure() {
  checker_.configure(around_.builder.last()->pools);
  ejector_.retain([&](const Backend* backend) {
    return around_.builder.find_backend(backend->pool, backend->id).get() == backend;
  });
}

void BackendStatus::republish() {
  const ClockReading at = now();
  refresh(at);
  announce_passed_deadlines(at.wall);
  reports_.publish();
  await_change();
}

/// Announces deadlines since the last call. Not done by the timer: a short deadline may pass before the timer
/// is set.
void BackendStatus::announce_passed_deadlines(Clock::Wall until) {
  for (const auto& pool : around_.builder.last()->pools)
    for (const Member& m : pool->snapshot->members) {
      const AdminOverride* const wanted = overrides_.find(pool->config.name, m.backend->id);
      if (!m.leaving || wanted == nullptr || !wanted->deadline || *wanted->deadline <= deadlines_seen_)
        continue;
      const std::string streams = m.ends_streams
                                      ? ", ending its open streams within " +
                                            std::to_string(pool->config.drain.spread.count()) + " ms"
                                      : "";
      spdlog::info("backend {}/{}: drain deadline passed; moving its remaining sessions{}", m.backend->pool,
                   m.backend->id, streams);
      announce(*m.backend, {{"deadline", "passed"}});
    }
  deadlines_seen_ = std::max(deadlines_seen_, until);
}

void BackendStatus::announce(const Backend& backend, boost::json::object what) {
  what["pool"] = backend.pool;
  what["backend"] = backend.id;
  around_.events.emit("backend", std::move(what), around_.clock.wall_now());
}

void BackendStatus::flipped(const std::shared_ptr<Backend>& backend, Health state, const std::string& why) {
  const bool up = state == Health::up;
  spdlog::log(up ? spdlog::level::info : spdlog::level::warn, "backend {}/{} is {}: {}", backend->pool,
              backend->id, up ? "up" : "down", why);
  announce(*backend, {{"health", up ? "up" : "down"}, {"why", why}});
  republish();
  if (!up) reports_.went_down();
}

void BackendStatus::failures_reported(const std::shared_ptr<Backend>& backend, Ejected how, bool may_eject) {
  struct Judged {  // runs last, after workers have the new status, and also on exceptions
    Backend& backend;
    ~Judged() { backend.failures.judged(); }
  } judged{*backend};
  if (may_eject) eject(backend, how);
}

void BackendStatus::eject(const std::shared_ptr<Backend>& backend, Ejected how) {
  for (const auto& pool : around_.builder.last()->pools) {
    const auto& members = pool->snapshot->members;
    if (std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.backend == backend; }))
      continue;
    const auto length =
        ejector_.report(backend, how, pool->config.eject, members.size(), around_.clock.steady_now());
    if (!length) return;
    spdlog::warn("backend {}/{} ejected for {} ms after {} consecutive {}; it accepts {}", backend->pool,
                 backend->id, length->count(), pool->config.eject.consecutive_failures,
                 how == Ejected::all ? "failed connections" : "failed responses",
                 how == Ejected::all ? "nothing" : "no new sessions");
    announce(*backend,
             {{"ejected", how == Ejected::all ? "all" : "new_sessions"}, {"for_ms", length->count()}});
    republish();
    return;
  }
}

void BackendStatus::judge_all() {
  for (const auto& pool : around_.builder.last()->pools)
    for (const Member& m : pool->snapshot->members) m.backend->failures.judged();
}

void BackendStatus::forgive(const std::shared_ptr<Backend>& backend) {
  backend->failures.succeeded();
  ejector_.forgive(*backend);
}

void BackendStatus::look_into(const std::shared_ptr<Backend>& backend, milliseconds within) {
  checker_.look_into(backend, within);
}

void BackendStatus::await_change() {
  const ClockReading at = now();
  std::optional<Clock::Steady> next = ejector_.next_end();
  const auto sooner = [&](Clock::Steady t) { next = next ? std::min(*next, t) : t; };
  constexpr milliseconds slow_start_step{200};
  if (around_.builder.warming_up()) sooner(at.steady + slow_start_step);
  if (const auto deadline = overrides_.next_deadline(std::max(at.wall, deadlines_seen_)))
    sooner(at.steady + (*deadline - at.wall));
  if (!next) return;
  alarm_->set(*next, [this] {
    end_ejections();
    republish();
  });
}

void BackendStatus::end_ejections() {
  for (const auto& backend : ejector_.expire(around_.clock.steady_now())) {
    backend->failures.succeeded();
    spdlog::info("backend {}/{} is no longer ejected", backend->pool, backend->id);
    announce(*backend, {{"ejected", "no"}});
  }
}

std::optional<Clock::Wall> BackendStatus::deadline(const std::string& pool,
                                                   const std::string& backend) const {
  const AdminOverride* const wanted = overrides_.find(pool, backend);
  return wanted != nullptr ? wanted->deadline : std::nullopt;
}

std::string BackendStatus::set_admin(const std::string& pool, const std::string& backend,
                                     config::AdminState admin, std::optional<milliseconds> limit) {
  AdminOverride wanted;
  wanted.admin = admin;
  if (limit) wanted.deadline = around_.clock.wall_now() + *limit;
  const PoolView* view = nullptr;
  for (const auto& p : around_.builder.last()->pools)
    if (p->config.name == pool) view = p.get();
  if (view == nullptr) return "there is no pool '" + pool + "'";
  const Backend* found = nullptr;
  for (std::size_t i = 0; i < view->snapshot->members.size(); ++i) {
    if (view->snapshot->members[i].backend->id != backend) continue;
    found = view->snapshot->members[i].backend.get();
    wanted.file = view->config.backends[i].admin;
  }
  if (found == nullptr) return "pool " + pool + " has no backend '" + backend + "'";
  const std::string error = overrides_.set(pool, backend, wanted);
  if (!error.empty())
    spdlog::error(
        "the administrative state applies, but will be lost at the next restart: writing it to state_dir "
        "failed: {}",
        error);
  if (limit)
    spdlog::info("backend {}/{}: administrative state set to {}, for at most {} s", pool, backend,
                 to_string(admin), std::chrono::duration_cast<std::chrono::seconds>(*limit).count());
  else
    spdlog::info("backend {}/{}: administrative state set to {}", pool, backend, to_string(admin));
  boost::json::object what{{"admin", to_string(admin)}};
  if (wanted.deadline) what["deadline"] = time_text(*wanted.deadline);
  announce(*found, std::move(what));
  republish();
  return "";
}

void BackendStatus::stop() {
  checker_.stop();
  alarm_->cancel();
}

}  // namespace remora
