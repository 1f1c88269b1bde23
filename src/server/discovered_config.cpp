#include "server/discovered_config.h"

#include <algorithm>

#include "net/dns_answer.h"

namespace remora {

namespace {

const WatchedName* find_answered(const WatchedNames& names, const std::string& pool,
                                 const config::Backend& entry) {
  const auto it = names.find(watch_key(pool, entry));
  return it != names.end() && it->second.answered ? &it->second : nullptr;
}

const PoolView* find_pool(const Snapshot* active, const std::string& pool) {
  if (active == nullptr) return nullptr;
  for (const auto& view : active->pools)
    if (view->config.name == pool) return view.get();
  return nullptr;
}

config::Backend at_addresses(const config::Backend& entry, const std::vector<DnsRecord>& records) {
  config::Backend out = entry;
  out.ips = order_of_trial(preferred(records, entry.follow->prefer));
  return out;
}

/// The entry with the addresses of the active backend with the same id, if there is one.
config::Backend at_active_addresses(const config::Backend& entry, const PoolView* active) {
  config::Backend out = entry;
  if (active == nullptr) return out;
  for (const config::Backend& b : active->config.backends)
    if (b.id == entry.id) {
      out.address = b.address;
      out.follow = b.follow;
      out.ips = b.ips;
      out.ip = b.ip;
    }
  return out;
}

config::Backend backend_at(const config::Backend& entry, const DiscoveredSet::Found& found) {
  config::Backend b = entry;
  b.discovery.reset();
  b.ip = found.record.ip;
  b.address.kind = config::Address::Kind::tcp;
  if (entry.discovery->srv) {
    b.address.host = found.record.target;
    b.address.port = found.record.port;
    b.weight = found.record.weight;
    b.backup = entry.backup || found.backup;
  }
  b.leaving = found.vanished.has_value();
  b.id = config::Address{b.address.kind, b.ip, b.address.port}.text();
  return b;
}

std::vector<config::Backend> discovered_backends(const config::Pool& pool, const WatchedNames& names,
                                                 const PoolView* active) {
  std::vector<config::Backend> backends;
  const auto add = [&](config::Backend b) {
    const bool known =
        std::any_of(backends.begin(), backends.end(), [&](const auto& o) { return o.id == b.id; });
    if (!known) backends.push_back(std::move(b));
  };
  bool unanswered = false, follows_unanswered = false;
  for (const config::Backend& entry : pool.backends) {
    if (!is_watched(entry)) {
      add(entry);
      continue;
    }
    const WatchedName* const known = find_answered(names, pool.name, entry);
    if (entry.follow) {
      follows_unanswered = follows_unanswered || known == nullptr;
      add(known != nullptr ? at_addresses(entry, known->records) : at_active_addresses(entry, active));
    } else if (known == nullptr) {
      unanswered = true;
    } else {
      for (const DiscoveredSet::Found& f : known->set.found()) add(backend_at(entry, f));
    }
  }
  // After a reload, keep the previous backends until every discovery name has an answer. Names that backends
  // follow are handled one by one, as long as some backend has an address.
  const bool nobody = std::all_of(backends.begin(), backends.end(),
                                  [](const config::Backend& b) { return b.follow && b.ips.empty(); });
  if ((unanswered || (nobody && follows_unanswered)) && active != nullptr)
    for (const config::Backend& b : active->config.backends) add(b);
  return backends;
}

}  // namespace

config::Config with_discovered(const config::Config& config, const WatchedNames& names,
                               const Snapshot* active) {
  config::Config out = config;
  for (config::Pool& pool : out.pools)
    pool.backends = discovered_backends(pool, names, find_pool(active, pool.name));
  return out;
}

}  // namespace remora
