// Cookie jars in Netscape format, as written by curl and browser exporters.

#include <algorithm>
#include <array>

#include "cli/curl.h"
#include "util/text.h"

namespace remora {

namespace {

struct JarCookie {
  std::string_view path, name, value;
  std::size_t order = 0;  // position in the jar
};

bool domain_matches(std::string_view domain, bool tail, std::string_view host) {
  if (host.empty()) return true;
  if (domain.starts_with('.')) domain.remove_prefix(1);
  if (iequals(domain, host)) return true;
  return tail && host.size() > domain.size() && host[host.size() - domain.size() - 1] == '.' &&
         iequals(host.substr(host.size() - domain.size()), domain);
}

/// Path matching of RFC 6265 5.1.4.
bool path_matches(std::string_view cookie, std::string_view path) {
  path = path.substr(0, path.find('?'));
  if (!path.starts_with(cookie)) return false;
  return path.size() == cookie.size() || cookie.ends_with('/') || path[cookie.size()] == '/';
}

bool is_this_machine(std::string_view host) {
  return iequals(host, "localhost") || host == "127.0.0.1" || host == "[::1]" || host == "::1";
}

}  // namespace

std::string cookies_of_jar(std::string_view jar, std::string_view host, std::string_view path, bool secure,
                           std::int64_t now) {
  std::vector<JarCookie> found;
  while (!jar.empty()) {
    const auto end = jar.find('\n');
    std::string_view line = jar.substr(0, end);
    jar = end == std::string_view::npos ? std::string_view() : jar.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (istarts_with(line, "#HttpOnly_"))
      line.remove_prefix(10);
    else if (line.empty() || line.front() == '#')
      continue;
    std::array<std::string_view, 7> parts;
    std::size_t count = 0;
    for (std::string_view rest = line; count < parts.size(); ++count) {
      const auto tab = count + 1 < parts.size() ? rest.find('\t') : std::string_view::npos;
      parts[count] = rest.substr(0, tab);
      if (tab == std::string_view::npos) {
        ++count;
        break;
      }
      rest.remove_prefix(tab + 1);
    }
    if (count < 6) continue;  // the tab before an empty value may be missing
    const auto& [domain, tail, cookie_path, secure_only, expires, name, value] = parts;
    const auto until = parse_decimal(expires);
    if (until && *until != 0 && static_cast<std::int64_t>(std::min<std::uint64_t>(*until, INT64_MAX)) <= now)
      continue;
    if (iequals(secure_only, "TRUE") && !secure && !is_this_machine(host)) continue;
    if (domain_matches(domain, iequals(tail, "TRUE"), host) && path_matches(cookie_path, path))
      found.push_back({cookie_path, name, value, found.size()});
  }
  std::sort(found.begin(), found.end(), [](const JarCookie& a, const JarCookie& b) {
    return a.path.size() != b.path.size() ? a.path.size() > b.path.size() : a.order < b.order;
  });
  std::string out;
  for (const JarCookie& c : found)
    out.append(out.empty() ? "" : "; ").append(c.name).append("=").append(c.value);
  return out;
}

}  // namespace remora
