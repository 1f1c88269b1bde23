#include <algorithm>

#include "config/route_path.h"
#include "config/sections.h"
#include "util/text.h"

namespace remora::config {

bool editable_field(const Value& v, const std::string& name) {
  if (!is_token(name)) {
    v.bad("'" + name + "' is not a header name");
    return false;
  }
  static constexpr const char* fixed[] = {
      "connection", "content-length", "transfer-encoding", "te",   "trailer",
      "upgrade",    "keep-alive",     "proxy-connection",  "host", "expect"};
  for (const char* f : fixed)
    if (iequals(f, name)) {
      v.bad("'" + name + "' belongs to the protocol and cannot be edited" +
            (iequals(name, "host") ? " (see pools.*.host)" : ""));
      return false;
    }
  if (istarts_with(name, "remora-") || istarts_with(name, "remora_")) {
    v.bad("'" + name + "' is remora's own");
    return false;
  }
  return true;
}

namespace {
bool clean_value(const Value& v, const std::string& text) {
  for (const char c : text)
    if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f) {
      v.bad("a header value cannot hold control characters");
      return false;
    }
  return true;
}
}  // namespace

void read_header_pairs(const Value& v, std::vector<std::pair<std::string, std::string>>& out) {
  Map m(v);
  m.for_each([&](const std::string& name, const Value& item) {
    const auto text = scalar(item);
    if (text && editable_field(item, name) && clean_value(item, *text)) out.emplace_back(name, *text);
  });
}

void read_header_edits(const Value& v, HeaderEdits& out) {
  Map m(v);
  if (const auto set = m.get("set")) read_header_pairs(*set, out.set);
  if (const auto remove = m.get("remove"))
    for_each_item(*remove, true, [&](const Value& item) {
      const auto name = scalar(item);
      if (name && editable_field(item, *name)) out.remove.push_back(*name);
    });
}

namespace {

void read_redirect(const Value& v, std::optional<Redirect>& out) {
  Redirect r;
  if (v.node.IsScalar()) {
    read_value(v, r.to);
  } else {
    Map m(v);
    m.read("to", r.to);
    m.read("status", r.status);
  }
  if (r.to.empty() || !clean_value(v, r.to)) v.bad("needs `to: URL`");
  if (r.status != 301 && r.status != 302 && r.status != 303 && r.status != 307 && r.status != 308)
    v.bad("status must be 301, 302, 303, 307 or 308");
  for (std::size_t at = r.to.find('{'); at != std::string::npos; at = r.to.find('{', at + 1)) {
    const std::string word = r.to.substr(at, r.to.find('}', at) - at + 1);
    static constexpr const char* known[] = {"{scheme}", "{host}", "{port}", "{authority}",
                                            "{uri}",    "{path}", "{query}"};
    if (std::find(std::begin(known), std::end(known), word) == std::end(known))
      v.bad("'" + word + "' is none of {scheme} {host} {port} {authority} {uri} {path} {query}");
  }
  out = std::move(r);
}

void read_route_timeouts(const Value& v, RouteTimeouts& out) {
  Map m(v);
  const auto one = [&](const char* key, std::optional<Millis>& o) {
    m.read_with(key, o, [](const Value& x, std::optional<Millis>& d) {
      Millis value(1);
      read_positive(x, value);
      d = value;
    });
  };
  one("connect", out.connect);
  one("response", out.response);
  one("read", out.read);
  one("write", out.write);
  one("queue", out.queue);
}

/// A route's `headers` are conditions if they are plain pairs, and edits if they are {set, remove}. The
/// contract uses the one key for both; the two forms cannot be confused.
void read_route_headers(const Value& v, Route& out) {
  if (v.is_map() && (v.node["set"] || v.node["remove"])) return read_header_edits(v, out.request_headers);
  Map m(v);
  m.for_each([&](const std::string& name, const Value& item) {
    const auto text = scalar(item);
    if (!is_token(name)) return item.bad("'" + name + "' is not a header name");
    if (text) out.headers.emplace_back(name, *text);
  });
}

/// Compares whole segments.
bool path_begins_with(std::string_view path, std::string_view prefix) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return iequals(path.substr(0, prefix.size()), prefix) &&
         (path.size() <= prefix.size() || path[prefix.size()] == '/');
}

/// Normalizes the path that routes and requests are compared by. A redirect has no backend that could
/// interpret the path differently.
void read_spelling(Map& m, Route& out) {
  const auto path = m.get("path");
  if (path && out.path.starts_with('/'))
    if (const std::string why = never_matches(out.path, !out.redirect); !why.empty()) path->bad(why);
  out.path = escaped_path(out.path);
}

