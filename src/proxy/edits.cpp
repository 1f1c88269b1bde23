#include "proxy/edits.h"

#include <algorithm>

#include "net/address.h"
#include "util/cookies.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::string_view via_value = "1.1 remora";

/// Whether a Connection option names this field (RFC 9110 7.6.1). Framing, routing and what we decide on
/// ourselves cannot be removed that way.
class Nominated {
 public:
  explicit Nominated(const std::vector<Field>& fields) : fields_(fields) {
    for (const Field& f : fields) {
      if (f.known != Known::connection) continue;
      for_each_token(f.value, [&](std::string_view option) {
        any_ = any_ ||
               !(iequals(option, "close") || iequals(option, "keep-alive") || iequals(option, "upgrade"));
        return true;
      });
    }
  }
  bool contains(const Field& field) const noexcept {
    if (!any_ || field.known == Known::content_length || field.known == Known::host) return false;
    bool found = false;
    for (const Field& f : fields_) {
      if (f.known != Known::connection) continue;
      for_each_token(f.value, [&](std::string_view option) {
        found = iequals(option, field.name);
        return !found;
      });
      if (found) return true;
    }
    return false;
  }

 private:
  const std::vector<Field>& fields_;
  bool any_ = false;
};

bool hop_by_hop(Known k) noexcept {
  switch (k) {
    case Known::connection:
    case Known::keep_alive:
    case Known::proxy_connection:
    case Known::te:
    case Known::transfer_encoding:
    case Known::upgrade:
    case Known::remora:
      return true;
    default:
      return false;
  }
}

bool configured_away(const config::HeaderEdits& edits, const Field& f) noexcept {
  return std::any_of(edits.remove.begin(), edits.remove.end(),
                     [&](const auto& n) { return iequals(n, f.name); }) ||
         std::any_of(edits.set.begin(), edits.set.end(),
                     [&](const auto& s) { return iequals(s.first, f.name); });
}

void add_configured(const config::HeaderEdits& edits, OutHead& out) {
  for (const auto& [name, value] : edits.set) out.fields.push_back({name, value, Known::other});
}

bool asks_for_trailers(const std::vector<Field>& fields) noexcept {
  bool yes = false;
  for (const Field& f : fields)
    if (f.known == Known::te)
      for_each_token(f.value, [&](std::string_view t) {
        yes = yes || iequals(t, "trailers");
        return true;
      });
  return yes;
}

/// What is no longer true of a body that was rewritten.
bool describes_body(const Field& f) noexcept {
  return f.known == Known::content_length || iequals(f.name, "accept-ranges") ||
         iequals(f.name, "content-md5") || iequals(f.name, "digest") || iequals(f.name, "content-digest") ||
         iequals(f.name, "repr-digest");
}

std::string_view upgrade_value(const std::vector<Field>& fields) noexcept {
  for (const Field& f : fields)
    if (f.known == Known::upgrade) return f.value;
  return {};
}

/// RFC 7239 6: an IPv6 address is bracketed and quoted.
std::string_view forwarded_node(const ClientAddress& a, std::string_view text, TextArena& arena) {
  return a.is_v4() ? text : arena.join("\"[", text, "]\"");
}

/// host as a Forwarded value: a token, or quoted. `valid_host` let neither quotes nor backslashes pass.
std::string_view quoted_if_needed(std::string_view host, TextArena& arena) {
  return is_token(host) ? host : arena.join("\"", host, "\"");
}

