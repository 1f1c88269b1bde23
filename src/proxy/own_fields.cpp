#include "proxy/own_fields.h"

#include <algorithm>

#include "http/client_fields.h"
#include "http/target.h"
#include "proxy/outer_scheme.h"
#include "util/text.h"

namespace remora {

bool named_by(std::string_view name,
              const std::vector<std::pair<std::string, std::string>>& fields) noexcept {
  return std::any_of(fields.begin(), fields.end(), [&](const auto& f) { return iequals(f.first, name); });
}

bool configured_away(const config::HeaderEdits& edits, const Field& f) noexcept {
  return std::any_of(edits.remove.begin(), edits.remove.end(),
                     [&](const auto& n) { return iequals(n, f.name); }) ||
         named_by(f.name, edits.set);
}

void add_configured(const config::HeaderEdits& edits, OutHead& out, const config::HeaderEdits* over) {
  for (const auto& [name, value] : edits.set) {
    const Field f{name, value, Known::other};
    if (over == nullptr || !configured_away(*over, f)) out.fields.push_back(f);
  }
}

void OwnFields::add_configured_ones() {
  if (!edited_) return;
  add_configured(pool_, out_, &route_);
  add_configured(route_, out_);
}

namespace {

/// RFC 7239 6: an IPv6 address is bracketed and quoted.
std::string_view forwarded_node(const ClientAddress& a, std::string_view text, TextArena& arena) {
  return a.is_v4() || a.is_unknown() ? text : arena.join("\"[", text, "]\"");
}

/// A host as a Forwarded value: a token, or quoted. `valid_host` lets neither quotes nor backslashes pass.
std::string_view quoted_if_needed(std::string_view host, TextArena& arena) {
  return is_token(host) ? host : arena.join("\"", host, "\"");
}

/// The port of the client's URL: apps need it, besides scheme and host, to write absolute links.
std::string_view outer_port(const RequestContext& in, std::string_view host) noexcept {
  const auto is_port = [](std::string_view text) {
    const auto n = parse_decimal(text);
    return n && *n > 0 && *n <= 65535;
  };
  if (in.arrival.trusted && is_port(in.arrival.port)) return in.arrival.port;
  const std::string_view port = host_port(host);
  if (!port.empty() && is_port(port)) return port;
  return in.arrival.secure ? "443" : "80";
}

/// X-Forwarded-Prefix: the prefixes that proxies before us removed from the path, then ours.
std::string_view outer_prefix(const RequestContext& in, TextArena& arena) {
  std::string& all = arena.scratch();
  const auto add = [&](std::string_view prefix) {
    if (prefix.ends_with('/')) prefix.remove_suffix(1);
    all += prefix;
    return true;
  };
  if (in.arrival.trusted)
    for (const Field& f : in.head.fields)
      if (f.known == Known::other && may_tell_of_the_client(f.name) && iequals(f.name, "x-forwarded-prefix"))
        for_each_token(f.value, add);
  add(in.route.config.strip_prefix);
  return arena.join(std::string_view(all));
}

}  // namespace

void add_forwarded(const RequestContext& in, bool stripped, TextArena& arena, OwnFields& out) {
  using config::Forwarded;
  const Forwarded mode = in.pool.config.forwarded;
  if (mode == Forwarded::off) return;
  const std::string_view peer(in.arrival.peer_text, in.arrival.peer_text_size);
  const std::string_view proto = in.arrival.secure ? "https" : "http";
  const auto joined = [&](Known known, std::string_view ours) {  // a trusted proxy's value, then ours
    const std::vector<Field>& fields = in.head.fields;
    const auto is = [&](const Field& f) { return f.known == known && !f.value.empty(); };
    const auto first = in.arrival.trusted ? std::find_if(fields.begin(), fields.end(), is) : fields.end();
    if (first == fields.end()) return ours;
    // A trusted proxy on a unix socket has no address, and appending `unknown` would hide the address before
    // it.
    const bool adds = !in.arrival.peer.is_unknown();
    const auto second = std::find_if(first + 1, fields.end(), is);
    if (second == fields.end()) return adds ? arena.join(first->value, ", ", ours) : first->value;
    std::string& all = arena.scratch();
    for (const Field& f : fields)
      if (is(f)) all.append(all.empty() ? "" : ", ").append(f.value);
    if (adds) all.append(", ").append(ours);
    return arena.join(std::string_view(all));
  };
  if (mode == Forwarded::x || mode == Forwarded::both) {
    out.add("X-Forwarded-For", joined(Known::x_forwarded_for, peer));
    out.add("X-Forwarded-Proto", proto);
    const std::string_view host =
        in.arrival.trusted && !in.arrival.host.empty() ? in.arrival.host : in.head.host;
    if (!host.empty()) out.add("X-Forwarded-Host", host);
    if (!host.empty()) out.add("X-Forwarded-Port", outer_port(in, host));
    if (stripped) out.add("X-Forwarded-Prefix", outer_prefix(in, arena));
  }
  if (mode == Forwarded::rfc7239 || mode == Forwarded::both) {
    std::string_view ours =
        arena.join("for=", forwarded_node(in.arrival.peer, peer, arena), ";proto=", proto);
    if (!in.head.host.empty()) ours = arena.join(ours, ";host=", quoted_if_needed(in.head.host, arena));
    out.add("Forwarded", joined(Known::forwarded, ours));
  }
}

bool agrees_with_ours(const RequestContext& in, bool stripped, Field& f) noexcept {
  if (!may_tell_of_the_client(f.name)) return true;
  if (iequals(f.name, "x-forwarded-port") || (stripped && iequals(f.name, "x-forwarded-prefix")))
    return false;
  const SchemeField form = scheme_field(f.name);
  const std::string_view value = agreeing(form, f.value, in.arrival.secure);
  if (value.data() != f.value.data()) f = {f.name, value, f.known};
  return true;
}

}  // namespace remora
