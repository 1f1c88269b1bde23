#include <algorithm>

#include "config/sections.h"
#include "net/address.h"
#include "util/text.h"

namespace remora::config {

namespace {

bool is_name(const Address& address) {
  return address.kind == Address::Kind::tcp && !address.host.empty() && !parse_ip(address.host);
}

void read_prefer(const Value& v, Prefer& out) {
  read_choice(v, out, {{"any", Prefer::any}, {"ipv4", Prefer::ipv4}, {"ipv6", Prefer::ipv6}});
}

/// Reads `dns: host:port` or `dns_srv: name`, with `refresh`, `hold` and `prefer`.
void read_discovery(const Value& v, Map& m, Backend& out) {
  const auto dns = m.get("dns"), srv = m.get("dns_srv");
  if (!dns && !srv) {
    if (const auto hold = m.get("hold")) hold->bad("belongs to `dns` or `dns_srv`");
    return;
  }
  if (dns && srv) v.bad("has both dns and dns_srv; give one of them");
  Discovery found;
  found.srv = srv.has_value();
  if (srv) {
    read_value(*srv, out.address.host);
    const auto& name = out.address.host;
    if (name.empty() || name.find_first_of(": /") != std::string::npos)
      srv->bad("must be the name of SRV records, as _http._tcp.app.internal; the port comes from them");
  } else {
    read_address(*dns, out.address);
    if (out.address.kind != Address::Kind::tcp || parse_ip(out.address.host))
      dns->bad("must be a name with a port, as app.internal:8080; a fixed address belongs under `address`");
  }
  m.read_with("refresh", found.refresh, read_positive);
  m.read("hold", found.hold);
  m.read_with("prefer", found.prefer, read_prefer);
  out.discovery = found;
}

/// A host name in `address` is re-resolved, controlled by `refresh` and `prefer`.
void read_follow(Map* m, Backend& out) {
  if (is_name(out.address)) out.follow.emplace();
  if (m == nullptr) return;
  Follow rules;
  const auto refresh = m->get("refresh"), prefer = m->get("prefer");
  for (const auto& key : {refresh, prefer})
    if (key && !out.follow) key->bad("applies to names only, and this is an address");
  if (refresh) read_positive(*refresh, rules.refresh);
  if (prefer) read_prefer(*prefer, rules.prefer);
  if (out.follow) out.follow = rules;
}

void read_backend(const Value& v, Backend& out) {
  if (v.node.IsScalar()) {
    read_address(v, out.address);
    read_follow(nullptr, out);
  } else {
    Map m(v);
    read_discovery(v, m, out);
    m.read("id", out.id);
    if (out.discovery && !out.id.empty())
      v.bad("has no `id` of its own: what DNS answers is named by its addresses");
    if (const auto address = m.get("address")) {
      read_address(*address, out.address);
      if (out.discovery) v.bad("has both an address and a DNS name; give one of them");
    } else if (!out.discovery) {
      v.bad("needs `address: host:port`, or `dns:` or `dns_srv:` with a name");
    }
    if (!out.discovery) read_follow(&m, out);
    m.read("weight", out.weight);
    m.read("backup", out.backup);
    m.read_with("max_in_flight", out.max_in_flight, [](const Value& x, std::optional<std::uint32_t>& o) {
      read_optional<std::uint32_t>(x, o, [](const Value& y, std::uint32_t& n) {
        read_value(y, n);
        if (n == 0) y.bad("must be at least 1, or none (`admin: maint` takes a backend out)");
      });
    });
    m.read_with("admin", out.admin, [](const Value& x, AdminState& o) {
      read_choice(x, o,
                  {{"ready", AdminState::ready}, {"drain", AdminState::drain}, {"maint", AdminState::maint}});
    });
    if (out.weight > 10000) v.bad("weight must be 0 to 10000");
    if (out.discovery && out.discovery->srv)
      refuse_keys(v, {"weight"}, "does nothing here: SRV records bring their own");
  }
  if (out.address.kind == Address::Kind::tcp && !out.address.host.empty() && out.address.port == 0 &&
      !(out.discovery && out.discovery->srv))
    v.bad("port 0 cannot be connected to; give the server's port");
  if (out.id.empty()) out.id = out.discovery && out.discovery->srv ? out.address.host : out.address.text();
}

void read_backends(const Value& v, std::vector<Backend>& out) {
  for_each_item(v, true, [&](const Value& item) {
    Backend backend;
    read_backend(item, backend);
    if (std::any_of(out.begin(), out.end(), [&](const Backend& b) { return b.id == backend.id; }))
      item.bad("a second backend with id '" + backend.id + "'");
    out.push_back(std::move(backend));
  });
}

void read_rebalance(const Value& v, std::optional<Rebalance>& out) {
  if (is_off(v)) return;
  Rebalance r;
  Map m(v);
  m.read_with("min_idle", r.min_idle, read_positive);
  m.read_with("moves_per_second", r.moves_per_second, read_positive_number);
  if (const auto t = m.get("threshold")) {
    read_positive_number(*t, r.threshold);
    if (r.threshold <= 1) t->bad("is a factor of the mean load: above 1 (1.25, say)");
  }
  m.read("without_state", r.without_state);
  out = r;
}

void read_state(const Value& v, std::optional<State>& out) {
  if (v.node.IsScalar()) {
    bool on = false;
    read_value(v, on);
    if (on) out.emplace();
    return;
  }
  State s;
  Map m(v);
  if (const auto bytes = m.get("max_bytes")) {
    read_size(*bytes, s.max_bytes);
    // Base64-encoded, it must fit into a response head (64 KiB).
    if (s.max_bytes < 1 || s.max_bytes > 32 * 1024)
      bytes->bad("must be 1B to 32KiB: it travels in a header field");
  }
  if (const auto replay = m.get("replay")) {
    int on_move = 0;
    read_choice(*replay, on_move, {{"on_move", 0}});
  }
  m.read_with("save", s.save, [](const Value& x, SaveMode& o) {
    read_choice(x, o, {{"async", SaveMode::async}, {"sync", SaveMode::sync}});
  });
  m.read_with("fetch_timeout", s.fetch_timeout, read_positive);
  m.read_with("on_missing", s.on_missing, [](const Value& x, OnMissing& o) {
    read_choice(x, o, {{"continue", OnMissing::continue_}, {"reject", OnMissing::reject}});
  });
  out = s;
}

/// Derived affinity has no token and no table, so settings that need one are rejected, not silently ignored.
void check_session(const Value& v, const std::vector<Affinity>& kinds) {
  const auto derived = [](const Affinity& a) { return a.settings->derived; };
  if (kinds.empty())
    return refuse_keys(
        v, {"idle_timeout", "max_lifetime", "on_lost", "on_full", "reject", "announce", "state", "rebalance"},
        "does nothing without an `affinity`: this pool has no sessions");
  if (!std::all_of(kinds.begin(), kinds.end(), derived)) return;
  refuse_keys(
      v, {"idle_timeout", "max_lifetime", "on_lost", "on_full", "reject", "announce", "rebalance", "state"},
      "cannot be kept: this affinity is derived from each request, with no token and no table "
      "(header and jwt_claim have one with `carry: store`)");
}

void read_session(const Value& v, Session& out) {
  Map m(v);
  m.read_with("idle_timeout", out.idle_timeout, [](const Value& x, std::optional<Millis>& o) {
    read_optional<Millis>(x, o, [](const Value& y, Millis& d) {
      d = Millis(1);
      read_positive(y, d);
    });
  });
  m.read_with("max_lifetime", out.max_lifetime, read_positive);
  m.read_with("on_lost", out.on_lost, [](const Value& x, OnLost& o) {
    read_choice(x, o, {{"reassign", OnLost::reassign}, {"reject", OnLost::reject}});
  });
  m.read_with("on_full", out.on_full, [](const Value& x, OnFull& o) {
    read_choice(x, o, {{"reject", OnFull::reject}, {"move", OnFull::move}});
  });
  if (const auto reject = m.get("reject")) {
    Map r(*reject);
    r.read("status", out.reject_status);
    if (const auto body = r.get("body"); body && !body->is_null()) read_value(*body, out.reject_body);
    if (out.reject_status < 400 || out.reject_status > 599) reject->bad("status must be 400 to 599");
  }
  m.read("announce", out.announce);
  m.read_with("state", out.state, read_state);
  m.read_with("rebalance", out.rebalance, read_rebalance);
  if (out.rebalance && !out.rebalance->without_state && !out.state)
    v.bad(
        "rebalance moves sessions between healthy servers: it needs `state`, or `without_state: on` when the "
        "app "
        "keeps nothing in memory that a move would lose");
  if (out.state && !out.announce)
    v.bad("state needs `announce`: the app learns from it whether it gets a state");
  if (out.idle_timeout && *out.idle_timeout > out.max_lifetime)
    v.bad("idle_timeout is longer than max_lifetime");
}

void read_retry_on(const Value& v, RetryOn& out) {
  out = {};
  for_each_item(v, true, [&](const Value& item) {
    bool RetryOn::* flag = nullptr;
    read_choice(item, flag,
                {{"connect", &RetryOn::connect},
                 {"refused", &RetryOn::refused},
                 {"reset", &RetryOn::reset},
                 {"timeout", &RetryOn::timeout},
                 {"502", &RetryOn::s502},
                 {"503", &RetryOn::s503},
                 {"504", &RetryOn::s504},
                 {"grpc-unavailable", &RetryOn::grpc_unavailable}});
    if (flag != nullptr) out.*flag = true;
  });
}

void read_failover(const Value& v, Failover& out) {
  Map m(v);
  m.read("attempts", out.attempts);
  m.read_with("retry_on", out.retry_on, read_retry_on);
  if (const auto bound = m.get("bound")) {
    Map b(*bound);
    b.read("same_backend", out.bound_same_backend);
    b.read_with("retry_on", out.bound_retry_on, read_retry_on);
  }
  m.read_with("replay_body", out.replay_body, read_size);
  m.read_with("budget", out.budget, read_percent);
  m.read_with("suspect_after", out.suspect_after, [](const Value& x, std::optional<Millis>& o) {
    const auto word = scalar(x);
    if (!word) return;
    if (iequals(*word, "auto")) return o.reset();
    o.emplace(0);
    if (!is_off(x) && !iequals(*word, "none")) read_positive(x, *o);
  });
  if (out.attempts < 1 || out.attempts > 10) v.bad("attempts must be 1 to 10");
  if (out.replay_body > 64U * 1024 * 1024) v.bad("replay_body is kept in memory per request: at most 64MiB");
}

void read_drain(const Value& v, Drain& out) {
  Map m(v);
  m.read_with("streams", out.streams, [](const Value& x, DrainStreams& o) {
    read_choice(x, o, {{"end", DrainStreams::end}, {"keep", DrainStreams::keep}});
  });
  m.read_with("spread", out.spread, read_positive);
}

void read_pool_timeouts(const Value& v, PoolTimeouts& out) {
  Map m(v);
  m.read_with("connect", out.connect, read_positive);
  m.read_with("response", out.response, read_positive);
  m.read_with("read", out.read, read_positive);
  m.read_with("write", out.write, read_positive);
  m.read_with("queue", out.queue, read_positive);
}

}  // namespace

void read_pool(const std::string& name, const Value& v, Kinds kinds, Pool& out) {
  out.name = name;
  Map m(v);
  if (const auto backends = m.get("backends")) {
    read_backends(*backends, out.backends);
    if (out.backends.empty()) backends->bad("needs at least one backend");
  } else {
    v.bad("needs `backends: [host:port]`");
  }
  m.read_with("protocol", out.protocol, [](const Value& x, BackendProtocol& o) {
    read_choice(x, o,
                {{"http1", BackendProtocol::http1},
                 {"h2", BackendProtocol::h2},
                 {"auto", BackendProtocol::automatic}});
  });
  m.read_with("tls", out.tls, read_backend_tls);
  m.read_with("balance", out.balance, [](const Value& x, Balance& o) {
    read_choice(x, o,
                {{"round_robin", Balance::round_robin},
                 {"least_requests", Balance::least_requests},
                 {"random_two", Balance::random_two},
                 {"peak_ewma", Balance::peak_ewma},
                 {"first", Balance::first}});
  });
  if (const auto affinity = m.get("affinity")) read_affinity(*affinity, name, kinds, out.affinity);
  if (const auto session = m.get("session")) {
    read_session(*session, out.session);
    check_session(*session, out.affinity);
    const auto in_urls = [](const Affinity& a) { return a.kind == "url_rewrite"; };
    if (out.session.state && std::any_of(out.affinity.begin(), out.affinity.end(), in_urls))
      session->bad("state is refused with url_rewrite: URLs are shared, and with them the state");
  }
  if (const auto health = m.get("health")) {
    read_health(*health, out);
    const bool http2 =
        out.protocol == BackendProtocol::h2 || (out.protocol == BackendProtocol::automatic && out.tls);
    if (out.probe.kind == ProbeKind::grpc && !http2)
      health->bad("a grpc probe needs HTTP/2: `protocol: h2`, or `auto` with `tls`");
  }
  if (const auto failover = m.get("failover"); failover && out.affinity.empty())
    refuse_keys(*failover, {"bound"}, "is for sessions, and without an `affinity` there are none");
  m.read_with("failover", out.failover, read_failover);
  m.read_with("drain", out.drain, read_drain);
  m.read_with("timeouts", out.timeouts, read_pool_timeouts);
  m.read("idle_connections", out.idle_connections);
  if (const auto headers = m.get("headers")) read_header_edits(*headers, out.headers);
  m.read_with("forwarded", out.forwarded, [](const Value& x, Forwarded& o) {
    read_choice(x, o,
                {{"x", Forwarded::x},
                 {"rfc7239", Forwarded::rfc7239},
                 {"both", Forwarded::both},
                 {"off", Forwarded::off}});
  });
  m.read("via", out.via);
  if (const auto host = m.get("host")) {
    std::string text;
    read_value(*host, text);
    if (text == "client") {
      out.host = HostMode::client;
    } else if (text == "backend") {
      out.host = HostMode::backend;
    } else {
      out.host = HostMode::literal;
      out.host_literal = text;
      const bool clean = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return is_token_char(c) || c == ':' || c == '[' || c == ']';
      });
      if (!clean) host->bad("must be client, backend or a host name");
    }
  }
}

void read_backend_tls(const Value& v, std::optional<BackendTls>& out) {
  if (v.is_null()) return;
  BackendTls tls;
  if (v.node.IsScalar()) {
    bool on = false;
    read_value(v, on);
    if (on) out = tls;
    return;
  }
  Map m(v);
  m.read("ca", tls.ca);
  m.read("verify", tls.verify);
  m.read("server_name", tls.server_name);
  m.read("cert", tls.cert);
  m.read("key", tls.key);
  if (!tls.ca.empty()) readable_file(v, tls.ca);
  if (tls.cert.empty() != tls.key.empty())
    v.bad("cert and key go together");
  else if (!tls.cert.empty() && readable_file(v, tls.cert))
    readable_file(v, tls.key);
  out = std::move(tls);
}

}  // namespace remora::config
