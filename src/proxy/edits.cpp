#include "proxy/edits.h"

#include <algorithm>
#include <array>

#include "http/caching.h"
#include "http/trailers.h"
#include "net/address.h"
#include "util/cookies.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::string_view via_value = "1.1 remora";

bool named_by(std::string_view name,
              const std::vector<std::pair<std::string, std::string>>& fields) noexcept {
  return std::any_of(fields.begin(), fields.end(), [&](const auto& f) { return iequals(f.first, name); });
}

/// Fields that a Connection option may not take away, beside all that are Known: what remora itself looked at
/// or a proxy before it set, and what apps decide on.
bool end_to_end(std::string_view name) noexcept {
  static constexpr std::string_view names[] = {"authorization",
                                               "etag",
                                               "expires",
                                               "from",
                                               "last-modified",
                                               "origin",
                                               "pragma",
                                               "server",
                                               "strict-transport-security",
                                               "user-agent",
                                               "vary",
                                               "www-authenticate",
                                               "x-content-type-options",
                                               "x-frame-options",
                                               "x-real-ip",
                                               "content-security-policy"};
  static constexpr std::string_view beginnings[] = {"x-forwarded-", "access-control-", "if-", "sec-",
                                                    "content-"};
  return std::any_of(std::begin(names), std::end(names), [&](auto n) { return iequals(n, name); }) ||
         std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](auto n) { return istarts_with(name, n); });
}

/// The fields that Connection options name (RFC 9110 7.6.1): hop-by-hop fields of somebody's own. Collected
/// once. REQUIRES: there are at most 32 of them, as for every head that was read (head.cpp).
class Nominated {
 public:
  explicit Nominated(const std::vector<Field>& fields) {
    for (const Field& f : fields) {
      if (f.known != Known::connection) continue;
      for_each_token(f.value, [&](std::string_view option) {
        if (iequals(option, "close") || iequals(option, "keep-alive") || iequals(option, "upgrade"))
          return true;
        options_[count_++] = option;
        return count_ < options_.size();
      });
    }
  }
  /// `looked_at`: fields that a route asked for.
  bool contains(const Field& field,
                const std::vector<std::pair<std::string, std::string>>* looked_at = nullptr) const noexcept {
    if (count_ == 0) return false;
    const bool may_go = field.known == Known::other || field.known == Known::proxy_authenticate ||
                        field.known == Known::proxy_authorization || field.known == Known::trailer;
    if (!may_go) return false;
    const auto* const end = options_.data() + count_;
    if (std::none_of(options_.data(), end, [&](auto option) { return iequals(option, field.name); }))
      return false;
    return !end_to_end(field.name) && (looked_at == nullptr || !named_by(field.name, *looked_at));
  }

 private:
  std::array<std::string_view, 32> options_;
  std::size_t count_ = 0;
};

bool hop_by_hop(Known k) noexcept {
  switch (k) {
    case Known::connection:
    case Known::keep_alive:
    case Known::proxy_connection:
    case Known::te:
    case Known::trailer:  // said anew, of those that pass
    case Known::transfer_encoding:
    case Known::upgrade:
    case Known::remora:
      return true;
    default:
      return false;
  }
}

/// What never leaves the connection it came by, whatever Connection says of it.
bool hop_by_hop(const Field& f) noexcept {
  constexpr std::string_view settings = "http2-settings";  // RFC 7540 3.2.1
  return hop_by_hop(f.known) || (f.name.size() == settings.size() && iequals(f.name, settings));
}

