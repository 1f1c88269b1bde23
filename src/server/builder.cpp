#include "server/builder.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>

#include "affinity/registry.h"
#include "config/loader.h"
#include "pool/permit.h"
#include "util/files.h"
#include "util/text.h"

namespace remora {

namespace {
/// One hash over the contents of all files; empty names are skipped.
std::uint64_t contents_of(std::initializer_list<std::string> files) {
  std::string all;
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    all.append(file).append(1, '\0').append(std::istreambuf_iterator<char>(in), {});
  }
  return hash_text(all);
}

/// The addresses of a backend; empty if its name does not resolve.
std::vector<Endpoint> endpoints_of(const std::string& pool, const config::Backend& b) {
  std::vector<std::string> hosts = b.ips;
  if (!b.follow) hosts = {b.ip.empty() ? b.address.host : b.ip};
  std::vector<Endpoint> out;
  for (const std::string& host : hosts) {
    const auto endpoint = resolve({b.address.kind, host, b.address.port});
    if (!endpoint)
      throw std::runtime_error("pool " + pool + ": backend " + b.id + ": " + b.address.text() +
                               " cannot be used: " + endpoint.error().message());
    out.push_back(*endpoint);
  }
  return out;
}
}  // namespace

std::shared_ptr<const PoolView> SnapshotBuilder::build_pool(const config::Pool& pool,
                                                            const std::shared_ptr<const KeyRing>& keys,
                                                            const std::string& index_key) {
  auto view = std::make_shared<PoolView>();
  view->config = pool;
  std::erase_if(view->config.backends, [](const config::Backend& b) { return b.discovery.has_value(); });
  view->number = numbers_.try_emplace(pool.name, static_cast<std::uint16_t>(numbers_.size())).first->second;
  auto snapshot = std::make_shared<PoolSnapshot>();
  snapshot->name = pool.name;
  for (const config::Backend& b : pool.backends) {
    if (b.discovery) continue;  // not a backend: with_discovered() replaces it by what was found
    Member m;
    m.backend = backend_named(pool.name, b.id);
    m.address = b.address;
    m.weight = m.full_weight = warm_weight(b.weight, pool.slow_start, pool.slow_start);
    m.backup = b.backup;
    m.max_in_flight = b.max_in_flight.value_or(0);
    m.admin = b.admin;
    const std::vector<Endpoint> endpoints = endpoints_of(pool.name, b);
    m.nowhere = endpoints.empty();
    snapshot->members.push_back(std::move(m));
    view->routes.push_back(
        {endpoints.empty() ? Endpoint() : endpoints.front(), trial_of(pool.name, b.id, endpoints)});
  }
  snapshot->index();
  view->snapshot = std::move(snapshot);
  view->affinity = make_affinity(pool, keys, std::make_shared<SessionNamer>(index_key, pool.name));
  if (pool.tls) {
    view->tls_files = contents_of({pool.tls->ca, pool.tls->cert, pool.tls->key});
    // Same settings and same files: keep the TLS context, so that idle connections stay usable.
    if (last_)
      for (const auto& old : last_->pools)
        if (old->config.name == pool.name && old->config.tls == pool.tls &&
            old->config.protocol == pool.protocol && old->tls_files == view->tls_files)
          view->tls = old->tls;
    std::string why;
    if (!view->tls) view->tls = ClientTls::load(*pool.tls, why, pool.protocol);
    if (!view->tls) throw std::runtime_error("pool " + pool.name + ": " + why);
  }
  for (PoolView::Route& route : view->routes) {
    route.connection_key = connection_key(route.endpoint, view->tls.get(), pool.protocol);
    if (!route.trial) continue;
    for (const Endpoint& other : route.trial->all)  // all addresses lead to the same server
      route.connection_key =
          route.connection_key * 31 + connection_key(other, view->tls.get(), pool.protocol);
  }
  auto& counters = counters_[pool.name];
  if (!counters) counters = std::make_shared<PoolCounters>(workers_);
  view->counters = counters;
  return view;
}

