// Backends from DNS: names asked again as their records expire, answers turned into members.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "net/address.h"
#include "server/server.h"

namespace remora {

using std::chrono::milliseconds;

namespace {

std::string watch_key(const std::string& pool, const config::Backend& entry) {
  if (entry.follow) return pool + "\nfollow " + entry.address.host;
  return pool + '\n' + (entry.discovery->srv ? "srv " + entry.address.host : entry.address.text());
}

constexpr milliseconds retry_after{1000};  // a question that nobody answered

bool watches(const config::Backend& entry) {
  return entry.discovery || entry.follow;
}

}  // namespace

/// Begins to watch what the configuration names, forgets what it no longer does, asks for all of it.
void Server::discover() {
  std::map<std::string, Watched> old;
  old.swap(watched_);
  for (const config::Pool& pool : config_.pools)
    for (const config::Backend& entry : pool.backends) {
      if (!watches(entry)) continue;
      const std::string key = watch_key(pool.name, entry);
      const auto before = old.find(key);
      Watched& w = watched_[key];
      if (before != old.end()) {
        w = std::move(before->second);
        w.ids.clear();
        w.next = {};
        old.erase(before);
      }
      w.pool = pool.name;
      w.name = entry.address.host;
      if (entry.discovery) w.rules = *entry.discovery;
      if (entry.follow) {
        w.rules.refresh =
            w.ids.empty() ? entry.follow->refresh : std::min(w.rules.refresh, entry.follow->refresh);
        w.ids.push_back(entry.id);
      }
      if (const auto known = inherited_answers_.find(key); known != inherited_answers_.end()) {
        w.records = std::move(known->second);
        w.set.update(preferred(w.records, w.rules.prefer), clock_.steady_now());
        w.answered = true;
        inherited_answers_.erase(known);
      }
    }
  if (watched_.empty()) {
    dns_timer_.cancel();
    return;
  }
  name_files_ = {stamp_of(NameFiles().resolv_conf), stamp_of(NameFiles().hosts)};
  look_up_due();
}

void Server::look_up_due() {
  const Clock::Steady at = clock_.steady_now();
  bool gone = false;
  for (auto& [key, w] : watched_) {
    if (!w.asking && at >= w.next) ask_dns(key);
    if (w.set.expire(w.rules.hold, at)) gone = true;
  }
  if (gone) rebuild();
  await_dns();
}

void Server::ask_dns(const std::string& key) {
  Watched& w = watched_.at(key);
  w.asking = true;
  w.asked = clock_.steady_now();
  names_.ask(w.name, w.rules.srv, [this, key](const DnsAnswer& answer) { heard(key, answer); });
}

/// A start without backends would refuse the first requests: waits a moment for the first answers.
void Server::await_first_answers() {
  discover();
  keys_.watch(config_.jwt);
  if (watched_.empty() && keys_.empty()) return;
  auto guard = asio::make_work_guard(loop_.ctx);
  const Clock::Steady limit = clock_.steady_now() + std::chrono::seconds(3);
  const auto missing = [&] {
    return keys_.busy() ||
           std::any_of(watched_.begin(), watched_.end(), [](const auto& e) { return e.second.asking; });
  };
  while (missing() && clock_.steady_now() < limit) loop_.ctx.run_one_until(limit);
  guard.reset();
  loop_.ctx.restart();  // it may have run out of work, and is run again
  for (const auto& [key, w] : watched_)
    if (!w.answered)
      spdlog::warn("pool {}: DNS lookup of {} is still pending; starting without {}", w.pool, w.name,
                   w.follows() ? w.ids.front() : "its backends");
}

void Server::heard(const std::string& key, const DnsAnswer& answer) {
  const auto it = watched_.find(key);
  if (it == watched_.end()) return;  // a reload was faster
  Watched& w = it->second;
  w.asking = false;
  // Whoever cannot be reached from now on is a reason to ask again.
  if (builder_.started())
    for (const auto& view : builder_.last()->pools)
      if (view->config.name == w.pool)
        for (const Member& m : view->snapshot->members) m.backend->lost = false;
  note_trouble(w, answer);
  const Clock::Steady at = clock_.steady_now();
  const bool failed = !answer.error.empty() || !answer.gap_reason.empty();
  w.next = at + (failed ? std::max(w.rules.refresh, retry_after)
                        : std::max<milliseconds>(w.rules.refresh, answer.ttl));
  if (answer.error.empty() && take_over(w, answer)) {
    rebuild();
    if (builder_.started()) drop_dead_leavers();
  }
  await_dns();
}

/// Said once, and once more when it is over.
void Server::note_trouble(Watched& w, const DnsAnswer& answer) {
  const bool half = answer.error.empty() && !answer.gap_reason.empty();
  const std::string trouble = half ? "incomplete answer: " + answer.gap_reason : answer.error;
  if (trouble.empty() && !w.trouble.empty())
    spdlog::info("pool {}: DNS lookup of {} succeeded again", w.pool, w.name);
  if (!trouble.empty() && w.trouble != trouble) {
    if (half)
      spdlog::warn("pool {}: DNS lookup partly failed ({}); keeping the last addresses of the missing part",
                   w.pool, trouble);
    else
      spdlog::warn("pool {}: DNS lookup failed ({}); keeping the last addresses", w.pool, trouble);
    events_.emit("discovery", {{"pool", w.pool}, {"name", w.name}, {"error", trouble}}, clock_.wall_now());
  }
  w.trouble = trouble;
  if (answer.cut)
    spdlog::warn("pool {}: {} has too many records; using the first {}", w.pool, w.name,
                 Resolver::most_records);
}

/// True: something has changed.
bool Server::take_over(Watched& w, const DnsAnswer& answer) {
  const Clock::Steady at = clock_.steady_now();
  const std::vector<std::string> before = order_of_trial(w.records);
  w.records = merge_answer(w.records, answer);
  const bool first = !std::exchange(w.answered, true);
  const bool changed = w.follows() ? order_of_trial(w.records) != before
                                   : w.set.update(preferred(w.records, w.rules.prefer), at);
  if (!changed && !first) return false;
  if (w.follows() && w.records.empty())
    spdlog::warn("pool {}: {} has no address; backend {} is down until it gets one", w.pool, w.name,
                 w.ids.front());
  else
    spdlog::info("pool {}: {} resolves to {} address(es)", w.pool, w.name, w.records.size());
  events_.emit("discovery", {{"pool", w.pool}, {"name", w.name}, {"addresses", w.records.size()}},
               clock_.wall_now());
  if (w.follows())
    moved(w);
  else if (w.rules.hold.count() == 0)
    w.set.expire(w.rules.hold, at);
  return true;
}

/// What live traffic showed was of the address that it has left.
void Server::moved(const Watched& w) {
  for (const std::string& id : w.ids)
    if (const auto backend = builder_.find_backend(w.pool, id)) {
      backend->failures.succeeded();
      ejector_.forgive(*backend);
    }
}

/// No connection to it can be made: its name may lead elsewhere by now.
void Server::look_for(const Backend& backend) {
  bool any = false;
  for (auto& [key, w] : watched_) {
    if (w.pool != backend.pool) continue;
    if (w.follows() && std::find(w.ids.begin(), w.ids.end(), backend.id) == w.ids.end()) continue;
    w.next = std::min(w.next, w.asked + retry_after);
    any = true;
  }
  if (any && phase_ == Phase::serving) look_up_due();
}

bool Server::is_out(const Watched& w) const {
  for (const auto& view : builder_.last()->pools) {
    if (view->config.name != w.pool) continue;
    for (const Member& m : view->snapshot->members)
      if ((m.health == Health::down || m.ejected != Ejected::no) &&
          std::find(w.ids.begin(), w.ids.end(), m.backend->id) != w.ids.end())
        return true;
  }
  return false;
}

/// Names are asked for early where it helps: the system's files changed, or whoever follows one is out of
/// service and may be back at another address.
void Server::hurry_names() {
  if (watched_.empty() || phase_ != Phase::serving) return;
  const std::array<FileStamp, 2> files = {stamp_of(NameFiles().resolv_conf), stamp_of(NameFiles().hosts)};
  const bool changed = std::exchange(name_files_, files) != files;
  bool any = false;
  for (auto& [key, w] : watched_) {
    const Clock::Steady before = w.next;
    if (changed) w.next = std::min(w.next, w.asked);
    if (w.follows() && is_out(w)) w.next = std::min(w.next, w.asked + std::max(w.rules.refresh, retry_after));
    any = any || w.next != before;
  }
  if (any) look_up_due();
}

std::string Server::health_note(const Backend& backend) const {
  for (const auto& [key, w] : watched_)
    if (w.pool == backend.pool && w.records.empty() &&
        std::find(w.ids.begin(), w.ids.end(), backend.id) != w.ids.end())
      return w.trouble.empty() ? w.name + " has no address" : w.trouble;
  return checker_.note(backend);
}

void Server::await_dns() {
  std::optional<Clock::Steady> next;
  for (const auto& [key, w] : watched_) {
    if (!w.asking) next = next ? std::min(*next, w.next) : w.next;
    if (const auto expiry = w.set.next_expiry(w.rules.hold)) next = next ? std::min(*next, *expiry) : *expiry;
  }
  if (!next || phase_ == Phase::aborting) return;
  dns_timer_.expires_at(std::max(*next, clock_.steady_now() + milliseconds(10)));
  dns_timer_.async_wait([this](const error_code& ec) {
    if (!ec) look_up_due();
  });
}

/// The same configuration with other addresses or keys in it.
void Server::rebuild() {
  if (!builder_.started()) return;  // the start builds for itself
  std::shared_ptr<const Snapshot> built;
  try {
    built = builder_.build(with_discovered(config_), load_keys(config_));
  } catch (const std::exception& e) {  // a certificate that is no longer readable, say
    spdlog::error("new DNS answers or key sets cannot be applied: {}; keeping the current ones", e.what());
    return;
  }
  put_in_force(built);
}

/// Who has vanished from the answer and does not answer probes has no sessions to keep.
void Server::drop_dead_leavers() {
  bool gone = false;
  for (auto& [key, w] : watched_)
    gone = w.set.drop_dead([&, pool = w.pool](const std::string& ip, std::uint16_t port) {
      for (const auto& view : builder_.last()->pools) {
        if (view->config.name != pool) continue;
        for (std::size_t i = 0; i < view->config.backends.size(); ++i) {
          const config::Backend& b = view->config.backends[i];
          const bool same = b.leaving && b.ip == ip && (port == 0 || b.address.port == port);
          if (same && view->snapshot->members[i].health == Health::down) return true;
        }
      }
      return false;
    }) || gone;
  if (gone) asio::post(loop_.ctx, [this] { rebuild(); });
}

/// The last answers, for a process that takes over: its name server may be silent.
boost::json::object Server::discovered_state() const {
  boost::json::object out;
  for (const auto& [key, w] : watched_) {
    if (!w.answered) continue;
    boost::json::array list;
    for (const DnsRecord& r : w.records)
      list.push_back(boost::json::object{{"ip", r.ip},
                                         {"target", r.target},
                                         {"port", r.port},
                                         {"priority", r.priority},
                                         {"weight", r.weight}});
    out[key] = std::move(list);
  }
  return out;
}

void Server::inherit_discovered(const boost::json::value& state) {
  if (!state.is_object()) return;
  for (const auto& entry : state.get_object()) {
    if (!entry.value().is_array()) continue;
    std::vector<DnsRecord>& records = inherited_answers_[entry.key()];
    for (const boost::json::value& item : entry.value().get_array()) {
      const auto text = [&](const char* key) -> std::string {
        const auto* v = item.is_object() ? item.get_object().if_contains(key) : nullptr;
        return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
      };
      const auto number = [&](const char* key) -> std::int64_t {
        const auto* v = item.is_object() ? item.get_object().if_contains(key) : nullptr;
        return v != nullptr && v->is_int64() ? v->get_int64() : 0;
      };
      if (!parse_ip(text("ip"))) continue;
      records.push_back({text("ip"), text("target"), static_cast<std::uint16_t>(number("port")),
                         static_cast<std::uint16_t>(number("priority")),
                         static_cast<std::uint32_t>(number("weight"))});
    }
  }
}

config::Backend Server::at_addresses(const config::Backend& entry, const std::vector<DnsRecord>& records) {
  config::Backend out = entry;
  out.ips = order_of_trial(preferred(records, entry.follow->prefer));
  return out;
}

/// Nobody has answered for its name yet: the backend of this id is where it was, if there was one.
config::Backend Server::where_it_was(const std::string& pool, const config::Backend& entry) const {
  config::Backend out = entry;
  if (!builder_.started()) return out;
  for (const auto& view : builder_.last()->pools)
    for (const config::Backend& b : view->config.backends)
      if (view->config.name == pool && b.id == entry.id) {
        out.address = b.address;
        out.follow = b.follow;
        out.ips = b.ips;
        out.ip = b.ip;
      }
  return out;
}

/// Each entry with a name is replaced by a backend for each of its addresses; what follows one gets to know
/// them.
config::Config Server::with_discovered(const config::Config& config) const {
  config::Config out = config;
  for (config::Pool& pool : out.pools) {
    std::vector<config::Backend> backends;
    const auto add = [&](config::Backend b) {
      const bool known =
          std::any_of(backends.begin(), backends.end(), [&](const auto& o) { return o.id == b.id; });
      if (!known) backends.push_back(std::move(b));
    };
    bool unanswered = false;
    for (const config::Backend& entry : pool.backends) {
      if (!watches(entry)) {
        add(entry);
        continue;
      }
      const auto it = watched_.find(watch_key(pool.name, entry));
      if (entry.follow) {
        const bool known = it != watched_.end() && it->second.answered;
        add(known ? at_addresses(entry, it->second.records) : where_it_was(pool.name, entry));
        continue;
      }
      if (it == watched_.end() || !it->second.answered) {
        unanswered = true;
        continue;
      }
      for (const DiscoveredSet::Found& f : it->second.set.found()) {
        config::Backend b = entry;
        b.discovery.reset();
        b.ip = f.record.ip;
        b.address.kind = config::Address::Kind::tcp;
        if (entry.discovery->srv) {
          b.address.host = f.record.target;
          b.address.port = f.record.port;
          b.weight = f.record.weight;
          b.backup = entry.backup || f.backup;
        }
        b.leaving = f.vanished.has_value();
        b.id = config::Address{b.address.kind, b.ip, b.address.port}.text();
        add(std::move(b));
      }
    }
    // A name that nobody has answered for yet changes nothing: who served before the reload goes on. Of names
    // that backends follow that holds for each alone, as long as somebody can serve.
    const bool nobody = std::all_of(backends.begin(), backends.end(),
                                    [](const config::Backend& b) { return b.follow && b.ips.empty(); });
    const bool waiting = std::any_of(pool.backends.begin(), pool.backends.end(), [&](const auto& entry) {
      const auto it = entry.follow ? watched_.find(watch_key(pool.name, entry)) : watched_.end();
      return entry.follow && (it == watched_.end() || !it->second.answered);
    });
    if ((unanswered || (nobody && waiting)) && builder_.started())
      for (const auto& view : builder_.last()->pools)
        if (view->config.name == pool.name)
          for (const config::Backend& b : view->config.backends) add(b);
    pool.backends = std::move(backends);
  }
  return out;
}

}  // namespace remora
