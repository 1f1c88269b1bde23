// Paths as other servers read them: where ours and theirs lead to different routes, the request does not go
// on. The readers here are written apart from the product's, after what the servers do.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "http/target.h"
#include "proxy/route.h"
#include "util/text.h"

using namespace remora;

namespace {

std::string decoded(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool escape =
        path[i] == '%' && i + 2 < path.size() && hex_value(path[i + 1]) >= 0 && hex_value(path[i + 2]) >= 0;
    out += escape ? static_cast<char>(hex_value(path[i + 1]) << 4 | hex_value(path[i + 2])) : path[i];
    if (escape) i += 2;
  }
  return out;
}

/// Segments, `.` and `..` resolved; empty ones merged if asked for.
std::string resolved(std::string_view path, bool merge) {
  std::vector<std::string_view> kept;
  bool folder = false;
  for (std::size_t at = 1; at <= path.size();) {
    const std::string_view segment = path.substr(at, path.find('/', at) - at);
    at += segment.size() + 1;
    folder = segment.empty() || segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (segment == "." || segment == ".." || (segment.empty() && (merge || at > path.size()))) continue;
    kept.push_back(segment);
  }
  std::string out;
  for (const std::string_view segment : kept) out.append("/").append(segment);
  return folder || out.empty() ? out + "/" : out;
}

std::string without_parameters(std::string_view path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    inside = c == ';' || (inside && c != '/');
    if (!inside) out += c;
  }
  return out;
}

std::string tomcat(std::string_view path) {
  return resolved(decoded(without_parameters(path)), true);
}
std::string nginx(std::string_view path) {
  return resolved(decoded(path), true);
}
std::string iis(std::string_view path) {
  std::string out = decoded(path);
  for (char& c : out) c = c == '\\' ? '/' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return resolved(out, true);
}
std::string twice(std::string_view path) {
  return resolved(decoded(decoded(path)), true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Router router = [] {
    std::vector<config::Route> routes(3);
    routes[0].path = "/admin";
    routes[1].path = "/api/private/";
    routes[2].path = "/";
    for (auto& r : routes) r.pool = "app";
    return Router(routes, {"app"});
  }();
  const std::string path = "/" + std::string(reinterpret_cast<const char*>(data), size);
  for (const char c : path)
    if (c <= ' ' || c == 0x7f || c == '?' || c == '#') return 0;  // such targets are refused before
  std::string ours;
  normalize_path(path, ours);
  const RouteView* route = router.match("h", ours, "GET", {});
  if (route == nullptr || !router.all_agree(*route, "h", path, "GET", {})) return 0;
  for (const auto read : {tomcat, nginx, iis, twice})
    if (router.match("h", read(path), "GET", {}) != route) std::abort();
  return 0;
}
