#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "config/sections.h"
#include "net/address.h"
#include "util/text.h"

namespace remora::config {

namespace {

/// In order of preference.
void read_alpn(const Value& v, std::vector<Alpn>& out) {
  std::vector<Alpn> names;
  const std::size_t before = v.errors->count();
  for_each_item(v, true, [&](const Value& item) {
    Alpn name{};
    const std::size_t so_far = v.errors->count();
    read_choice(item, name, {{"h2", Alpn::h2}, {"http/1.1", Alpn::http11}});
    if (v.errors->count() != so_far) return;
    if (std::find(names.begin(), names.end(), name) != names.end())
      return item.bad(quoted(item) + " is given twice");
    names.push_back(name);
  });
  if (v.errors->count() != before) return;
  if (names.empty()) return v.bad("needs at least one of h2 | http/1.1");
  out = std::move(names);
}

void read_h2(const Value& v, Http2& out) {
  constexpr std::uint32_t max_streams = 10000;
  constexpr std::size_t min_stream = 16 * 1024, min_connection = 64 * 1024, max_window = 64 * 1024 * 1024;
  Map m(v);
  m.read("max_concurrent_streams", out.max_concurrent_streams);
  m.read_with("stream_window", out.stream_window, read_size);
  m.read_with("connection_window", out.connection_window, read_size);
  if (out.max_concurrent_streams == 0 || out.max_concurrent_streams > max_streams)
    v.bad("max_concurrent_streams must be 1 to 10000");
  if (out.stream_window < min_stream || out.stream_window > max_window)
    v.bad("stream_window must be 16KiB to 64MiB");
  if (out.connection_window < min_connection || out.connection_window > max_window)
    v.bad("connection_window must be 64KiB to 64MiB");
  if (out.stream_window > out.connection_window)
    v.bad("stream_window must not exceed connection_window, which all streams share");
}

void read_tls(const Value& v, std::optional<ListenerTls>& out) {
  if (v.is_null()) return;
  ListenerTls tls;
  Map m(v);
  if (const auto list = m.get("certificates")) {
    for_each_item(*list, true, [&](const Value& item) {
      Certificate c;
      Map pair(item);
      pair.read("cert", c.cert);
      pair.read("key", c.key);
      if (c.cert.empty() || c.key.empty()) return item.bad("needs both `cert` and `key`");
      if (readable_file(item, c.cert) && readable_file(item, c.key)) tls.certificates.push_back(std::move(c));
    });
  } else {
    v.bad("needs `certificates: [{cert: F, key: F}]`");
  }
  m.read_with("min_version", tls.min_version,
              [](const Value& x, int& o) { read_choice(x, o, {{"1.2", 12}, {"1.3", 13}}); });
  m.read_with("alpn", tls.alpn, read_alpn);
  m.read("client_ca", tls.client_ca);
  m.read_with("client_auth", tls.client_auth, [](const Value& x, ClientAuth& o) {
    read_choice(
        x, o,
        {{"off", ClientAuth::off}, {"optional", ClientAuth::optional}, {"required", ClientAuth::required}});
  });
  if (tls.client_auth != ClientAuth::off && tls.client_ca.empty())
    v.bad("client_auth needs `client_ca: FILE`");
  if (tls.client_auth == ClientAuth::off && !tls.client_ca.empty())
    v.bad(
        "client_ca does nothing while client_auth is off, and whoever comes is let in: say `client_auth: "
        "required` (or optional)");
  if (!tls.client_ca.empty()) readable_file(v, tls.client_ca);
  m.read("tickets", tls.tickets);
  out = std::move(tls);
}

void read_timeouts(const Value& v, ListenerTimeouts& out) {
  Map m(v);
  m.read_with("header", out.header, read_positive);
  m.read_with("body", out.body, read_positive);
  m.read_with("idle", out.idle, read_positive);
  m.read_with("write", out.write, read_positive);
  m.read_with("tunnel", out.tunnel, read_positive);
}

void read_limits(const Value& v, ListenerLimits& out) {
  Map m(v);
  m.read("connections", out.connections);
  m.read_with("header_bytes", out.header_bytes, read_size);
  m.read("headers", out.headers);
  m.read_with("target_bytes", out.target_bytes, read_size);
  m.read_with("body_bytes", out.body_bytes, [](const Value& x, std::optional<std::uint64_t>& o) {
    read_optional<std::uint64_t>(x, o, [](const Value& y, std::uint64_t& n) {
      std::size_t bytes = 0;
      read_size(y, bytes);
      n = bytes;
    });
  });
  m.read_with("body_rate", out.body_rate, [](const Value& x, std::uint64_t& o) {
    std::optional<std::size_t> rate;
    read_optional<std::size_t>(x, rate, read_size);
    if (rate && *rate == 0) return x.bad("must be at least 1B (a second), or none");
    o = rate.value_or(0);
  });
  if (out.connections == 0) v.bad("connections must be at least 1");
  if (out.header_bytes < 512 || out.header_bytes > 1024 * 1024) v.bad("header_bytes must be 512B to 1MiB");
  if (out.headers == 0 || out.headers > 10000) v.bad("headers must be 1 to 10000");
  if (out.target_bytes < 64 || out.target_bytes > out.header_bytes)
    v.bad("target_bytes must be 64B to header_bytes");
}

void read_per_client(const Value& v, PerClient& out) {
  Map m(v);
  const auto count = [](const Value& x, std::optional<std::uint32_t>& o) {
    read_optional<std::uint32_t>(x, o, [](const Value& y, std::uint32_t& n) {
      read_value(y, n);
      if (n == 0) y.bad("must be at least 1, or none");
    });
  };
  m.read_with("connections", out.connections, count);
  m.read_with("burst", out.burst, count);
  m.read_with("requests_per_second", out.requests_per_second, [](const Value& x, std::optional<double>& o) {
    read_optional<double>(x, o, read_positive_number);
  });
  m.read_with(
      "new_sessions_per_second", out.new_sessions_per_second,
      [](const Value& x, std::optional<double>& o) { read_optional<double>(x, o, read_positive_number); });
  if (out.burst && !out.requests_per_second && !out.new_sessions_per_second)
    v.bad("burst needs requests_per_second or new_sessions_per_second");
}

/// on | off | {from: [CIDR...]}
void read_proxy_protocol(const Value& v, Listener& out) {
  if (!v.is_map()) return read_value(v, out.proxy_protocol);
  Map m(v);
  m.read_with("from", out.proxy_protocol_from, read_cidr);
  out.proxy_protocol = true;
  if (out.proxy_protocol_from.empty()) v.bad("needs `from: [10.0.0.0/8]`: who sends the line");
}

void settle_proxy_senders(Listener& out) {
  if (!out.proxy_protocol || !out.proxy_protocol_from.empty()) return;
  out.proxy_protocol_from = out.trusted_proxies;
  if (!out.proxy_protocol_from.empty()) return;
  for (const auto& [text, bits] : {std::pair("127.0.0.0", 96 + 8), std::pair("::1", 128)}) {
    Cidr c;
    std::memcpy(c.bytes, parse_ip(text)->bytes, sizeof c.bytes);
    c.bits = static_cast<std::uint8_t>(bits);
    out.proxy_protocol_from.push_back(c);
  }
}

/// Field names, or prefixes such as X-Internal-*
void read_stripped(const Value& v, std::vector<std::string>& out) {
  for_each_item(v, true, [&](const Value& item) {
    const auto text = scalar(item);
    if (!text) return;
    const std::string name = text->ends_with('*') ? text->substr(0, text->size() - 1) : *text;
    if (name.empty() || name.find('*') != std::string::npos)
      return item.bad(quoted(item) + " is not a header name (X-Internal, X-Internal-*)");
    if (editable_field(item, name)) out.push_back(to_lower(*text));
  });
}

void read_listener(const Value& v, Listener& out) {
  if (v.node.IsScalar()) {
    read_address(v, out.bind);
  } else {
    Map m(v);
    m.read("name", out.name);
    if (const auto bind = m.get("bind"))
      read_address(*bind, out.bind);
    else
      v.bad("needs `bind: host:port`");
    read_socket_access(m, out.bind, out.access);
    m.read_with("tls", out.tls, read_tls);
    if (const auto h2c = m.get("h2c")) {
      read_value(*h2c, out.h2c);
      if (out.h2c && out.tls)
        h2c->bad("is for listeners without tls; with tls, clients choose h2 by ALPN (tls.alpn)");
    }
    m.read_with("h2", out.h2, read_h2);
    if (const auto line = m.get("proxy_protocol")) read_proxy_protocol(*line, out);
    m.read_with("trusted_proxies", out.trusted_proxies, read_cidr);
    m.read_with("strip_client_headers", out.strip_client_headers, read_stripped);
    settle_proxy_senders(out);
    m.read_with("timeouts", out.timeouts, read_timeouts);
    m.read_with("limits", out.limits, read_limits);
    m.read_with("per_client", out.per_client, read_per_client);
    if (const auto id = m.get("request_id")) {
      if (!is_off(*id)) read_value(*id, out.request_id);
      if (is_off(*id))
        out.request_id.clear();
      else
        editable_field(*id, out.request_id);
    }
  }
  if (out.name.empty()) out.name = out.bind.text();
}

}  // namespace

void read_listeners(const Value& v, std::vector<Listener>& out) {
  for_each_item(v, true, [&](const Value& item) {
    Listener listener;
    read_listener(item, listener);
    for (const Listener& other : out) {
      if (other.bind == listener.bind && listener.bind.port != 0)
        item.bad("a second listener on " + listener.bind.text());
      if (other.name == listener.name && listener.bind.port != 0)
        item.bad("a second listener named '" + listener.name + "'");
    }
    out.push_back(std::move(listener));
  });
}

void read_cidr(const Value& v, std::vector<Cidr>& out) {
  for_each_item(v, true, [&](const Value& item) {
    const auto text = scalar(item);
    if (!text) return;
    if (iequals(*text, "unix") || iequals(*text, "unix:")) return out.push_back(Cidr{});
    const auto slash = text->find('/');
    const auto address = parse_ip(text->substr(0, slash));
    const unsigned most = address && address->is_v4() ? 32 : 128;
    std::optional<std::uint64_t> bits = most;
    if (slash != std::string::npos) bits = parse_decimal(std::string_view(*text).substr(slash + 1));
    if (!address || !bits || *bits > most)
      return item.bad(quoted(item) + " is not an address block (10.0.0.0/8, fd00::/8), nor unix");
    Cidr c;
    std::memcpy(c.bytes, address->bytes, sizeof c.bytes);
    c.bits = static_cast<std::uint8_t>(*bits + (most == 32 ? 96 : 0));
    out.push_back(c);
  });
}

bool readable_file(const Value& v, const std::string& path) {
  if (::access(path.c_str(), R_OK) == 0) return true;
  v.bad("the file '" + path + "' cannot be read");
  return false;
}

}  // namespace remora::config