/// Remembers which address answered: keeps the previous Trial if the addresses are the same, else marks the
/// address in use.
std::shared_ptr<const Trial> SnapshotBuilder::trial_of(const std::string& pool, const std::string& id,
                                                       const std::vector<Endpoint>& endpoints) const {
  if (endpoints.size() < 2) return nullptr;
  auto trial = std::make_shared<Trial>(endpoints);
  if (!last_) return trial;
  for (const auto& old : last_->pools) {
    if (old->config.name != pool) continue;
    for (std::size_t i = 0; i < old->config.backends.size(); ++i) {
      if (old->config.backends[i].id != id) continue;
      const auto& before = old->routes[i].trial;
      if (before && before->all == endpoints) return before;
      const Endpoint& in_use = before ? before->all[before->first()] : old->routes[i].endpoint;
      for (std::size_t n = 0; n < endpoints.size(); ++n)
        if (endpoints[n] == in_use) trial->answered(n);
    }
  }
  return trial;
}

namespace {
void add_url_secrets(const config::Pool& pool, std::vector<UrlSecret>& out) {
  for (const config::Affinity& a : pool.affinity)
    for (const UrlSecret& secret : a.settings->url_secrets)
      if (std::find(out.begin(), out.end(), secret) == out.end()) out.push_back(secret);
}
}  // namespace

std::shared_ptr<const Snapshot> SnapshotBuilder::build(const config::Config& config,
                                                       std::shared_ptr<const KeyRing> keys) {
  auto snapshot = std::make_shared<Snapshot>();
  if (index_key_.empty()) index_key_ = default_index_key(*keys);
  std::vector<std::string> pool_names;
  for (const config::Pool& pool : config.pools) {
    pool_names.push_back(pool.name);
    snapshot->pools.push_back(
        build_pool(pool, keys, config.store.index_key.empty() ? index_key_ : config.store.index_key));
    add_url_secrets(pool, snapshot->url_secrets);
    const bool bindings =
        config.store.shared() && std::any_of(pool.affinity.begin(), pool.affinity.end(),
                                             [](const auto& a) { return !a.settings->derived; });
    const bool state = pool.session.state.has_value();
    snapshot->pool_stores.push_back(
        bindings || state ? std::make_shared<const PoolStore>(
                                keys, config.store.index_key.empty() ? index_key_ : config.store.index_key,
                                pool.name, bindings, state, config.session_api.has_value())
                          : nullptr);
  }
  for (std::size_t p = 0; p < config.pools.size(); ++p)
    snapshot->foreign_tokens.emplace_back(config.pools, p, keys);
  const auto router = std::make_shared<Router>(config.routes, pool_names);
  build_verifiers(config, *snapshot);
  std::vector<std::vector<std::size_t>> of_pools(config.pools.size());
  for (std::size_t p = 0; p < config.pools.size(); ++p)
    for (const config::Affinity& a : config.pools[p].affinity)
      for (std::size_t v = 0; v < config.jwt.size(); ++v)
        if (config.jwt[v].name == a.settings->verifier) of_pools[p].push_back(v);
  router->set_verifiers(config.jwt, of_pools);
  std::vector<std::shared_ptr<RouteTraffic>> traffic;
  for (const std::string& label : route_labels(config.routes)) {
    auto& counts = route_traffic_[label];
    if (!counts) counts = std::make_shared<RouteTraffic>(label, workers_);
    traffic.push_back(counts);
  }
  router->set_traffic(traffic);
  snapshot->router = router;
  if (last_) snapshot->listeners = last_->listeners;  // retired ones keep serving their connections
  std::map<std::string, unsigned> seen;
  for (const config::Listener& listener : config.listeners) {
    auto view = build_listener(listener, seen[listener.bind.text()]++);
    if (snapshot->listeners.size() <= view->slot) snapshot->listeners.resize(view->slot + 1);
    snapshot->listeners[view->slot] = view;
    snapshot->serving.push_back(view->slot);
  }
  return snapshot;
}

