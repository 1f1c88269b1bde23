#include "affinity/set_cookie.h"

#include <algorithm>
#include <optional>

#include "util/cookie_date.h"
#include "util/text.h"

namespace remora {

namespace {

std::string_view unquoted(std::string_view value) noexcept {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    return value.substr(1, value.size() - 2);
  return value;
}

/// RFC 6265 5.2.2: whether Max-Age ends the cookie at once. Nothing: the attribute is ignored.
std::optional<bool> ends_by_max_age(std::string_view value) noexcept {
  if (value.empty()) return std::nullopt;
  const bool negative = value.front() == '-';
  if (negative) value.remove_prefix(1);
  bool zero = true;
  for (const char c : value) {
    if (c < '0' || c > '9') return std::nullopt;
    zero = zero && c == '0';
  }
  if (value.empty()) return std::nullopt;
  return negative || zero;
}

/// RFC 6265 5.1.4: the path that a cookie without one gets.
std::string_view default_path(std::string_view path) noexcept {
  const auto slash = path.rfind('/');
  if (path.empty() || path.front() != '/' || slash == 0 || slash == std::string_view::npos) return "/";
  return path.substr(0, slash);
}

bool path_matches(std::string_view path, std::string_view cookie_path) noexcept {
  if (path.empty()) return true;
  if (path.substr(0, cookie_path.size()) != cookie_path) return false;
  return path.size() == cookie_path.size() || cookie_path.back() == '/' || path[cookie_path.size()] == '/';
}

}  // namespace

SetCookie read_set_cookie(std::string_view line, std::int64_t now) noexcept {
  SetCookie out;
  const auto end = line.find(';');
  const auto pair = trim(line.substr(0, end));
  const auto eq = pair.find('=');
  if (eq == std::string_view::npos) return out;
  out.name = trim(pair.substr(0, eq));
  out.value = unquoted(trim(pair.substr(eq + 1)));
  std::optional<bool> by_max_age;  // takes precedence over Expires (RFC 6265 5.3)
  bool by_expires = false;
  std::string_view rest = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  while (!rest.empty()) {  // of repeated attributes, the last counts
    const auto stop = rest.find(';');
    const auto attribute = rest.substr(0, stop);
    const auto equals = attribute.find('=');
    const auto key = trim(attribute.substr(0, equals));
    const auto value =
        equals == std::string_view::npos ? std::string_view() : trim(attribute.substr(equals + 1));
    if (iequals(key, "max-age")) {
      if (const auto ends = ends_by_max_age(value)) by_max_age = ends;
    } else if (iequals(key, "expires")) {
      if (const auto date = parse_cookie_date(unquoted(value))) by_expires = *date <= now;
    } else if (iequals(key, "path")) {
      out.path = !value.empty() && value.front() == '/' ? value : std::string_view();
    } else if (iequals(key, "domain")) {
      out.domain = !value.empty() && value.front() == '.' ? value.substr(1) : value;
    }
    if (stop == std::string_view::npos) break;
    rest.remove_prefix(stop + 1);
  }
  out.deletes = out.value.empty() || out.value == "deleted" || by_max_age.value_or(by_expires);
  return out;
}

CookieOutcome cookie_outcome(std::span<const Field> response, std::string_view name, std::string_view path,
                             std::int64_t now) noexcept {
  const auto sets = [&](const Field& f) {
    return f.known == Known::set_cookie && trim(f.value.substr(0, f.value.find('='))) == name;
  };
  if (std::none_of(response.begin(), response.end(), sets)) return {};  // most responses
  constexpr std::size_t max_lines = 16;  // of this name: each is compared with all later ones
  SetCookie lines[max_lines];
  std::size_t count = 0;
  for (const Field& f : response) {
    if (!sets(f)) continue;
    const SetCookie line = read_set_cookie(f.value, now);
    if (line.name != name) continue;
    lines[count < max_lines ? count++ : max_lines - 1] = line;
  }
  const auto path_of = [&](const SetCookie& c) { return c.path.empty() ? default_path(path) : c.path; };
  CookieOutcome out;
  for (std::size_t i = 0; i < count; ++i) {
    bool replaced = false;  // by a later line for the same cookie
    for (std::size_t j = i + 1; j < count && !replaced; ++j)
      replaced = iequals(lines[i].domain, lines[j].domain) && path_of(lines[i]) == path_of(lines[j]);
    if (replaced) continue;
    if (!lines[i].deletes)
      out.id = lines[i].value;
    else if (path_matches(path, path_of(lines[i])))
      out.cleared = true;
  }
  if (!out.id.empty()) out.cleared = false;
  return out;
}

}  // namespace remora
