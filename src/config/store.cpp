// The `store` section: where sessions are kept and how to connect.

#include <algorithm>

#include "config/sections.h"
#include "util/text.h"

namespace remora::config {

namespace {

/// redis:// or rediss://[user[:password]@]host[:port][/database], or redis+unix:/path.
void read_redis_node(const Value& v, StoreNode& out) {
  const auto text = scalar(v);
  if (!text) return;
  constexpr std::string_view form = "is no redis://[user:password@]host:port[/database] (rediss:// for TLS)";
  std::string_view rest = *text;
  if (rest.rfind("redis://", 0) == 0) {
    rest.remove_prefix(8);
  } else if (rest.rfind("rediss://", 0) == 0) {
    rest.remove_prefix(9);
    out.tls = true;
  } else {
    return v.bad(form);  // do not quote the text: it may contain a password
  }
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = rest.substr(0, at);
    const std::size_t colon = who.find(':');
    if (colon == std::string_view::npos) {
      out.password = percent_decoded(who);
    } else {
      out.user = percent_decoded(who.substr(0, colon));
      out.password = percent_decoded(who.substr(colon + 1));
    }
    rest.remove_prefix(at + 1);
  }
  if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string_view number = rest.substr(slash + 1);
    const auto database = number.empty() ? std::optional<std::uint64_t>(0) : parse_decimal(number);
    if (!database || *database > 65535) return v.bad(form);
    out.database = static_cast<std::uint32_t>(*database);
    rest = rest.substr(0, slash);
  }
  std::string address(rest);
  const std::size_t bracket = address.rfind(']');
  if (address.find(':', bracket == std::string::npos ? 0 : bracket) == std::string::npos) address += ":6379";
  Diagnostics unsaid("");  // an error about the address could quote part of a password
  Value inner = v;
  inner.node.reset(YAML::Node(address));  // assigning would modify the tree
  inner.errors = &unsaid;
  read_address(inner, out.address);
  if (!unsaid.empty()) v.bad(form);
}

void read_nodes(const Value& v, std::vector<StoreNode>& out, void (*read)(const Value&, StoreNode&)) {
  out.clear();
  for_each_item(v, true, [&](const Value& item) {
    StoreNode node;
    read(item, node);
    out.push_back(std::move(node));
  });
  if (out.empty()) v.bad("needs at least one server");
}

void read_prefix(const Value& v, std::string& out) {
  read_value(v, out);
  const bool plain = std::all_of(out.begin(), out.end(),
                                 [](char c) { return is_token_char(c) || c == ':' || c == '{' || c == '}'; });
  if (out.empty() || out.size() > 64 || !plain)
    v.bad("is 1 to 64 letters, digits, '-', '_', '.', ':' and braces");
}

struct Login {
  std::string user, password;
};

void read_login(const Value& v, Map& m, Login& out) {
  m.read("user", out.user);
  m.read_with("password", out.password, read_secret);
  if (!out.user.empty() && out.password.empty() && !v.node["password"])
    v.bad("a user needs a password: {file: F}, say");
}

/// `user` and `password` are for the data servers, `sentinel: {user, password}` for the Sentinels. A node's
/// own credentials take precedence. If only one side has a password, the other side gets the same login.
void read_logins(const Value& v, Map& m, Store& out) {
  Login data, sentinels;
  read_login(v, m, data);
  const bool two_sides = out.redis_mode == RedisMode::sentinel;
  if (const auto own = m.get("sentinel")) {
    Map s(*own);
    read_login(*own, s, sentinels);
    if (!two_sides) own->bad("is for `mode: sentinel`");
  }
  const auto with_own = std::find_if(out.nodes.begin(), out.nodes.end(),
                                     [](const StoreNode& n) { return !n.password.empty(); });
  if (two_sides) {
    out.redis_master_login_is_shared = data.password.empty();
    if (!data.password.empty()) {
      out.redis_master_user = data.user;
      out.redis_master_password = data.password;
    } else if (with_own != out.nodes.end()) {
      out.redis_master_user = with_own->user;
      out.redis_master_password = with_own->password;
    } else {
      out.redis_master_user = sentinels.user;
      out.redis_master_password = sentinels.password;
    }
  }
  const bool shared = two_sides && sentinels.password.empty();
  const Login& rest = two_sides && !shared ? sentinels : data;
  for (StoreNode& node : out.nodes) {
    if (!node.password.empty()) continue;
    if (node.user.empty()) node.user = rest.user;
    node.password = rest.password;
    node.login_is_shared = shared;
    if (!node.user.empty() && node.password.empty()) v.bad("a user needs a password: {file: F}, say");
  }
}