void read_route(const Value& v, Route& out) {
  Map m(v);
  m.read_with("host", out.host, [](const Value& x, std::string& o) {
    read_value(x, o);
    o = to_lower(o);
    if (o == "*") o.clear();
    const std::string_view rest = o.rfind("*.", 0) == 0 ? std::string_view(o).substr(2) : std::string_view(o);
    if (rest.find('*') != std::string_view::npos) x.bad("'*' can only stand first, as in \"*.example.com\"");
    if (rest.find('/') != std::string_view::npos ||
        (rest.find(':') != std::string_view::npos && rest.front() != '['))
      x.bad("a host has no port, scheme or path");
    if (o.size() > 1 && o.back() == '.') o.pop_back();  // RFC 3986 3.2.2: same name without the final dot
  });
  m.read_with("path", out.path, [](const Value& x, std::string& o) {
    read_value(x, o);
    if (o.empty() || o.front() != '/') x.bad("must begin with '/'");
    if (o.size() > 1 && o.back() == '/') o.pop_back();  // matched by whole segments: /api/ equals /api
    if (o.find_first_of("?#*") != std::string::npos)
      x.bad("a path matches whole segments; '?', '#' and '*' have no meaning");
  });
  if (const auto methods = m.get("methods"))
    for_each_item(*methods, true, [&](const Value& item) {
      const auto name = scalar(item);
      if (name && !is_token(*name)) item.bad("'" + *name + "' is not a method");
      if (name) out.methods.push_back(*name);
    });
  if (const auto headers = m.get("headers")) read_route_headers(*headers, out);
  if (const auto headers = m.get("response_headers")) read_header_edits(*headers, out.response_headers);
  m.read("pool", out.pool);
  if (const auto split = m.get("split")) {
    Map weights(*split);
    std::uint64_t sum = 0;
    weights.for_each([&](const std::string& pool, const Value& item) {
      std::uint32_t weight = 0;
      read_value(item, weight);
      sum += weight;
      out.split.emplace_back(pool, weight);
    });
    if (sum == 0) split->bad("needs weights: {app: 95, canary: 5}");
  }
  m.read_with("redirect", out.redirect, read_redirect);
  if (const auto a = m.get("affinity")) read_choice(*a, out.affinity, {{"off", false}, {"on", true}});
  if (const auto upgrades = m.get("upgrades")) {
    out.upgrades.clear();
    for_each_item(*upgrades, true, [&](const Value& item) {
      const auto name = scalar(item);
      if (!name) return;
      const std::string_view protocol = std::string_view(*name).substr(0, name->find('/'));
      if (iequals(protocol, "h2c") || iequals(protocol, "h2"))
        return item.bad("'" + *name + "' would be a tunnel past routes, authentication and limits");
      if (!is_token(protocol)) return item.bad("'" + *name + "' is not a protocol (for example websocket)");
      out.upgrades.push_back(*name);
    });
  }
  m.read("strip_prefix", out.strip_prefix);
  if (!out.strip_prefix.empty() && out.strip_prefix.front() != '/') v.bad("strip_prefix must begin with '/'");
  out.strip_prefix = escaped_path(out.strip_prefix);  // sent in a header field
  m.read_with("timeouts", out.timeouts, read_route_timeouts);
  if (const auto auth = m.get("auth")) {
    if (auth->node.IsScalar()) {
      read_value(*auth, out.verifier);
    } else {
      Map a(*auth);
      a.read("verifier", out.verifier);
      a.read("required", out.auth_required);
      a.read_with("preflight", out.auth_passes_preflights,
                  [](const Value& x, bool& o) { read_choice(x, o, {{"pass", true}, {"verify", false}}); });
      if (out.verifier.empty()) auth->bad("needs `verifier:`, one of `jwt`");
    }
  }
  read_spelling(m, out);
  if (out.redirect)
    refuse_keys(v, {"affinity", "upgrades", "strip_prefix", "timeouts"},
                "does nothing here: a redirect is answered without a backend");
  if (out.redirect && !out.request_headers.empty())
    refuse_keys(v, {"headers"}, "edits of a request that no backend gets; conditions are plain pairs");
  const bool strips =
      path_begins_with(out.path, out.strip_prefix) || path_begins_with(out.strip_prefix, out.path);
  if (!out.strip_prefix.empty() && !strips)
    refuse_keys(v, {"strip_prefix"}, "does nothing here: no path of this route begins with it");
  const int targets = (out.pool.empty() ? 0 : 1) + (out.split.empty() ? 0 : 1) + (out.redirect ? 1 : 0);
  if (targets != 1) v.bad("needs exactly one of pool, split and redirect");
}

}  // namespace

void read_routes(const Value& v, std::vector<Route>& out) {
  for_each_item(v, false, [&](const Value& item) {
    Route route;
    read_route(item, route);
    for (const Route& other : out)
      if (other.host == route.host && other.path == route.path && other.methods == route.methods &&
          other.headers == route.headers)
        item.bad("cannot be told apart from an earlier route (same host, path, methods and headers)");
    out.push_back(std::move(route));
  });
}

}  // namespace remora::config
