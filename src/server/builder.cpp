#include "server/builder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "affinity/registry.h"
#include "util/text.h"

namespace remora {

std::shared_ptr<const PoolView> SnapshotBuilder::build_pool(const config::Pool& pool,
                                                            const std::shared_ptr<const KeyRing>& keys,
                                                            const std::string& index_key) {
  auto view = std::make_shared<PoolView>();
  view->config = pool;
  view->number = numbers_.try_emplace(pool.name, static_cast<std::uint16_t>(numbers_.size())).first->second;
  auto snapshot = std::make_shared<PoolSnapshot>();
  snapshot->name = pool.name;
  for (const config::Backend& b : pool.backends) {
    auto& backend = backends_[{pool.name, b.id}];
    if (!backend) backend = std::make_shared<Backend>(pool.name, b.id);
    Member m;
    m.backend = backend;
    m.address = b.address;
    m.weight = warm_weight(b.weight, pool.slow_start, pool.slow_start);
    m.backup = b.backup;
    m.max_in_flight = b.max_in_flight.value_or(0);
    m.admin = b.admin;
    snapshot->members.push_back(std::move(m));
    const auto endpoint = resolve(b.address);
    if (!endpoint)
      throw std::runtime_error("pool " + pool.name + ": backend " + b.id + ": " + b.address.text() +
                               " cannot be resolved: " + endpoint.error().message());
    view->endpoints.push_back(*endpoint);
  }
  view->snapshot = std::move(snapshot);
  view->affinity = make_affinity(pool, keys, std::make_shared<SessionNamer>(index_key, pool.name));
  if (pool.tls) {
    std::string why;
    view->tls = ClientTls::load(*pool.tls, why);
    if (!view->tls) throw std::runtime_error("pool " + pool.name + ": " + why);
  }
  auto& counters = counters_[pool.name];
  if (!counters) counters = std::make_shared<PoolCounters>(workers_);
  view->counters = counters;
  return view;
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
  std::vector<std::string> names;
  for (const config::Pool& pool : config.pools) {
    names.push_back(pool.name);
    snapshot->pools.push_back(
        build_pool(pool, keys, config.store.index_key.empty() ? index_key_ : config.store.index_key));
    add_url_secrets(pool, snapshot->url_secrets);
  }
  snapshot->router = std::make_shared<Router>(config.routes, names);
  for (const config::Listener& listener : config.listeners) {
    auto view = std::make_shared<ListenerView>();
    view->config = listener;
    if (listener.tls) {
      const ServerTls* previous = nullptr;
      if (last_)
        for (const auto& old : last_->listeners)
          if (old->config.bind == listener.bind && old->tls) previous = old->tls.get();
      std::string why;
      view->tls = ServerTls::load(*listener.tls, previous, why);
      if (!view->tls) throw std::runtime_error("listener " + listener.name + ": " + why);
    }
    snapshot->listeners.push_back(std::move(view));
  }
  snapshot->generation = ++generation_;
  last_ = snapshot;
  return snapshot;
}

std::uint64_t SnapshotBuilder::refused(Cause cause) const noexcept {
  std::uint64_t n = 0;
  for (const auto& [name, counters] : counters_)
    for (const SessionCounts& counts : counters->sessions)
      n += counts.refused[static_cast<std::size_t>(cause)].value();
  return n;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::with_facts(const HealthChecker& checker,
                                                            const Ejector& ejector, Clock::Steady now) {
  auto snapshot = std::make_shared<Snapshot>(*last_);
  warming_up_ = false;
  for (auto& pool : snapshot->pools) {
    auto view = std::make_shared<PoolView>(*pool);
    auto members = std::make_shared<PoolSnapshot>(*pool->snapshot);
    for (std::size_t i = 0; i < members->members.size(); ++i) {
      Member& m = members->members[i];
      const bool was_out = m.health == Health::down || m.ejected != Ejected::no;
      m.health = checker.state(*m.backend);
      m.ejected = ejector.state(*m.backend);
      const bool is_out = m.health == Health::down || m.ejected != Ejected::no;
      if (was_out && !is_out) returned_[m.backend.get()] = now;
      const auto since = returned_.find(m.backend.get());
      const auto slow_start = pool->config.slow_start;
      m.weight = warm_weight(pool->config.backends[i].weight, slow_start,
                             since == returned_.end() ? slow_start : now - since->second);
      if (slow_start.count() > 0 && since != returned_.end() && now - since->second < slow_start)
        warming_up_ = true;
    }
    rescue(*members, pool->config.panic);
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
  if (keys.keys().empty()) {  // nothing outside this process can agree with it
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

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw std::runtime_error("state_dir: " + path + ": " + what +
                           "; make it writable, set another state_dir, or give `keys`");
}

/// Written elsewhere and linked into place when it is whole: of several that start at once, one makes the key
/// and none reads half of it.
void make_key_file(const std::string& path) {
  const std::string draft = path + "." + std::to_string(::getpid());
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) refuse(path, std::strerror(errno));
  const std::string key = generate_key() + "\n";
  const bool written =
      ::write(fd, key.data(), key.size()) == static_cast<ssize_t>(key.size()) && ::fsync(fd) == 0;
  ::close(fd);
  const bool in_place = written && (::link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST);
  ::unlink(draft.c_str());
  if (!in_place) refuse(path, "cannot be written");
}

std::string read_or_make_key(const std::string& dir) {
  const std::string path = dir + "/token.key";
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) refuse(dir, std::strerror(errno));
  if (::access(path.c_str(), F_OK) != 0) make_key_file(path);
  std::ifstream in(path);
  std::string text;
  std::getline(in, text);
  auto key = base64_decode(text);
  if (!key || key->size() != 32)
    refuse(path, "holds no key (32 bytes in base64); remove it to have a new one made");
  return *key;
}

}  // namespace

std::shared_ptr<const KeyRing> load_keys(const config::Config& config) {
  std::vector<std::string> keys = config.keys;
  const bool needed = std::any_of(config.pools.begin(), config.pools.end(), [](const config::Pool& p) {
    return std::any_of(p.affinity.begin(), p.affinity.end(),
                       [](const config::Affinity& a) { return a.settings->seals; });
  });
  if (keys.empty() && needed) {
    if (config.state_dir.empty())
      throw std::runtime_error(
          "keys: sealed tokens need a key: give `keys` or a `state_dir` where one is made");
    keys.push_back(read_or_make_key(config.state_dir));
  }
  return std::make_shared<KeyRing>(keys);
}

}  // namespace remora