bool configured_away(const config::HeaderEdits& edits, const Field& f) noexcept {
  return std::any_of(edits.remove.begin(), edits.remove.end(),
                     [&](const auto& n) { return iequals(n, f.name); }) ||
         named_by(f.name, edits.set);
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

/// Protocols of one message at most; nobody offers as many.
constexpr unsigned most_protocols = 16;

/// Calls `f` with each protocol that a request asks for and its route lets pass.
template <class F>
void for_each_passed_protocol(const std::vector<Field>& fields, const config::Route& route, F f) {
  unsigned left = most_protocols;
  for (const Field& field : fields) {
    if (field.known != Known::upgrade) continue;
    for_each_token(field.value, [&](std::string_view protocol) {
      if (std::any_of(route.upgrades.begin(), route.upgrades.end(),
                      [&](const auto& name) { return iequals(name, protocol); }))
        f(protocol);
      return --left > 0;
    });
    if (left == 0) return;
  }
}

std::string_view passed_protocols(const RequestContext& in, TextArena& arena) {
  std::string_view value;
  for_each_passed_protocol(in.head.fields, in.route.config, [&](std::string_view protocol) {
    value = value.empty() ? protocol : arena.join(value, ", ", protocol);
  });
  return value;
}

/// Of the names that the head announces as trailers, those that may pass. `refused(name)`: no, for reasons of
/// the caller's.
template <class Refused>
std::string_view passed_trailers(const std::vector<Field>& fields, TextArena& arena, Refused refused) {
  unsigned left = 16;  // each is compared with each trailer
  std::string_view value;
  for (const Field& field : fields) {
    if (field.known != Known::trailer) continue;
    for_each_token(field.value, [&](std::string_view name) {
      if (is_token(name) && !never_a_trailer(name) && !refused(name))
        value = value.empty() ? name : arena.join(value, ", ", name);
      return --left > 0;
    });
    if (left == 0) break;
  }
  return value;
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
    const std::vector<Field>& fields = in.head.fields;
    const auto is = [&](const Field& f) { return f.known == known && !f.value.empty(); };
    const auto first = in.arrival.trusted ? std::find_if(fields.begin(), fields.end(), is) : fields.end();
    if (first == fields.end()) return ours;
    const auto second = std::find_if(first + 1, fields.end(), is);
    if (second == fields.end()) return arena.join(first->value, ", ", ours);
    std::string& all = arena.scratch();
    for (const Field& f : fields)
      if (is(f)) all.append(f.value).append(", ");
    return arena.join(all.append(ours));
  };
  if (mode == Forwarded::x || mode == Forwarded::both) {
    out.fields.push_back({"X-Forwarded-For", joined(Known::x_forwarded_for, peer), Known::other});
    out.fields.push_back({"X-Forwarded-Proto", proto, Known::other});
    const std::string_view host =
        in.arrival.trusted && !in.arrival.host.empty() ? in.arrival.host : in.head.host;
    out.fields.push_back({"X-Forwarded-Host", host, Known::other});
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

bool alphanumeric(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}
/// As apps compare names that came through CGI's variables: in any letter case, and with a hyphen for
/// whatever is neither letter nor digit.
bool same_to_apps(std::string_view a, std::string_view b) noexcept {
  const auto plain = [](char c) { return alphanumeric(c) ? lower(c) : '-'; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return plain(x) == plain(y); });
}
bool names_one_of(std::string_view name, std::span<const std::string> list) noexcept {
  return std::any_of(list.begin(), list.end(), [&](const auto& other) { return same_to_apps(name, other); });
}
bool begins_like(std::string_view name, std::string_view beginning) noexcept {
  return name.size() >= beginning.size() && same_to_apps(name.substr(0, beginning.size()), beginning);
}

/// Fields that say who the client is, how it came and what it asked for: only a trusted proxy's word counts,
/// and ours. Apps behind IIS or old Symfony route by X-Original-URL and X-Rewrite-URL, past our routes.
bool tells_of_the_client(std::string_view name) noexcept {
  return begins_like(name, "x-forwarded-") || same_to_apps(name, "x-real-ip") ||
         begins_like(name, "x-original-") || same_to_apps(name, "x-rewrite-url");
}

bool names_one_of_edits(std::string_view name, const config::HeaderEdits& edits) noexcept {
  return names_one_of(name, edits.remove) ||
         std::any_of(edits.set.begin(), edits.set.end(),
                     [&](const auto& s) { return same_to_apps(name, s.first); });
}

/// A name with an odd character that an app could take for one that remora sets, guards or removes.
bool disguised(std::string_view name, const RequestContext& in) noexcept {
  static constexpr std::string_view guarded[] = {
      "accept-encoding",     "cache-control",     "content-encoding", "content-length", "content-location",
      "content-type",        "http2-settings",    "keep-alive",       "max-forwards",   "proxy-connection",
      "proxy-authorization", "transfer-encoding", "x-request-id",
  };
  return begins_like(name, "remora-") || tells_of_the_client(name) ||
         std::any_of(std::begin(guarded), std::end(guarded), [&](auto g) { return same_to_apps(name, g); }) ||
         (!in.request_id_name.empty() && same_to_apps(name, in.request_id_name)) ||
         names_one_of(name, in.claim_headers) || names_one_of_edits(name, in.pool.config.headers) ||
         names_one_of_edits(name, in.route.config.request_headers);
}

/// Whether a field that remora has no other opinion on goes to the backend.
bool passes_on(const Field& f, const RequestContext& in) noexcept {
  if (f.odd_name && disguised(f.name, in)) return false;
  if (!in.request_id_name.empty() && !in.request_id_from_client && iequals(f.name, in.request_id_name))
    return false;
  if (!in.claim_headers.empty() && names_one_of(f.name, in.claim_headers)) return false;
  return in.arrival.trusted || lower(f.name.front()) != 'x' || !tells_of_the_client(f.name);
}

}  // namespace

