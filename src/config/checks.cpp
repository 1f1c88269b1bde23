#include <algorithm>
#include <cstring>

#include "config/loader.h"
#include "config/sections.h"
#include "net/address.h"
#include "util/text.h"

namespace remora::config {

namespace {

Value at(const Value& root, const char* key) {
  const YAML::Node node = root.node.IsMap() ? root.node[key] : YAML::Node();
  return {node, key, node ? node.Mark() : root.mark, root.errors};
}

bool is_loopback(const std::uint8_t (&bytes)[16], unsigned bits) noexcept {
  static constexpr std::uint8_t v6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  static constexpr std::uint8_t v4[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
  return (bits == 128 && std::memcmp(bytes, v6, sizeof v6) == 0) ||
         (bits >= 104 && std::memcmp(bytes, v4, sizeof v4) == 0);
}
bool is_loopback(const Cidr& block) noexcept {
  return is_loopback(block.bytes, block.bits);
}

bool may_be_ipv4(const Address& a) {
  const auto ip = parse_ip(a.host);
  return a.kind == Address::Kind::tcp && (!ip || ip->is_v4());
}

/// `[::]` accepts IPv4 too, unless another address in the file uses the same port on IPv4.
void share_ports(Config& config) {
  std::vector<Address> others;
  for (const Listener& l : config.listeners) others.push_back(l.bind);
  if (config.admin.bind) others.push_back(*config.admin.bind);
  if (config.session_api) others.push_back(config.session_api->bind);
  for (Listener& l : config.listeners)
    l.v6_only = std::any_of(others.begin(), others.end(), [&](const Address& other) {
      return l.bind.port != 0 && other.port == l.bind.port && may_be_ipv4(other);
    });
}

/// True if one request could match both hosts. Any wildcard counts as a match.
bool hosts_meet(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() || a == b || a[0] == '*' || b[0] == '*';
}

}  // namespace

bool needs_key(const Pool& pool) {
  return pool.session.state || std::any_of(pool.affinity.begin(), pool.affinity.end(),
                                           [](const Affinity& a) { return a.settings->seals; });
}

bool keeps_sessions(const Pool& pool) {
  return std::any_of(pool.affinity.begin(), pool.affinity.end(),
                     [](const Affinity& a) { return !a.settings->derived; });
}

bool persists_sessions(const Config& config) {
  return !config.store.shared() && !config.state_dir.empty() && config.store.persist.value_or(true) &&
         std::any_of(config.pools.begin(), config.pools.end(), keeps_sessions);
}

bool is_loopback(const std::string& host) noexcept {
  if (host == "localhost") return true;
  const auto address = parse_ip(host);
  return address && is_loopback(address->bytes, 128);
}

void refuse_keys(const Value& map, std::initializer_list<const char*> keys, std::string_view why) {
  if (!map.is_map()) return;
  for (const char* key : keys)
    if (const YAML::Node node = map.node[key]) map.errors->add(node.Mark(), map.key + "." + key, why);
}

void cross_check(const Value& root, Config& config) {
  share_ports(config);
  if (config.listeners.empty() && !root.node["listeners"])
    root.bad("`listeners` is missing: [127.0.0.1:8080], say");
  else if (const Value listeners = at(root, "listeners");
           config.listeners.empty() && (listeners.is_null() || listeners.is_list()))
    listeners.bad("needs at least one address: [127.0.0.1:8080], say");
  if (!root.node["pools"]) root.bad("`pools` is missing: {app: {backends: [host:port]}}, say");

  const auto sealing = std::find_if(config.pools.begin(), config.pools.end(), needs_key);
  if (sealing != config.pools.end() && config.keys.empty() && config.state_dir.empty())
    at(root, "state_dir")
        .bad("none, and no `keys`: pool '" + sealing->name +
             "' seals tokens with a key; give `keys` (`remora keygen` prints one) or a folder where one is "
             "made");
  if (config.store.persist.value_or(false) && config.state_dir.empty()) {
    Value persist = at(at(root, "store"), "persist");
    persist.key = "store.persist";
    persist.bad("needs a `state_dir`, where the sessions are kept");
  }
  const auto find_pool = [&](const std::string& name) -> const Pool* {
    const auto it =
        std::find_if(config.pools.begin(), config.pools.end(), [&](const Pool& p) { return p.name == name; });
    return it == config.pools.end() ? nullptr : &*it;
  };
  const Value routes = at(root, "routes");
  if (config.routes.empty() && !(routes.node && routes.node.IsSequence() && routes.node.size() > 0)) {
    if (config.pools.size() == 1) {
      Route everything;
      everything.pool = config.pools.front().name;
      config.routes.push_back(everything);
    } else if (config.pools.size() > 1) {
      root.bad("`routes` is missing: with several pools, routes say which pool serves which requests");
    }
  }

  const auto verifier_exists = [&](const std::string& name) {
    return std::any_of(config.jwt.begin(), config.jwt.end(), [&](const Jwt& j) { return j.name == name; });
  };
  for (const Pool& pool : config.pools)
    for (const Affinity& a : pool.affinity)
      if (!a.settings->verifier.empty() && !verifier_exists(a.settings->verifier)) {
        Value here = at(root, "pools");
        here.key = "pools." + pool.name + ".affinity";
        here.bad("there is no verifier '" + a.settings->verifier + "' under `jwt`");
      }

  for (const Jwt& verifier : config.jwt)
    if (!verifier.revocation_claims.empty() && !config.store.shared())
      root.bad("jwt." + verifier.name +
               ".revocation needs `store: {kind: redis}` or memcached: nobody could write to one in memory");
  if (config.session_api && std::none_of(config.pools.begin(), config.pools.end(),
                                         [](const Pool& p) { return p.session.state.has_value(); }))
    root.bad("session_api: no pool keeps state (pools.NAME.session.state)");
  for (const Pool& pool : config.pools)
    if (pool.session.state && config.store.shared() && config.keys.empty())
      root.bad("pools." + pool.name +
               ".session.state in a shared store is sealed with `keys`, which all replicas need: give them");

  // Every pool named by a route must exist. No two pools that one request can reach may share a cookie name.
  struct Reach {
    const Pool* pool;
    std::string host, cookie;
  };
  std::vector<Reach> cookies;
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const Route& route = config.routes[i];
    Value here = routes;
    if (routes.node && routes.node.IsSequence() && i < routes.node.size()) {
      here.mark = routes.node[i].Mark();
      here.key = "routes[" + std::to_string(i) + "]";
    }
    if (!route.verifier.empty() && !verifier_exists(route.verifier))
      here.bad("there is no verifier '" + route.verifier + "' under `jwt`");
    std::vector<std::string> names;
    if (!route.pool.empty()) names.push_back(route.pool);
    for (const auto& [name, weight] : route.split) names.push_back(name);
    for (const std::string& name : names) {
      const Pool* pool = find_pool(name);
      if (pool == nullptr) {
        here.bad("there is no pool '" + name + "'");
        continue;
      }
      if (!route.affinity) continue;
      for (const Affinity& a : pool->affinity) {
        const std::string& cookie = a.settings->own_cookie;
        if (cookie.empty()) continue;
        for (const Reach& other : cookies)
          if (other.pool != pool && other.cookie == cookie && hosts_meet(other.host, route.host))
            here.bad("pools '" + other.pool->name + "' and '" + name + "' share the cookie name '" + cookie +
                     "' and one host can reach both; give one another affinity.name");
        cookies.push_back({pool, route.host, cookie});
      }
    }
  }
}

namespace {
void suspicion_warnings(const Config& config, std::vector<std::string>& out) {
  for (const Pool& p : config.pools) {
    const auto& after = p.failover.suspect_after;
    if (!after || after->count() == 0) continue;
    if (p.probe.kind == ProbeKind::off)
      out.push_back("pool " + p.name + ": failover.suspect_after does nothing without health.probe");
    else if (*after >= p.timeouts.response)
      out.push_back("pool " + p.name +
                    ": failover.suspect_after is no shorter than timeouts.response: too late");
  }
}
}  // namespace

std::vector<std::string> warnings(const Config& config) {
  std::vector<std::string> out;
  for (const Listener& l : config.listeners) {
    const bool local = l.bind.kind == Address::Kind::unix_path || is_loopback(l.bind.host);
    const bool only_loopback = !l.proxy_protocol_from.empty() &&
                               std::all_of(l.proxy_protocol_from.begin(), l.proxy_protocol_from.end(),
                                           [](const Cidr& block) { return is_loopback(block); });
    if (l.proxy_protocol && !local && only_loopback)
      out.push_back(
          "listener " + l.name +
          ": proxy_protocol is believed from this machine only, and others are refused: name the senders "
          "(proxy_protocol: {from: [10.0.0.0/8]}, or trusted_proxies)");
  }
  socket_warnings(config, out);
  suspicion_warnings(config, out);
  cookie_warnings(config, out);
  key_warnings(config, out);
  idle_keys(config, out);
  return out;
}

}  // namespace remora::config
