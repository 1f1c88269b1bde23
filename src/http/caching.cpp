#include "http/caching.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <utility>

#include "util/directives.h"

namespace remora {

namespace {

/// The relevant directives of one or more lines.
struct Directives {
  bool is_private = false, no_store = false, must_understand = false, no_cache = false, is_public = false;
  bool has_age = false, has_shared_age = false;
  bool age = false, shared_age = false;  // a lifetime above zero

  /// No shared cache may store the response. A cache that supports `must-understand` ignores the `no-store`
  /// beside it (RFC 9111 5.2.2.3).
  bool closed() const noexcept { return is_private || (no_store && !must_understand); }
  bool lives() const noexcept { return has_shared_age ? shared_age : age; }
};

/// Caches differ in how they read quoted values and digits with trailing text, so any nonzero digit counts.
bool above_zero(std::string_view argument) noexcept {
  if (!argument.empty() && argument.front() == '"') argument.remove_prefix(1);
  const auto digits = argument.substr(0, argument.find_first_not_of("0123456789"));
  return digits.find_first_not_of('0') != std::string_view::npos;
}

void read(std::string_view line, Directives& out) noexcept {
  for_each_directive(line, [&](const Directive& d) {
    const auto is = [&](std::string_view name) { return iequals(d.name, name); };
    const bool bare = d.name.size() == d.whole.size();  // `private="Set-Cookie"` concerns that field only
    if (bare && is("private")) out.is_private = true;
    if (bare && is("no-store")) out.no_store = true;
    if (bare && is("no-cache")) out.no_cache = true;
    if (is("must-understand")) out.must_understand = true;
    if (is("public")) out.is_public = true;
    if (is("s-maxage")) {
      out.has_shared_age = true;
      out.shared_age = out.shared_age || above_zero(d.argument);
    }
    if (is("max-age") || is("cache-maxage")) {  // cache-maxage: Edge-Control
      out.has_age = true;
      out.age = out.age || above_zero(d.argument);
    }
  });
}

/// Fields from the configuration are classified by name only.
bool is_cache_control(const Field& f) noexcept {
  return f.known == Known::cache_control ||
         (f.known == Known::other && f.name.size() == 13 && iequals(f.name, "cache-control"));
}

Directives read_cache_control(std::span<const Field> fields) noexcept {
  Directives all;
  for (const Field& f : fields)
    if (is_cache_control(f)) read(f.value, all);
  return all;
}

// Fields that some caches obey before Cache-Control --------------------------------------------------

enum class Target : std::uint8_t {
  none,
  directives,  // CDN-Cache-Control and every *-Cache-Control (RFC 9213 2.1), Edge-Control (Akamai)
  surrogate,   // Surrogate-Control (Edge Architecture 1.0): also names the processing that a page needs
  seconds      // X-Accel-Expires (nginx), X-Reverse-Proxy-TTL (Varnish): a number
};

Target target_of(const Field& f) noexcept {
  if (f.known != Known::other) return Target::none;
  constexpr std::string_view ending = "-cache-control";
  const std::string_view n = f.name;
  if (n.size() > ending.size() && iequals(n.substr(n.size() - ending.size()), ending))
    return Target::directives;
  switch (n.size()) {
    case 12:
      return iequals(n, "edge-control") ? Target::directives : Target::none;
    case 15:
      return iequals(n, "x-accel-expires") ? Target::seconds : Target::none;
    case 17:
      return iequals(n, "surrogate-control") ? Target::surrogate : Target::none;
    case 19:
      return iequals(n, "x-reverse-proxy-ttl") ? Target::seconds : Target::none;
    default:
      return Target::none;
  }
}

/// The field already forbids storing, so it can stay.
bool keeps_away(Target target, std::string_view value) noexcept {
  if (target == Target::seconds) {
    value = trim(value);
    return !value.empty() && value.find_first_not_of('0') == std::string_view::npos;
  }
  Directives d;
  bool bypass = false;
  read(value, d);
  for_each_directive(value, [&](const Directive& x) { bypass = bypass || iequals(x.whole, "bypass-cache"); });
  return target == Target::surrogate ? d.no_store : d.closed() || bypass;
}

bool offers(Target target, std::string_view value) noexcept {
  if (keeps_away(target, value)) return false;
  if (target == Target::seconds) return above_zero(value) || trim(value).starts_with('@');
  Directives d;
  read(value, d);
  return d.is_public || d.lives();
}

/// Surrogate-Control reduced to the processing that the page needs (`content="ESI/1.0"`), plus `no-store`:
/// if the field is present, some caches ignore Cache-Control.
std::string_view closed_surrogate(std::string_view value, TextArena& arena) {
  std::string& out = arena.scratch();
  for_each_directive(value, [&](const Directive& d) {
    if (iequals(d.name, "content")) out.append(", ").append(d.whole);
  });
  return out.empty() ? std::string_view() : arena.join("no-store", out);
}

// Expires -------------------------------------------------------------------------------------------

/// Parses the three date forms of RFC 9110 5.6.7; anything else, such as `0` and `-1`, counts as expired
/// (RFC 9111 5.3).
bool in_future(std::string_view date, Clock::Wall now) noexcept {
  constexpr std::array<const char*, 3> forms{"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                             "%a %b %d %H:%M:%S %Y"};
  char text[48];
  if (date.size() >= sizeof text) return false;
  std::memcpy(text, date.data(), date.size());
  text[date.size()] = '\0';
  for (const char* form : forms) {
    std::tm parts{};
    const char* const end = ::strptime(text, form, &parts);
    // Compare in seconds: a nanosecond clock cannot represent the year 9999.
    if (end != nullptr && *end == '\0')
      return ::timegm(&parts) > std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  }
  return false;
}

// Cache-Control -------------------------------------------------------------------------------------

/// These directives are useless beside `private`, and dangerous where a cache reads only them.
bool opens(const Directive& d) noexcept {
  return iequals(d.name, "public") || iequals(d.name, "s-maxage");
}

/// `private` goes first: behind an unterminated quote no cache would see it.
std::string_view closed_line(std::string_view line, bool with_private, TextArena& arena) {
  bool found = false;
  for_each_directive(line, [&](const Directive& d) { found = found || opens(d); });
  if (!found && !with_private) return line;
  if (!found) return trim(line).empty() ? "private" : arena.join("private, ", line);
  std::string& out = arena.scratch();
  if (with_private) out = "private";
  for_each_directive(line, [&](const Directive& d) {
    if (!opens(d)) out.append(out.empty() ? "" : ", ").append(d.whole);
  });
  return arena.join(out);
}

bool is_expires(const Field& f) noexcept {
  return f.known == Known::other && f.name.size() == 7 && iequals(f.name, "expires");
}

/// Whether a cache may reuse the response at all. Unknown methods may be defined as cacheable (QUERY).
bool reusable(Method method, std::uint16_t status, std::span<const Field> fields) noexcept {
  if (status < 200) return false;
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::other:
      return true;
    case Method::post:
    case Method::patch:  // RFC 5789 2: like POST
      return std::any_of(fields.begin(), fields.end(), [](const Field& f) {
        return f.known == Known::content_location ||
               // A field from the configuration.
               (f.known == Known::other && iequals(f.name, "content-location"));
      });
    default:
      return false;
  }
}

}  // namespace

bool offered_to_shared_caches(Method method, std::uint16_t status, std::span<const Field> fields,
                              Clock::Wall now) noexcept {
  if (!reusable(method, status, fields)) return false;
  for (const Field& f : fields)
    if (f.known == Known::set_cookie) return false;
  for (const Field& f : fields)
    if (const Target t = target_of(f); t != Target::none && offers(t, f.value)) return true;
  const Directives directives = read_cache_control(fields);
  if (directives.closed()) return false;
  if (directives.is_public || (directives.has_shared_age && directives.shared_age)) return true;
  if (directives.no_cache) return false;
  if (directives.has_age || directives.has_shared_age) return directives.lives();
  return std::any_of(fields.begin(), fields.end(),
                     [&](const Field& f) { return is_expires(f) && in_future(f.value, now); });
}

void close_to_shared_caches(Method method, std::uint16_t status, std::vector<Field>& fields,
                            TextArena& arena) {
  bool add = !read_cache_control(fields).closed();
  // Responses to safe methods may be cached heuristically, whatever the status (RFC 9111 4.2.2 and the
  // negative caching of CDNs); others only if they allow it explicitly.
  bool may_be_kept =
      status >= 200 && (method == Method::get || method == Method::head || method == Method::other);
  auto to = fields.begin();
  for (Field f : fields) {
    const Target target = target_of(f);
    if (is_cache_control(f)) {
      const std::string_view value = closed_line(f.value, std::exchange(add, false), arena);
      if (value.empty() && !f.value.empty()) continue;
      if (value.data() != f.value.data()) f = {f.name, value, Known::cache_control};
    } else if (target != Target::none && !keeps_away(target, f.value)) {
      may_be_kept = true;
      const std::string_view rest =
          target == Target::surrogate ? closed_surrogate(f.value, arena) : std::string_view();
      if (rest.empty()) continue;
      f = {f.name, rest};
    } else if (is_expires(f)) {
      may_be_kept = true;
    }
    *to++ = f;
  }
  fields.erase(to, fields.end());
  if (add && may_be_kept) fields.push_back({"Cache-Control", "private", Known::cache_control});
}

}  // namespace remora