bool passes_upgrade(const std::vector<Field>& fields, const config::Route& route) noexcept {
  bool any = false;
  for_each_passed_protocol(fields, route, [&](std::string_view) { any = true; });
  return any;
}

void edit_request(const RequestContext& in, TextArena& arena, OutHead& out) {
  out.clear();
  out.method = in.head.method_text;
  out.target = target_for(in, arena);
  out.framing = in.head.framing;
  out.close = in.pool.config.idle_connections == 0;
  out.upgrade = in.head.upgrade ? passed_protocols(in, arena) : std::string_view();

  const config::HeaderEdits& pool_edits = in.pool.config.headers;
  const config::HeaderEdits& route_edits = in.route.config.request_headers;
  const bool edits = !pool_edits.empty() || !route_edits.empty();
  const config::Forwarded mode = in.pool.config.forwarded;
  const bool sends_x = mode == config::Forwarded::x || mode == config::Forwarded::both;
  const bool sends_forwarded = mode == config::Forwarded::rfc7239 || mode == config::Forwarded::both;
  const Nominated nominated(in.head.fields);
  const bool trailers = in.head.framing.kind == Framing::Kind::chunked;
  out.trailers = trailers ? passed_trailers(in.head.fields, arena,
                                            [&](std::string_view name) {
                                              const Field f{name, {}};
                                              return names_one_of(name, in.claim_headers) ||
                                                     iequals(name, in.request_id_name) ||
                                                     configured_away(pool_edits, f) ||
                                                     configured_away(route_edits, f);
                                            })
                          : std::string_view();
  const auto ours = in.affinity.dropped_cookies();
  bool have_host = false;
  for (std::size_t i = 0; i < in.head.fields.size(); ++i) {
    const Field& f = in.head.fields[i];
    if (hop_by_hop(f) || nominated.contains(f, &in.route.config.headers)) continue;
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
        if (in.affinity.identity_coding && iequals(f.name, "if-range")) break;  // means nothing without Range
        if (passes_on(f, in)) out.fields.push_back(edited(in.affinity.fields, i, f));
    }
  }
  if (in.affinity.identity_coding)
    out.fields.push_back({"Accept-Encoding", "identity", Known::accept_encoding});
  if (!have_host) out.fields.push_back({"Host", host_for(in, arena), Known::host});
  if (!out.trailers.empty()) out.fields.push_back({"Trailer", out.trailers, Known::trailer});
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
  out.clear();
  out.status = in.head.status;
  out.reason = in.head.reason;
  out.framing = in.head.framing;
  out.close = in.close;
  out.upgrade = in.head.upgrade ? upgrade_value(in.head.fields) : std::string_view();
  out.raw_fields = in.affinity.lines;

  const config::HeaderEdits& edits = in.route.config.response_headers;
  const Nominated nominated(in.head.fields);
  out.trailers = passed_trailers(in.head.fields, in.affinity.arena,
                                 [&](std::string_view name) { return configured_away(edits, {name, {}}); });
  for (std::size_t i = 0; i < in.head.fields.size(); ++i) {
    const Field& f = in.head.fields[i];
    if (hop_by_hop(f) || nominated.contains(f)) continue;
    if (in.affinity.other_body && describes_body(f)) continue;
    if (!edits.empty() && configured_away(edits, f)) continue;
    if (in.affinity.no_ranges && iequals(f.name, "accept-ranges")) continue;
    out.fields.push_back(edited(in.affinity.fields, i, f));
  }
  if (!out.trailers.empty()) out.fields.push_back({"Trailer", out.trailers, Known::trailer});
  if (!in.date.empty() && in.head.status >= 200) out.fields.push_back({"Date", in.date, Known::date});
  out.fields.push_back({"Via", in.head.minor == 0 ? "1.0 remora" : via_value, Known::via});
  add_configured(edits, out);
  if (in.affinity.make_private)
    close_to_shared_caches(in.method, in.head.status, out.fields, in.affinity.arena);
}

void edit_interim(const ResponseHead& head, OutHead& out) {
  out = OutHead{};
  out.status = head.status;
  out.reason = head.reason;
  const Nominated nominated(head.fields);
  for (const Field& f : head.fields)
    if (!hop_by_hop(f) && !nominated.contains(f)) out.fields.push_back(f);
}

bool offered_to_shared_caches(const ResponseHead& head, const RouteView& route, Clock::Wall now) {
  const config::HeaderEdits& edits = route.config.response_headers;
  if (edits.empty()) return offered_to_shared_caches(head.fields, now);
  std::vector<Field> seen;
  for (const Field& f : head.fields)
    if (!configured_away(edits, f)) seen.push_back(f);
  for (const auto& [name, value] : edits.set) seen.push_back({name, value, Known::other});
  return offered_to_shared_caches(seen, now);
}

}  // namespace remora