void add_forwarded(const RequestContext& in, TextArena& arena, OutHead& out) {
  using config::Forwarded;
  const Forwarded mode = in.pool.config.forwarded;
  if (mode == Forwarded::off) return;
  const std::string_view peer(in.arrival.peer_text, in.arrival.peer_text_size);
  const std::string_view proto = in.arrival.secure ? "https" : "http";
  const auto joined = [&](Known known, std::string_view ours) {  // what a trusted proxy said, then ours
    std::string_view value;
    if (in.arrival.trusted)
      for (const Field& f : in.head.fields)
        if (f.known == known) value = value.empty() ? f.value : arena.join(value, ", ", f.value);
    return value.empty() ? ours : arena.join(value, ", ", ours);
  };
  if (mode == Forwarded::x || mode == Forwarded::both) {
    out.fields.push_back({"X-Forwarded-For", joined(Known::x_forwarded_for, peer), Known::other});
    const Field* host = in.arrival.trusted ? in.head.find(Known::x_forwarded_host) : nullptr;
    out.fields.push_back({"X-Forwarded-Proto", proto, Known::other});
    out.fields.push_back({"X-Forwarded-Host", host != nullptr ? host->value : in.head.host, Known::other});
  }
  if (mode == Forwarded::rfc7239 || mode == Forwarded::both) {
    std::string_view ours =
        arena.join("for=", forwarded_node(in.arrival.peer, peer, arena), ";proto=", proto);
    if (!in.head.host.empty()) ours = arena.join(ours, ";host=", quoted_if_needed(in.head.host, arena));
    out.fields.push_back({"Forwarded", joined(Known::forwarded, ours), Known::other});
  }
}

std::string_view backend_host(const Member& member, TextArena& arena) {
  if (member.address.kind == config::Address::Kind::unix_path) return "localhost";
  return arena.join(member.address.text());
}

std::string_view host_for(const RequestContext& in, TextArena& arena) {
  switch (in.pool.config.host) {
    case config::HostMode::literal:
      return in.pool.config.host_literal;
    case config::HostMode::client:
      if (!in.head.host.empty()) return in.head.host;
      [[fallthrough]];  // HTTP/1.0 without Host
    case config::HostMode::backend:
      return backend_host(in.member, arena);
  }
  return {};
}

std::string_view target_for(const RequestContext& in, TextArena& arena) {
  const std::string& prefix = in.route.config.strip_prefix;
  std::string_view target = in.affinity.target.empty() ? in.head.target : in.affinity.target;
  if (prefix.empty()) return target;
  std::string_view bare = prefix;
  if (bare.back() == '/') bare.remove_suffix(1);
  const std::string_view path = target.substr(0, target.find('?'));
  if (path.substr(0, bare.size()) != bare || (path.size() > bare.size() && path[bare.size()] != '/'))
    return target;
  target.remove_prefix(bare.size());
  if (target.empty() || target.front() != '/') target = arena.join("/", target);
  return target;
}

}  // namespace

void resolve_arrival(const std::vector<Field>& fields, std::span<const config::Cidr> trusted,
                     Arrival& arrival) {
  arrival.trusted = contains(trusted, arrival.peer);
  if (!arrival.trusted) return;
  // Walk the hops from the nearest outwards; a hop that we trust speaks for the one before it.
  constexpr std::size_t most_hops = 32;
  std::string_view hops[most_hops];
  std::size_t count = 0;
  const auto push = [&](std::string_view hop) {
    if (count == most_hops) {
      std::copy(hops + 1, hops + most_hops, hops);
      --count;
    }
    hops[count++] = hop;
  };
  std::string_view proto;
  bool any_x = false;
  for (const Field& f : fields) {
    if (f.known == Known::x_forwarded_for) {
      any_x = true;
      for_each_token(f.value, [&](std::string_view hop) {
        push(hop);
        return true;
      });
    } else if (f.known == Known::x_forwarded_proto) {
      proto = f.value;
    }
  }
  if (!any_x) {
    for (const Field& f : fields) {
      if (f.known != Known::forwarded) continue;
      for_each_token(f.value, [&](std::string_view element) {
        while (!element.empty()) {
          const auto semicolon = element.find(';');
          const auto pair = trim(element.substr(0, semicolon));
          if (istarts_with(pair, "for=")) push(pair.substr(4));
          if (istarts_with(pair, "proto=")) proto = pair.substr(6);
          element.remove_prefix(semicolon == std::string_view::npos ? element.size() : semicolon + 1);
        }
        return true;
      });
    }
  }
  if (!proto.empty()) arrival.secure = iequals(trim(proto.substr(0, proto.find(','))), "https");
  for (std::size_t i = count; i > 0; --i) {
    std::string_view hop = hops[i - 1];
    if (hop.size() >= 2 && hop.front() == '"' && hop.back() == '"') hop = hop.substr(1, hop.size() - 2);
    if (!hop.empty() && hop.front() == '[')
      hop = hop.substr(1, hop.find(']') == std::string_view::npos ? hop.size() : hop.find(']') - 1);
    else if (std::count(hop.begin(), hop.end(), ':') == 1)
      hop = hop.substr(0, hop.find(':'));
    const auto address = parse_ip(hop);
    if (!address) return;  // "unknown", or nonsense: what stands before it cannot be believed
    arrival.client = *address;
    if (!contains(trusted, *address)) return;
  }
}