void SnapshotBuilder::build_verifiers(const config::Config& config, Snapshot& snapshot) {
  for (const config::Jwt& rules : config.jwt) {
    auto verifier = std::make_shared<JwtVerifier>();
    verifier->rules = rules;
    verifier->keys = std::make_shared<const JwtKeySet>(load_jwt_keys(rules));
    if (const auto fetched = fetched_keys_.find(rules.jwks_url); fetched != fetched_keys_.end())
      verifier->keys = fetched->second;
    if (const std::string concern = concern_about(*verifier->keys, rules); concerns_[rules.name] != concern) {
      concerns_[rules.name] = concern;
      if (!concern.empty()) spdlog::warn("{}", concern);
    }
    verifier->keys_id = ++keys_id_;
    auto& counts = jwt_counts_[rules.name];
    if (!counts) counts = std::make_shared<std::vector<JwtCounts>>(workers_);
    verifier->counts = counts;
    for (const auto& [carrier, name] : rules.from)  // a token in a URL must not be logged
      if (carrier == config::Jwt::Carrier::query)
        snapshot.url_secrets.push_back({config::UrlStyle::query, name});
    for (const auto& [claim, header] : rules.forward_claims) snapshot.claim_headers.push_back(header);
    snapshot.verifiers.push_back(std::move(verifier));
  }
}

std::shared_ptr<const ListenerView> SnapshotBuilder::build_listener(const config::Listener& listener,
                                                                    unsigned nth) {
  auto view = std::make_shared<ListenerView>();
  view->config = listener;
  const auto [it, fresh] = slots_.try_emplace({listener.bind.text(), nth}, Slot{slots_.size(), nullptr});
  if (fresh) it->second.shared = std::make_shared<ListenerShared>(workers_);
  view->slot = it->second.number;
  view->shared = it->second.shared;
  if (!listener.tls) return view;
  const ServerTls* previous = nullptr;
  if (last_ && view->slot < last_->listeners.size() && last_->listeners[view->slot])
    previous = last_->listeners[view->slot]->tls.get();
  std::string why;
  static const SystemClock clock;
  view->tls =
      ServerTls::load(*listener.tls, listener.bind.text() + "#" + std::to_string(nth), previous, clock, why);
  if (!view->tls) throw std::runtime_error("listener " + listener.name + ": " + why);
  return view;
}

void SnapshotBuilder::commit(std::shared_ptr<const Snapshot> built) {
  auto snapshot = std::make_shared<Snapshot>(*built);
  const auto serves = [&](std::size_t slot) {
    return std::find(snapshot->serving.begin(), snapshot->serving.end(), slot) != snapshot->serving.end();
  };
  for (auto& view : snapshot->listeners) {
    if (!view) continue;
    ListenerShared& shared = *view->shared;
    const bool stays = serves(view->slot);
    // Retired by an earlier commit and without open connections: release what it holds (certificates, say).
    const bool over = !stays && shared.retired && shared.open.load() == 0;
    shared.retired = !stays;
    if (stays) shared.limits.set(view->config.per_client);
    if (over) view.reset();
  }
  snapshot->generation = ++generation_;
  last_ = std::move(snapshot);
  std::erase_if(route_traffic_, [&](const auto& entry) { return entry.second.use_count() == 1; });
  std::erase_if(backends_, [&](const auto& entry) { return entry.second.use_count() == 1; });
  std::set<const Backend*> living;
  for (const auto& [name, backend] : backends_) living.insert(backend.get());
  returns_.retain([&](const Backend* backend) { return living.contains(backend); });
}

std::shared_ptr<Backend> SnapshotBuilder::backend_named(const std::string& pool, const std::string& id) {
  auto& backend = backends_[{pool, id}];
  if (!backend) backend = make_backend(pool, id, workers_);
  return backend;
}

std::shared_ptr<Backend> SnapshotBuilder::find_backend(const std::string& pool, const std::string& id) const {
  const auto it = backends_.find({pool, id});
  return it == backends_.end() ? nullptr : it->second;
}

