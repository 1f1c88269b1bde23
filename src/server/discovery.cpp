#include "server/discovery.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/discovered_config.h"
#include "server/discovery_state.h"

namespace remora {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds retry_after{1000};   // after a failed lookup
constexpr milliseconds shortest_pause{10};  // minimum time between checks for due lookups

bool contains(const std::vector<std::string>& ids, const std::string& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

void add_follower(WatchedName& watched, const config::Backend& entry) {
  watched.rules.refresh =
      watched.ids.empty() ? entry.follow->refresh : std::min(watched.rules.refresh, entry.follow->refresh);
  watched.ids.push_back(entry.id);
}

}  // namespace

Discovery::Discovery(Surroundings around, std::unique_ptr<Alarm> alarm, Reports reports, NameFiles files)
    : around_(around), alarm_(std::move(alarm)), reports_(std::move(reports)), files_(std::move(files)) {}

void Discovery::watch(const config::Config& config) {
  WatchedNames old;
  old.swap(names_);
  for (const config::Pool& pool : config.pools)
    for (const config::Backend& entry : pool.backends) {
      if (!is_watched(entry)) continue;
      const std::string key = watch_key(pool.name, entry);
      WatchedName& watched = names_[key];
      if (const auto before = old.find(key); before != old.end()) {
        watched = std::move(before->second);
        watched.ids.clear();
        watched.next = {};
        old.erase(before);
      }
      watched.pool = pool.name;
      watched.name = entry.address.host;
      if (entry.discovery) watched.rules = *entry.discovery;
      if (entry.follow) add_follower(watched, entry);
      adopt_answer(key, watched);
    }
  if (names_.empty()) {
    alarm_->cancel();
    return;
  }
  file_stamps_ = stamps();
  look_up_due();
}

void Discovery::adopt_answer(const std::string& key, WatchedName& watched) {
  const auto known = inherited_.find(key);
  if (known == inherited_.end()) return;
  watched.records = std::move(known->second);
  watched.set.update(preferred(watched.records, watched.rules.prefer), around_.clock.steady_now());
  watched.answered = true;
  inherited_.erase(known);
}

config::Config Discovery::config_for(const config::Config& config) const {
  return with_discovered(config, names_, around_.builder.last().get());
}

bool Discovery::busy() const {
  return std::any_of(names_.begin(), names_.end(), [](const auto& e) { return e.second.asking; });
}

void Discovery::warn_of_unanswered() const {
  for (const auto& [key, w] : names_)
    if (!w.answered)
      spdlog::warn("pool {}: DNS lookup of {} is still pending; starting without {}", w.pool, w.name,
                   w.follows() ? w.ids.front() : "its backends");
}

void Discovery::look_up_due() {
  if (stopped_) return;
  const Clock::Steady at = around_.clock.steady_now();
  bool gone = false;
  for (auto& [key, watched] : names_) {
    if (!watched.asking && at >= watched.next) ask(key, watched);
    if (watched.set.expire(watched.rules.hold, at)) gone = true;
  }
  if (gone) reports_.changed();
  await_next();
}

void Discovery::ask(const std::string& key, WatchedName& watched) {
  watched.asking = true;
  watched.asked = around_.clock.steady_now();
  around_.names.ask(watched.name, watched.rules.srv,
                    [this, key](const DnsAnswer& answer) { answered(key, answer); });
}

void Discovery::answered(const std::string& key, const DnsAnswer& answer) {
  const auto it = names_.find(key);
  if (it == names_.end()) return;  // removed by a reload meanwhile
  WatchedName& watched = it->second;
  watched.asking = false;
  const Snapshot* const active = around_.builder.last().get();
  // From now on, a backend that becomes unreachable triggers another lookup.
  if (active != nullptr)
    for (const auto& view : active->pools)
      if (view->config.name == watched.pool)
        for (const Member& m : view->snapshot->members) m.backend->lost = false;
  log_failure(watched, answer);
  const Clock::Steady at = around_.clock.steady_now();
  const bool failed = !answer.error.empty() || !answer.gap_reason.empty();
  watched.next = at + (failed ? std::max(watched.rules.refresh, retry_after)
                              : std::max<milliseconds>(watched.rules.refresh, answer.ttl));
  if (answer.error.empty() && take_over(watched, answer)) {
    reports_.changed();
    if (active != nullptr) drop_dead_leavers();
  }
  await_next();
}

/// Logs a failure once, and once more when it is over.
void Discovery::log_failure(WatchedName& watched, const DnsAnswer& answer) {
  const bool half = answer.error.empty() && !answer.gap_reason.empty();
  const std::string error = half ? "incomplete answer: " + answer.gap_reason : answer.error;
  if (error.empty() && !watched.error.empty())
    spdlog::info("pool {}: DNS lookup of {} succeeded again", watched.pool, watched.name);
  if (!error.empty() && watched.error != error) {
    if (half)
      spdlog::warn("pool {}: DNS lookup partly failed ({}); keeping the last addresses of the missing part",
                   watched.pool, error);
    else
      spdlog::warn("pool {}: DNS lookup failed ({}); keeping the last addresses", watched.pool, error);
    around_.events.emit("discovery", {{"pool", watched.pool}, {"name", watched.name}, {"error", error}},
                        around_.clock.wall_now());
  }
  watched.error = error;
  if (answer.cut)
    spdlog::warn("pool {}: {} has too many records; using the first {}", watched.pool, watched.name,
                 Resolver::max_records);
}

/// Returns true if something has changed.
bool Discovery::take_over(WatchedName& watched, const DnsAnswer& answer) {
  const Clock::Steady at = around_.clock.steady_now();
  const std::vector<std::string> before = order_of_trial(watched.records);
  watched.records = merge_answer(watched.records, answer);
  const bool first = !std::exchange(watched.answered, true);
  const bool changed = watched.follows()
                           ? order_of_trial(watched.records) != before
                           : watched.set.update(preferred(watched.records, watched.rules.prefer), at);
  if (!changed && !first) return false;
  if (watched.follows() && watched.records.empty())
    spdlog::warn("pool {}: {} has no address; backend {} is down until it gets one", watched.pool,
                 watched.name, watched.ids.front());
  else
    spdlog::info("pool {}: {} resolves to {} address(es)", watched.pool, watched.name,
                 watched.records.size());
  around_.events.emit("discovery",
                      {{"pool", watched.pool}, {"name", watched.name}, {"addresses", watched.records.size()}},
                      around_.clock.wall_now());
  if (watched.follows())
    forgive_followers(watched);
  else if (watched.rules.hold.count() == 0)
    watched.set.expire(watched.rules.hold, at);
  return true;
}

void Discovery::forgive_followers(const WatchedName& watched) {
  for (const std::string& id : watched.ids)
    if (const auto backend = around_.builder.find_backend(watched.pool, id)) reports_.moved(backend);
}

void Discovery::backend_lost(const Backend& backend) {
  bool any = false;
  for (auto& [key, watched] : names_) {
    if (watched.pool != backend.pool) continue;
    if (watched.follows() && !contains(watched.ids, backend.id)) continue;
    watched.next = std::min(watched.next, watched.asked + retry_after);
    any = true;
  }
  if (any) look_up_due();
}

bool Discovery::is_out(const WatchedName& watched) const {
  for (const auto& view : around_.builder.last()->pools) {
    if (view->config.name != watched.pool) continue;
    for (const Member& m : view->snapshot->members)
      if ((m.health == Health::down || m.ejected != Ejected::no) && contains(watched.ids, m.backend->id))
        return true;
  }
  return false;
}

void Discovery::look_up_early() {
  if (names_.empty()) return;
  const std::array<FileStamp, 2> now = stamps();
  const bool files_changed = std::exchange(file_stamps_, now) != now;
  bool any = false;
  for (auto& [key, watched] : names_) {
    const Clock::Steady before = watched.next;
    if (files_changed) watched.next = std::min(watched.next, watched.asked);
    if (watched.follows() && is_out(watched))
      watched.next = std::min(watched.next, watched.asked + std::max(watched.rules.refresh, retry_after));
    any = any || watched.next != before;
  }
  if (any) look_up_due();
}

void Discovery::await_next() {
  std::optional<Clock::Steady> next;
  const auto sooner = [&](Clock::Steady t) { next = next ? std::min(*next, t) : t; };
  for (const auto& [key, watched] : names_) {
    if (!watched.asking) sooner(watched.next);
    if (const auto expiry = watched.set.next_expiry(watched.rules.hold)) sooner(*expiry);
  }
  if (!next || stopped_) return;
  alarm_->set(std::max(*next, around_.clock.steady_now() + shortest_pause), [this] { look_up_due(); });
}

bool Discovery::is_dead_leaver(const std::string& pool, const std::string& ip, std::uint16_t port) const {
  for (const auto& view : around_.builder.last()->pools) {
    if (view->config.name != pool) continue;
    for (std::size_t i = 0; i < view->config.backends.size(); ++i) {
      const config::Backend& b = view->config.backends[i];
      const bool same = b.leaving && b.ip == ip && (port == 0 || b.address.port == port);
      if (same && view->snapshot->members[i].health == Health::down) return true;
    }
  }
  return false;
}

void Discovery::drop_dead_leavers() {
  bool gone = false;
  for (auto& [key, watched] : names_) {
    const bool some =
        watched.set.drop_dead([&, pool = watched.pool](const std::string& ip, std::uint16_t port) {
          return is_dead_leaver(pool, ip, port);
        });
    gone = gone || some;
  }
  if (gone) reports_.changed_within();
}

std::string Discovery::note(const Backend& backend) const {
  for (const auto& [key, w] : names_)
    if (w.pool == backend.pool && w.records.empty() && contains(w.ids, backend.id))
      return w.error.empty() ? w.name + " has no address" : w.error;
  return "";
}

boost::json::object Discovery::state() const {
  return discovery_state(names_);
}

void Discovery::adopt(const boost::json::value& state) {
  inherited_ = parse_discovery_state(state);
}

std::array<FileStamp, 2> Discovery::stamps() const {
  return {stamp_of(files_.resolv_conf), stamp_of(files_.hosts)};
}

void Discovery::stop() {
  stopped_ = true;
  alarm_->cancel();
}

}  // namespace remora