namespace {
/// In any letter case and with `_` for `-`, which apps read as the same (CGI's variables).
bool names_one_of(std::string_view name, std::span<const std::string> list) noexcept {
  const auto same = [](char a, char b) { return lower(a == '_' ? '-' : a) == lower(b == '_' ? '-' : b); };
  return std::any_of(list.begin(), list.end(), [&](const std::string& other) {
    return name.size() == other.size() && std::equal(name.begin(), name.end(), other.begin(), same);
  });
}
}  // namespace

void edit_request(const RequestContext& in, TextArena& arena, OutHead& out) {
  out.fields.clear();
  out.raw_fields = {};
  out.method = in.head.method_text;
  out.target = target_for(in, arena);
  out.framing = in.head.framing;
  out.close = in.pool.config.idle_connections == 0;
  out.upgrade = in.head.upgrade ? upgrade_value(in.head.fields) : std::string_view();

  const config::HeaderEdits& pool_edits = in.pool.config.headers;
  const config::HeaderEdits& route_edits = in.route.config.request_headers;
  const bool edits = !pool_edits.empty() || !route_edits.empty();
  const config::Forwarded mode = in.pool.config.forwarded;
  const bool sends_x = mode == config::Forwarded::x || mode == config::Forwarded::both;
  const bool sends_forwarded = mode == config::Forwarded::rfc7239 || mode == config::Forwarded::both;
  const Nominated nominated(in.head.fields);
  const auto ours = in.affinity.dropped_cookies();
  bool have_host = false;
  for (std::size_t i = 0; i < in.head.fields.size(); ++i) {
    const Field& f = in.head.fields[i];
    if (hop_by_hop(f.known) || nominated.contains(f)) continue;
    if (edits && (configured_away(pool_edits, f) || configured_away(route_edits, f))) continue;
    switch (f.known) {
      case Known::host:
        if (in.pool.config.host == config::HostMode::client)
          out.fields.push_back(f);  // what the target says is the same (take_target_apart)
        else
          out.fields.push_back({f.name, host_for(in, arena), Known::host});
        have_host = true;
        break;
      case Known::x_forwarded_for:
      case Known::x_forwarded_proto:
      case Known::x_forwarded_host:
        // From a stranger: a claim nobody checked. From a trusted proxy: joined with ours below, or passed
        // on.
        if (in.arrival.trusted && !sends_x) out.fields.push_back(f);
        break;
      case Known::forwarded:
        if (in.arrival.trusted && !sends_forwarded) out.fields.push_back(f);
        break;
      case Known::expect:
        if (in.head.expect_continue) out.fields.push_back(f);
        break;
      case Known::cookie:
        if (std::none_of(ours.begin(), ours.end(), [&](std::string_view name) {
              return f.value.find(name) != std::string_view::npos;
            })) {
          out.fields.push_back(f);
        } else {
          std::string& rest = arena.scratch();
          if (append_cookies_without(f.value, ours, rest))
            out.fields.push_back({f.name, arena.join(rest), Known::cookie});
        }
        break;
      case Known::accept_encoding:
      case Known::range:
        if (!in.affinity.identity_coding) out.fields.push_back(f);
        break;
      default:
        if (!in.request_id_name.empty() && !in.request_id_from_client && iequals(f.name, in.request_id_name))
          break;
        if (!in.claim_headers.empty() && names_one_of(f.name, in.claim_headers)) break;
        out.fields.push_back(edited(in.affinity.fields, i, f));
    }
  }
  if (in.affinity.identity_coding)
    out.fields.push_back({"Accept-Encoding", "identity", Known::accept_encoding});
  if (!have_host) out.fields.push_back({"Host", host_for(in, arena), Known::host});
  if (asks_for_trailers(in.head.fields)) out.fields.push_back({"TE", "trailers", Known::te});
  add_forwarded(in, arena, out);
  out.fields.push_back({"Via", in.head.minor == 0 ? "1.0 remora" : via_value, Known::via});
  if (!in.request_id_name.empty() && !in.request_id_from_client)
    out.fields.push_back({in.request_id_name, in.request_id, Known::other});
  if (!in.announcement.empty()) out.fields.push_back({"Remora-Session", in.announcement, Known::remora});
  if (!in.state.empty()) out.fields.push_back({"Remora-State", in.state, Known::remora});
  in.passed.for_each_forwarded([&](std::string_view header, std::string_view text) {
    out.fields.push_back({header, text, Known::other});
  });
  add_configured(pool_edits, out);
  add_configured(route_edits, out);
}

