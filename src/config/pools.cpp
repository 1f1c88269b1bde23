#include <algorithm>

#include "config/sections.h"
#include "util/text.h"

namespace remora::config {

namespace {

void read_backend(const Value& v, Backend& out) {
  if (v.node.IsScalar()) {
    read_address(v, out.address);
  } else {
    Map m(v);
    m.not_yet("dns");
    m.not_yet("dns_srv");
    m.not_yet("refresh");
    m.not_yet("hold");
    const bool discovered = v.is_map() && (v.node["dns"] || v.node["dns_srv"]);
    m.read("id", out.id);
    if (const auto address = m.get("address"))
      read_address(*address, out.address);
    else if (!discovered)
      v.bad("needs `address: host:port`");
    m.read("weight", out.weight);
    m.read("backup", out.backup);
    m.read_with("max_in_flight", out.max_in_flight, [](const Value& x, std::optional<std::uint32_t>& o) {
      read_optional<std::uint32_t>(x, o, [](const Value& y, std::uint32_t& n) {
        read_value(y, n);
        if (n == 0) y.bad("must be at least 1, or none (`admin: maint` takes a backend out)");
      });
    });
    m.read_with("admin", out.admin, [](const Value& x, AdminWish& o) {
      read_choice(x, o,
                  {{"ready", AdminWish::ready}, {"drain", AdminWish::drain}, {"maint", AdminWish::maint}});
    });
    if (out.weight > 10000) v.bad("weight must be 0 to 10000");
  }
  if (out.id.empty()) out.id = out.address.text();
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
  m.not_yet_unless("state", "off");
  m.not_yet_unless("rebalance", "off");
  if (out.idle_timeout && *out.idle_timeout > out.max_lifetime)
    v.bad("idle_timeout is longer than max_lifetime");
}

void read_expect(const Value& v, Probe& out) {
  out.expect.clear();
  for_each_item(v, true, [&](const Value& item) {
    const auto text = scalar(item);
    if (!text) return;
    const auto dash = text->find('-');
    const auto from = parse_decimal(std::string_view(*text).substr(0, dash));
    const auto to =
        dash == std::string::npos ? from : parse_decimal(std::string_view(*text).substr(dash + 1));
    if (!from || !to || *from < 100 || *to > 599 || *from > *to)
      return item.bad("'" + *text + "' is no status or range (200, 200-399)");
    out.expect.emplace_back(static_cast<std::uint16_t>(*from), static_cast<std::uint16_t>(*to));
  });
}

void read_probe(const Value& v, Probe& out) {
  const auto path = [](const Value& x, std::string& o) {
    read_value(x, o);
    if (o.empty() || o.front() != '/') x.bad("a probe's path begins with '/'");
    for (const char c : o)
      if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
        return x.bad("a path cannot hold spaces or control characters");
  };
  if (v.node.IsScalar()) {
    const auto text = scalar(v);
    if (!text || *text == "off") return;
    if (*text == "tcp") {
      out.kind = ProbeKind::tcp;
    } else if (text->front() == '/') {
      out.kind = ProbeKind::http;
      path(v, out.path);
    } else {
      v.bad("must be a path, tcp or off");
    }
    return;
  }
  Map m(v);
  out.kind = ProbeKind::http;
  if (const auto p = m.get("path")) {
    if (p->node.IsScalar() && p->node.Scalar() == "tcp")
      out.kind = ProbeKind::tcp;
    else
      path(*p, out.path);
  } else {
    out.kind = ProbeKind::tcp;
  }
  m.read_with("interval", out.interval, read_positive);
  m.read_with("timeout", out.timeout, read_positive);
  m.read("rise", out.rise);
  m.read("fall", out.fall);
  m.read_with("expect", out, [](const Value& x, Probe& o) { read_expect(x, o); });
  if (const auto host = m.get("host"); host && !host->is_null()) read_value(*host, out.host);
  m.read_with("jitter", out.jitter, read_percent);
  if (out.rise == 0 || out.fall == 0) v.bad("rise and fall must be at least 1");
  if (out.interval < Millis(10)) v.bad("interval must be at least 10ms");
}

void read_health(const Value& v, Pool& out) {
  if (v.node.IsScalar()) return read_probe(v, out.probe);
  Map m(v);
  if (const auto probe = m.get("probe")) read_probe(*probe, out.probe);
  m.not_yet("eject");
  m.not_yet_unless("slow_start", "0s");
  m.not_yet_unless("panic", "0%");
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
                 {"504", &RetryOn::s504}});
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
  if (out.attempts < 1 || out.attempts > 10) v.bad("attempts must be 1 to 10");
  if (out.replay_body > 64U * 1024 * 1024) v.bad("replay_body is kept in memory per request: at most 64MiB");
}

void read_pool_timeouts(const Value& v, PoolTimeouts& out) {
  Map m(v);
  m.read_with("connect", out.connect, read_positive);
  m.read_with("response", out.response, read_positive);
  m.read_with("read", out.read, read_positive);
  m.read_with("write", out.write, read_positive);
  m.read_with("queue", out.queue, read_positive);
}

