#include "proxy/edits.h"

#include <algorithm>
#include <array>

#include "http/caching.h"
#include "http/client_fields.h"
#include "http/trailers.h"
#include "net/address.h"
#include "proxy/own_fields.h"
#include "proxy/prefix.h"
#include "util/cookies.h"
#include "util/text.h"

namespace remora {

namespace {

/// By Version.
constexpr std::string_view via_values[] = {"1.0 remora", "1.1 remora", "2.0 remora"};

std::string_view via_value(Version received) noexcept {
  return via_values[static_cast<std::size_t>(received)];
}

/// Fields that a Connection option must not remove, besides Known ones: those that remora reads, that earlier
/// proxies set, or that apps base decisions on.
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
                     [&](auto n) { return istarts_with(name, n); }) ||
         tells_of_the_client(name);
}

/// The fields that Connection options name (RFC 9110 7.6.1): the sender's own hop-by-hop fields. Collected
/// once per head. REQUIRES: at most 32 options, which validate.h enforces for every head.
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
  /// Whether the field is to be removed. `looked_at`: fields that the route matched on; those stay.
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
    case Known::trailer:  // sent again for the trailers that pass
    case Known::transfer_encoding:
    case Known::upgrade:
    case Known::remora:
      return true;
    default:
      return false;
  }
}