void edit_response(const ResponseContext& in, OutHead& out) {
  out.fields.clear();
  out.status = in.head.status;
  out.reason = in.head.reason;
  out.framing = in.head.framing;
  out.close = in.close;
  out.upgrade = in.head.upgrade ? upgrade_value(in.head.fields) : std::string_view();
  out.raw_fields = in.affinity.lines;

  const config::HeaderEdits& edits = in.route.config.response_headers;
  const Nominated nominated(in.head.fields);
  bool have_cache_control = false;
  for (std::size_t i = 0; i < in.head.fields.size(); ++i) {
    const Field& f = in.head.fields[i];
    if (hop_by_hop(f.known) || nominated.contains(f)) continue;
    if (in.affinity.other_body && describes_body(f)) continue;
    if (!edits.empty() && configured_away(edits, f)) continue;
    if (f.known == Known::cache_control && in.affinity.make_private) {
      // The response carries someone's token now: no shared cache may keep it.
      if (!have_cache_control) out.fields.push_back({f.name, "private", Known::cache_control});
      have_cache_control = true;
      continue;
    }
    out.fields.push_back(edited(in.affinity.fields, i, f));
  }
  if (!in.date.empty() && in.head.status >= 200) out.fields.push_back({"Date", in.date, Known::date});
  if (in.affinity.make_private && !have_cache_control)
    out.fields.push_back({"Cache-Control", "private", Known::cache_control});
  out.fields.push_back({"Via", in.head.minor == 0 ? "1.0 remora" : via_value, Known::via});
  add_configured(edits, out);
}

void edit_interim(const ResponseHead& head, OutHead& out) {
  out = OutHead{};
  out.status = head.status;
  out.reason = head.reason;
  const Nominated nominated(head.fields);
  for (const Field& f : head.fields)
    if (!hop_by_hop(f.known) && !nominated.contains(f)) out.fields.push_back(f);
}

bool shared_cacheable(const std::vector<Field>& fields) noexcept {
  bool open = false;
  for (const Field& f : fields) {
    if (f.known != Known::cache_control) continue;
    for_each_token(f.value, [&](std::string_view directive) {
      if (iequals(directive, "private") || iequals(directive, "no-store")) {
        open = false;
        return false;
      }
      if (iequals(directive, "public") || istarts_with(directive, "s-maxage")) open = true;
      return true;
    });
  }
  return open;
}

}  // namespace remora