void read_cookie(Map& m, const Value& v, CookieAffinity& out) {
  const auto clean = [](const Value& x, std::string& o) {
    if (x.is_null()) return;
    read_value(x, o);
    for (const char c : o)
      if (static_cast<unsigned char>(c) <= ' ' || c == ';' || c == ',' || c == '"' ||
          static_cast<unsigned char>(c) >= 0x7f)
        return x.bad("cannot stand in a cookie");
  };
  if (const auto name = m.get("name")) {
    read_value(*name, out.name);
    if (!is_token(out.name)) name->bad("'" + out.name + "' is no cookie name");
  }
  m.read_with("path", out.path, clean);
  m.read_with("domain", out.domain, clean);
  m.read_with("secure", out.secure, [](const Value& x, Secure& o) {
    read_choice(x, o,
                {{"auto", Secure::auto_},
                 {"on", Secure::on},
                 {"off", Secure::off},
                 {"true", Secure::on},
                 {"false", Secure::off}});
  });
  m.read("http_only", out.http_only);
  m.read_with("same_site", out.same_site, [](const Value& x, SameSite& o) {
    read_choice(x, o,
                {{"lax", SameSite::lax},
                 {"strict", SameSite::strict},
                 {"none", SameSite::none},
                 {"unset", SameSite::unset}});
  });
  m.read("partitioned", out.partitioned);
  if (const auto age = m.get("max_age"); age && !(age->node.IsScalar() && age->node.Scalar() == "session")) {
    Millis d(0);
    read_value(*age, d);
    if (d < Millis(1000)) age->bad("must be `session` or at least 1s");
    out.max_age = std::chrono::duration_cast<seconds>(d);
  }
  if (out.same_site == SameSite::none && out.secure == Secure::off)
    v.bad("same_site: none needs secure (browsers drop the cookie otherwise)");
  if (out.partitioned && out.secure == Secure::off) v.bad("partitioned needs secure");
  if (out.name.rfind("__Host-", 0) == 0 &&
      (out.path != "/" || !out.domain.empty() || out.secure == Secure::off))
    v.bad("a __Host- cookie needs `path: /`, no domain, and secure");
}

void read_ip_hash(Map& m, const Value& v, IpHashAffinity& out) {
  std::uint16_t v4 = out.ipv4_prefix, v6 = out.ipv6_prefix;
  m.read("ipv4_prefix", v4);
  m.read("ipv6_prefix", v6);
  m.not_yet_unless("bounded_load", "off");
  if (v4 < 1 || v4 > 32) v.bad("ipv4_prefix must be 1 to 32");
  if (v6 < 1 || v6 > 128) v.bad("ipv6_prefix must be 1 to 128");
  out.ipv4_prefix = static_cast<std::uint8_t>(std::min<std::uint16_t>(v4, 32));
  out.ipv6_prefix = static_cast<std::uint8_t>(std::min<std::uint16_t>(v6, 128));
}

}  // namespace

void read_affinity(const Value& v, Affinity& out) {
  if (v.is_list()) {
    v.errors->add(v.mark, "", "not supported yet: " + v.key + " as a list of kinds");
    return;
  }
  const auto kind_of = [&](const Value& x) {
    enum class Word { none, cookie, ip_hash, later } word = Word::none;
    read_choice(x, word,
                {{"none", Word::none},
                 {"cookie", Word::cookie},
                 {"ip_hash", Word::ip_hash},
                 {"url_rewrite", Word::later},
                 {"app_cookie", Word::later},
                 {"header", Word::later},
                 {"jwt_claim", Word::later}});
    if (word == Word::later)
      x.errors->add(x.mark, "", "not supported yet: " + v.key + ": " + x.node.Scalar());
    out.kind = word == Word::cookie    ? AffinityKind::cookie
               : word == Word::ip_hash ? AffinityKind::ip_hash
                                       : AffinityKind::none;
    return word != Word::later;
  };
  if (v.node.IsScalar()) {
    kind_of(v);
    return;
  }
  if (!v.is_map()) return v.bad("must be a kind, a map with `kind:`, or a list");
  if (!v.node["kind"]) return v.bad("needs `kind:`");
  if (v.node["kind"].IsScalar()) {
    Map m(v);
    if (!kind_of(*m.get("kind"))) {
      // The other keys belong to that kind: nothing can be said of them yet.
      m.for_each([](const std::string&, const Value&) {});
      return;
    }
    if (out.kind == AffinityKind::cookie) read_cookie(m, v, out.cookie);
    if (out.kind == AffinityKind::ip_hash) read_ip_hash(m, v, out.ip_hash);
  } else {
    v.bad("`kind:` must be a single word");
  }
}

void read_pool(const std::string& name, const Value& v, Pool& out) {
  out.name = name;
  Map m(v);
  if (const auto backends = m.get("backends")) {
    read_backends(*backends, out.backends);
    if (out.backends.empty()) backends->bad("needs at least one backend");
  } else {
    v.bad("needs `backends: [host:port]`");
  }
  if (const auto protocol = m.get("protocol")) {
    std::string text;
    read_value(*protocol, text);
    if (text == "h2" || text == "auto")
      protocol->errors->add(protocol->mark, "", "not supported yet: " + protocol->key + ": " + text);
    else if (text != "http1")
      protocol->bad("'" + text + "' is none of http1 | h2 | auto");
  }
  m.read_with("tls", out.tls, read_backend_tls);
  m.read_with("balance", out.balance, [](const Value& x, Balance& o) {
    read_choice(x, o,
                {{"round_robin", Balance::round_robin},
                 {"least_requests", Balance::least_requests},
                 {"random_two", Balance::random_two},
                 {"peak_ewma", Balance::peak_ewma},
                 {"first", Balance::first}});
  });
  if (const auto affinity = m.get("affinity")) read_affinity(*affinity, out.affinity);
  if (out.affinity.cookie.name.empty()) out.affinity.cookie.name = "remora-" + name;
  m.read_with("session", out.session, read_session);
  if (const auto health = m.get("health")) read_health(*health, out);
  m.read_with("failover", out.failover, read_failover);
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

}  // namespace remora::config