/// Fields that are never forwarded, whatever Connection says.
bool hop_by_hop(const Field& f) noexcept {
  constexpr std::string_view settings = "http2-settings";  // RFC 7540 3.2.1
  return hop_by_hop(f.known) || (f.name.size() == settings.size() && iequals(f.name, settings));
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

/// Fields that no longer hold once the body is rewritten.
bool describes_body(const Field& f) noexcept {
  return f.known == Known::content_length || iequals(f.name, "accept-ranges") ||
         iequals(f.name, "content-md5") || iequals(f.name, "digest") || iequals(f.name, "content-digest") ||
         iequals(f.name, "repr-digest");
}

/// The announced trailer names that may pass, joined. `refused(name)`: the caller's own reason to drop one.
template <class Refused>
std::string_view passed_trailers(const std::vector<Field>& fields, TextArena& arena, Refused refused) {
  unsigned left = 16;  // each name is compared with each trailer
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

Stripped target_for(const RequestContext& in, TextArena& arena) {
  const std::string_view target = in.affinity.target.empty() ? in.head.target : in.affinity.target;
  const std::string& prefix = in.route.config.strip_prefix;
  return prefix.empty() ? Stripped{target, false} : without_prefix(target, prefix, arena);
}
bool names_one_of(std::string_view name, std::span<const std::string> list) noexcept {
  return std::any_of(list.begin(), list.end(), [&](const auto& other) { return same_to_apps(name, other); });
}
/// Like names_one_of(), with a final `*` as wildcard.
bool fits_one_of(std::string_view name, std::span<const std::string> list) noexcept {
  return std::any_of(list.begin(), list.end(), [&](const std::string& wanted) {
    const std::string_view pattern = wanted;
    return pattern.ends_with('*') ? begins_like(name, pattern.substr(0, pattern.size() - 1))
                                  : same_to_apps(name, pattern);
  });
}

bool names_one_of_edits(std::string_view name, const config::HeaderEdits& edits) noexcept {
  return names_one_of(name, edits.remove) ||
         std::any_of(edits.set.begin(), edits.set.end(),
                     [&](const auto& s) { return same_to_apps(name, s.first); });
}

/// Whether an app could take this name, which has an unusual character, for a field that remora sets, guards
/// or removes.
bool disguised(std::string_view name, const RequestContext& in) noexcept {
  static constexpr std::string_view guarded[] = {
      "accept-encoding",     "cache-control",     "content-encoding", "content-length", "content-location",
      "content-type",        "http2-settings",    "keep-alive",       "max-forwards",   "proxy-connection",
      "proxy-authorization", "transfer-encoding", "x-request-id",
  };
  return begins_like(name, "remora-") || tells_of_the_client(name) || fits_one_of(name, in.stripped) ||
         std::any_of(std::begin(guarded), std::end(guarded), [&](auto g) { return same_to_apps(name, g); }) ||
         (!in.request_id_name.empty() && same_to_apps(name, in.request_id_name)) ||
         names_one_of(name, in.claim_headers) || names_one_of_edits(name, in.pool.config.headers) ||
         names_one_of_edits(name, in.route.config.request_headers);
}

/// Whether a field without a rule of its own is forwarded to the backend.
bool passes_on(const Field& f, const RequestContext& in) noexcept {
  if (f.odd_name && disguised(f.name, in)) return false;
  if (!in.request_id_name.empty() && !in.request_id_from_client && iequals(f.name, in.request_id_name))
    return false;
  if (!in.claim_headers.empty() && names_one_of(f.name, in.claim_headers)) return false;
  if (!may_tell_of_the_client(f.name)) return true;
  return !is_httpoxy(f.name) && (in.arrival.trusted || !tells_of_the_client(f.name));
}

}  // namespace

void drop_stripped(std::vector<Field>& fields, std::span<const std::string> names) {
  std::erase_if(fields, [&](const Field& f) { return fits_one_of(f.name, names); });
}

void edit_request(const RequestContext& in, TextArena& arena, OutHead& out) {
  out.clear();
  out.method = in.head.method_text;
  const Stripped target = target_for(in, arena);
  out.target = target.target;
  out.body = in.head.body;
  out.close = in.pool.config.idle_connections == 0;
  out.tunnel = in.head.tunnel ? passed_protocols(in.head.fields, in.route.config, arena) : std::string_view();

  OwnFields own(in, out);
  const bool edits = own.edited();
  const config::Forwarded mode = in.pool.config.forwarded;
  const bool sends_x = mode == config::Forwarded::x || mode == config::Forwarded::both;
  const bool sends_forwarded = mode == config::Forwarded::rfc7239 || mode == config::Forwarded::both;
  const Nominated nominated(in.head.fields);
  const bool trailers = in.head.body.kind == BodyLength::Kind::unknown;
  out.trailers = trailers
                     ? passed_trailers(in.head.fields, arena,
                                       [&](std::string_view name) {
                                         const Field f{name, {}};
                                         return names_one_of(name, in.claim_headers) ||
                                                iequals(name, in.request_id_name) ||
                                                fits_one_of(name, in.stripped) ||
                                                names_one_of(name, in.pool.token_fields) || own.removed(f);
                                       })
                     : std::string_view();
  const auto ours = in.affinity.dropped_cookies();
  bool have_host = false;
  for (std::size_t i = 0; i < in.head.fields.size(); ++i) {
    const Field& f = in.head.fields[i];
    if (hop_by_hop(f) || nominated.contains(f, &in.route.config.headers)) continue;
    if (in.affinity.drops_field(i)) continue;
    if (edits && own.removed(f)) continue;
    switch (f.known) {
      case Known::host:
        if (in.pool.config.host == config::HostMode::client)
          out.fields.push_back(f);  // same as in the target (take_target_apart)
        else
          out.fields.push_back({f.name, host_for(in, arena), Known::host});
        have_host = true;
        break;
      case Known::x_forwarded_for:
      case Known::x_forwarded_proto:
      case Known::x_forwarded_host:
        // From an untrusted peer: an unchecked claim, dropped. From a trusted proxy: joined with ours below,
        // or forwarded.
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
        if (!passes_on(f, in)) break;
        if (in.affinity.identity_coding && iequals(f.name, "if-range")) break;  // meaningless without Range
        Field passed = edited(in.affinity.fields, i, f);
        if (in.arrival.trusted && sends_x && !agrees_with_ours(in, target.stripped, passed)) break;
        if (!in.grpc_timeout.empty() && iequals(f.name, "grpc-timeout")) passed.value = in.grpc_timeout;
        out.fields.push_back(passed);
    }
  }
  if (in.affinity.identity_coding)
    out.fields.push_back({"Accept-Encoding", "identity", Known::accept_encoding});
  if (!have_host) out.fields.push_back({"Host", host_for(in, arena), Known::host});
  if (!out.trailers.empty()) out.fields.push_back({"Trailer", out.trailers, Known::trailer});
  if (asks_for_trailers(in.head.fields)) out.fields.push_back({"TE", "trailers", Known::te});
  add_forwarded(in, target.stripped, arena, own);
  if (in.pool.config.via) own.add("Via", via_value(in.head.version), Known::via);
  if (!in.request_id_name.empty() && !in.request_id_from_client)
    own.add(in.request_id_name, in.request_id, Known::x_request_id);
  if (!in.announcement.empty()) out.fields.push_back({"Remora-Session", in.announcement, Known::remora});
  if (!in.state.empty()) out.fields.push_back({"Remora-State", in.state, Known::remora});
  in.passed.for_each_forwarded([&](std::string_view header, std::string_view text) {
    out.fields.push_back({header, text, Known::other});
  });
  own.add_configured_ones();
}

void edit_response(const ResponseContext& in, OutHead& out) {
  out.clear();
  out.status = in.head.status;
  out.reason = in.head.reason;
  out.body = in.head.body;
  out.close = in.close;
  out.tunnel = in.head.tunnel ? chosen_protocol(in.head.fields) : std::string_view();

  const config::HeaderEdits& edits = in.route.config.response_headers;
  const Nominated nominated(in.head.fields);
  out.trailers = passed_trailers(in.head.fields, in.affinity.arena, [&](std::string_view name) {
    return configured_away(edits, {name, {}}) || names_one_of(name, in.token_fields);
  });
  for (std::size_t i = 0; i < in.head.fields.size(); ++i) {
    const Field& f = in.head.fields[i];
    if (hop_by_hop(f) || nominated.contains(f)) continue;
    if (in.head.drops_length && f.known == Known::content_length) continue;
    if (in.affinity.other_body && describes_body(f)) continue;
    if (!edits.empty() && configured_away(edits, f)) continue;
    if (in.affinity.no_ranges && iequals(f.name, "accept-ranges")) continue;
    if (names_one_of(f.name, in.token_fields)) continue;
    out.fields.push_back(edited(in.affinity.fields, i, f));
  }
  if (!out.trailers.empty()) out.fields.push_back({"Trailer", out.trailers, Known::trailer});
  out.grpc_trailers = in.grpc && in.head.version == Version::http2;
  // Its end was known without a length: a 205, or any response of HTTP/2.
  if (!out.grpc_trailers && in.head.body.kind == BodyLength::Kind::known && in.head.body.bytes == 0 &&
      in.head.find(Known::content_length) == nullptr)
    out.fields.push_back({"Content-Length", "0", Known::content_length});
  const auto keeps = [&](const Field& f) { return edits.empty() || !configured_away(edits, f); };
  const Field date{"Date", in.date, Known::date};
  if (!in.date.empty() && in.head.status >= 200 && keeps(date)) out.fields.push_back(date);
  const Field via{"Via", via_value(in.head.version), Known::via};
  if (in.via && keeps(via)) out.fields.push_back(via);
  add_configured(edits, out);
  if (in.affinity.make_private)
    close_to_shared_caches(in.method, in.head.status, out.fields, in.affinity.arena);
  if (!in.affinity.added.empty()) append_added(in.affinity, out);
}

void append_added(const ResponseEdits& edits, OutHead& out) {
  out.fields.insert(out.fields.end(), edits.added.begin(), edits.added.end());
}

void edit_local_reply(const RouteView& route, OutHead& out) {
  const config::HeaderEdits& edits = route.config.response_headers;
  if (edits.empty()) return;
  std::erase_if(out.fields, [&](const Field& f) { return configured_away(edits, f); });
  add_configured(edits, out);
}

void edit_interim(const ResponseHead& head, OutHead& out, std::span<const std::string> token_fields) {
  out = OutHead{};
  out.status = head.status;
  out.reason = head.reason;
  const Nominated nominated(head.fields);
  for (const Field& f : head.fields)
    if (!hop_by_hop(f) && !nominated.contains(f) && f.known != Known::content_length &&
        !names_one_of(f.name, token_fields))
      out.fields.push_back(f);
}

const std::vector<Field>* without_token_fields(const std::vector<Field>* trailers,
                                               std::span<const std::string> token_fields,
                                               std::vector<Field>& room) {
  if (trailers == nullptr || token_fields.empty()) return trailers;
  room.clear();
  for (const Field& f : *trailers)
    if (!names_one_of(f.name, token_fields)) room.push_back(f);
  return room.empty() ? nullptr : &room;
}

bool offered_to_shared_caches(const ResponseHead& head, Method method, const RouteView& route,
                              Clock::Wall now) {
  const config::HeaderEdits& edits = route.config.response_headers;
  if (edits.empty()) return offered_to_shared_caches(method, head.status, head.fields, now);
  std::vector<Field> seen;
  for (const Field& f : head.fields)
    if (!configured_away(edits, f)) seen.push_back(f);
  for (const auto& [name, value] : edits.set) seen.push_back({name, value, Known::other});
  return offered_to_shared_caches(method, head.status, seen, now);
}

}  // namespace remora