std::uint64_t SnapshotBuilder::refused(Cause cause) const noexcept {
  std::uint64_t n = 0;
  for (const auto& [name, counters] : counters_)
    for (const SessionCounts& counts : counters->sessions)
      n += counts.refused[static_cast<std::size_t>(cause)].value();
  return n;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::with_status(const HealthChecker& checker,
                                                             const Ejector& ejector,
                                                             const AdminOverrides& overrides,
                                                             ClockReading clock_reading) {
  const Clock::Steady now = clock_reading.steady;
  auto snapshot = std::make_shared<Snapshot>(*last_);
  warming_up_ = false;
  for (auto& pool : snapshot->pools) {
    auto view = std::make_shared<PoolView>(*pool);
    auto members = std::make_shared<PoolSnapshot>(*pool->snapshot);
    const bool began = std::none_of(members->members.begin(), members->members.end(),
                                    [&](const Member& m) { return returns_.knows(*m.backend); });
    const bool probed = pool->config.probe.kind != config::ProbeKind::off;
    for (std::size_t i = 0; i < members->members.size(); ++i) {
      Member& m = members->members[i];
      const config::Backend& file = pool->config.backends[i];
      const AdminOverride* const wanted = overrides.find(pool->config.name, m.backend->id);
      m.admin = wanted != nullptr ? wanted->admin : file.admin;
      if (file.leaving) m.admin = std::max(m.admin, Admin::drain);
      m.leaving = wanted != nullptr && wanted->deadline && *wanted->deadline <= clock_reading.wall;
      m.health = m.nowhere ? Health::down : checker.state(*m.backend);
      m.ejected = ejector.state(*m.backend);
      returns_.see(m, began, probed, now);
      const auto since = returns_.since(*m.backend);
      const auto slow_start = pool->config.slow_start;
      m.weight = warm_weight(file.weight, slow_start, since ? now - *since : slow_start);
      if (slow_start.count() > 0 && since && now - *since < slow_start) warming_up_ = true;
    }
    rescue(*members, pool->config.panic);
    if (probed) hold_untested(*members);
    end_streams(*members, pool->config.drain);
    view->snapshot = std::move(members);
    pool = std::move(view);
  }
  snapshot->generation = ++generation_;
  last_ = snapshot;
  return snapshot;
}

// Keys ----------------------------------------------------------------------------------------------

std::string generate_key() {
  std::uint8_t bytes[32];
  random_bytes(bytes);
  return base64_encode({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

std::string default_index_key(const KeyRing& keys) {
  std::string key(32, '\0');
  if (keys.keys().empty()) {  // without a configured key, no other process can share the index
    random_bytes({reinterpret_cast<std::uint8_t*>(key.data()), key.size()});
    return key;
  }
  const auto& first = keys.keys().front().bytes;
  const SessionNamer derive(std::string(first.begin(), first.end()), "remora index key");
  CryptoScratch scratch;
  const SessionKey mac = derive.name("", scratch);
  key.assign(mac.mac.begin(), mac.mac.end());
  return key;
}

namespace {

constexpr const char* advice = "; make it writable, set another state_dir, or give `keys`";

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw std::runtime_error("state_dir: " + path + ": " + what + advice);
}

std::string read_or_make_key(const std::string& dir) {
  const std::string path = dir + "/token.key";
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) refuse(dir, std::strerror(errno));
  constexpr std::size_t max_bytes = 4096;
  std::string text;
  bool missing = false;
  std::string problem = read_file(path, max_bytes, text, missing);
  if (missing) {  // of several processes starting at once, one creates the file and all read it
    problem = create_file(path, generate_key() + "\n");
    if (problem.empty()) problem = read_file(path, max_bytes, text, missing);
  }
  if (!problem.empty()) throw std::runtime_error("state_dir: " + problem + advice);
  auto key = base64_decode(text.substr(0, text.find('\n')));
  if (!key || key->size() != 32)
    refuse(path, "holds no key (32 bytes in base64); remove it to have a new one made");
  return *key;
}

}  // namespace

std::shared_ptr<const KeyRing> load_keys(const config::Config& config) {
  std::vector<std::string> keys = config.keys;
  const bool needed = std::any_of(config.pools.begin(), config.pools.end(), config::needs_key);
  if (keys.empty() && needed) {
    if (config.state_dir.empty())
      throw std::runtime_error(
          "keys: sealed tokens need a key: give `keys` or a `state_dir` where one is made");
    keys.push_back(read_or_make_key(config.state_dir));
  }
  return std::make_shared<KeyRing>(keys);
}

}  // namespace remora
