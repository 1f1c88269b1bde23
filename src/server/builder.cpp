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
                                                            const std::shared_ptr<const KeyRing>& keys) {
  auto view = std::make_shared<PoolView>();
  view->config = pool;
  auto snapshot = std::make_shared<PoolSnapshot>();
  snapshot->name = pool.name;
  for (const config::Backend& b : pool.backends) {
    auto& backend = backends_[{pool.name, b.id}];
    if (!backend) backend = std::make_shared<Backend>(pool.name, b.id);
    Member m;
    m.backend = backend;
    m.address = b.address;
    m.weight = b.weight;
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
  view->affinity = make_affinity({pool, keys});
  if (pool.tls) {
    std::string why;
    view->tls = ClientTls::load(*pool.tls, why);
    if (!view->tls) throw std::runtime_error("pool " + pool.name + ": " + why);
  }
  auto& counters = counters_[pool.name];
  if (!counters) counters = std::make_shared<PoolCounters>();
  view->counters = counters;
  return view;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::build(const config::Config& config,
                                                       std::shared_ptr<const KeyRing> keys) {
  auto snapshot = std::make_shared<Snapshot>();
  std::vector<std::string> names;
  for (const config::Pool& pool : config.pools) {
    names.push_back(pool.name);
    snapshot->pools.push_back(build_pool(pool, keys));
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

std::shared_ptr<const Snapshot> SnapshotBuilder::with_health(const HealthChecker& checker) {
  auto snapshot = std::make_shared<Snapshot>(*last_);
  for (auto& pool : snapshot->pools) {
    auto view = std::make_shared<PoolView>(*pool);
    auto members = std::make_shared<PoolSnapshot>(*pool->snapshot);
    for (Member& m : members->members) m.health = checker.state(*m.backend);
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

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw std::runtime_error("state_dir: " + path + ": " + what +
                           "; make it writable, set another state_dir, or give `keys`");
}

std::string read_or_make_key(const std::string& dir) {
  const std::string path = dir + "/token.key";
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) refuse(dir, std::strerror(errno));
  const int fresh = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fresh >= 0) {
    const std::string key = generate_key() + "\n";
    const bool written =
        ::write(fresh, key.data(), key.size()) == static_cast<ssize_t>(key.size()) && ::fsync(fresh) == 0;
    ::close(fresh);
    if (!written) refuse(path, "cannot be written");
  } else if (errno != EEXIST) {
    refuse(path, std::strerror(errno));
  }
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
    return p.affinity.kind == config::AffinityKind::cookie;
  });
  if (keys.empty() && needed) {
    if (config.state_dir.empty())
      throw std::runtime_error(
          "keys: cookie affinity needs a key: give `keys` or a `state_dir` where one is made");
    keys.push_back(read_or_make_key(config.state_dir));
  }
  return std::make_shared<KeyRing>(keys);
}

}  // namespace remora