void read_redis(const Value& v, Store& out) {
  Map m(v);
  m.read_with("mode", out.redis_mode, [](const Value& x, RedisMode& o) {
    read_choice(
        x, o,
        {{"single", RedisMode::single}, {"sentinel", RedisMode::sentinel}, {"cluster", RedisMode::cluster}});
  });
  m.read_with("nodes", out.nodes,
              [](const Value& x, std::vector<StoreNode>& o) { read_nodes(x, o, read_redis_node); });
  const bool sentinel = out.redis_mode == RedisMode::sentinel;
  if (const auto master = m.get("master")) {
    read_value(*master, out.redis_master);
    if (!sentinel) master->bad("is what sentinels call the master: it is for `mode: sentinel`");
  }
  m.read_with("prefix", out.prefix, read_prefix);
  read_logins(v, m, out);
  m.read_with("tls", out.tls, read_backend_tls);
  if (std::any_of(out.nodes.begin(), out.nodes.end(), [](const StoreNode& n) { return n.tls; })) {
    if (!out.tls) out.tls.emplace();
  } else if (out.tls) {
    v.bad("tls is for rediss:// nodes, and there is none");
  }
  if (out.redis_mode == RedisMode::single && out.nodes.size() > 1)
    v.bad("several nodes need `mode: sentinel` or `mode: cluster`");
  if (out.redis_mode == RedisMode::cluster &&
      std::any_of(out.nodes.begin(), out.nodes.end(), [](const StoreNode& n) { return n.database != 0; }))
    v.bad("a cluster has no databases: leave the number out of the nodes");
}

void read_memcached(const Value& v, Store& out) {
  Map m(v);
  m.read_with("nodes", out.nodes, [](const Value& x, std::vector<StoreNode>& o) {
    read_nodes(x, o, [](const Value& y, StoreNode& n) { read_address(y, n.address); });
  });
  m.read_with("prefix", out.prefix, read_prefix);
}

Address local(std::uint16_t port) {
  return {Address::Kind::tcp, "127.0.0.1", port};
}

}  // namespace

void read_store(const Value& v, Store& out) {
  Map m(v);
  m.read_with("kind", out.kind, [](const Value& x, StoreKind& o) {
    read_choice(
        x, o,
        {{"memory", StoreKind::memory}, {"redis", StoreKind::redis}, {"memcached", StoreKind::memcached}});
  });
  if (const auto capacity = m.get("capacity")) {
    std::uint32_t n = 0;
    const std::size_t before = v.errors->count();
    read_value(*capacity, n);
    if (v.errors->count() == before && (n < 64 || n > 100000000))
      capacity->bad("must be 64 to 100000000 sessions");
    out.capacity = n;
  }
  if (const auto bytes = m.get("memory_bytes")) {
    if (out.shared()) bytes->bad("is for `kind: memory`: another store has its own bounds");
    read_size(*bytes, out.memory_bytes);
    if (out.memory_bytes < 1U << 20) bytes->bad("must be at least 1MiB");
  }
  if (const auto persist = m.get("persist")) {
    if (out.shared()) persist->bad("is for `kind: memory`: another store keeps its sessions itself");
    bool on = true;
    read_value(*persist, on);
    out.persist = on;
  }
  if (const auto key = m.get("index_key"); key && !key->is_null()) {
    read_secret(*key, out.index_key);
    if (!out.index_key.empty() && out.index_key.size() < 16) key->bad("must be at least 16 characters");
  }
  if (out.shared() && !v.node["index_key"])
    v.bad(
        "index_key is missing: replicas that share a store must call its sessions by the same names "
        "(index_key: {file: F}, at least 16 characters)");
  for (const char* name : {"cache_ttl", "timeout"})
    if (const auto value = m.get(name)) {
      if (!out.shared()) value->bad("is for `kind: redis` and `kind: memcached`");
      read_positive(*value, std::string_view(name) == "timeout" ? out.timeout : out.cache_ttl);
    }
  const auto redis = m.get("redis"), memcached = m.get("memcached");
  if (redis && out.kind != StoreKind::redis) redis->bad("is for `kind: redis`");
  if (memcached && out.kind != StoreKind::memcached) memcached->bad("is for `kind: memcached`");
  if (out.kind == StoreKind::redis) {
    out.nodes.push_back({});
    out.nodes.back().address = local(6379);
    if (redis) read_redis(*redis, out);
  } else if (out.kind == StoreKind::memcached) {
    out.nodes.push_back({});
    out.nodes.back().address = local(11211);
    if (memcached) read_memcached(*memcached, out);
  }
}

}  // namespace remora::config
