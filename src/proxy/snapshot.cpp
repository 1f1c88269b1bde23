#include "proxy/snapshot.h"

#include <algorithm>
#include <string>

#include "affinity/url_token.h"
#include "http/target.h"

namespace remora {

namespace {

std::string_view without_tokens(const Snapshot& snapshot, std::string_view path, TextArena& arena) {
  if (path.find(';') == std::string_view::npos) return path;
  for (const UrlSecret& secret : snapshot.url_secrets)
    if (secret.style == config::UrlStyle::path)
      path = without_url_parameter(path, secret.style, secret.name, arena);
  return path;
}

std::string_view normalised(std::string_view path, TextArena& arena) {
  std::string& room = arena.scratch();
  normalise_path(path, room);
  return arena.join(room);
}

/// Dot segments and empty ones before the last: what makes a path lead elsewhere.
std::size_t turns(std::string_view path, TextArena& arena) {
  std::string& plain = arena.scratch();
  decode_unreserved(path, plain);
  std::size_t n = 0;
  for (std::size_t slash = plain.find('/'); slash < plain.size();) {
    const std::size_t end = std::min(plain.find('/', slash + 1), plain.size());
    const std::string_view segment(plain.data() + slash + 1, end - slash - 1);
    if (segment == "." || segment == ".." || (segment.empty() && end < plain.size())) ++n;
    slash = end;
  }
  return n;
}

}  // namespace

std::string_view routed_path(const Snapshot& snapshot, std::string_view path, std::string_view normal,
                             TextArena& arena) {
  const std::string_view bare = without_tokens(snapshot, path, arena);
  return bare.size() == path.size() ? normal : normalised(bare, arena);
}

Routed choose_route(const Snapshot& snapshot, const RequestHead& head, TextArena& arena) {
  const std::string_view sent = without_tokens(snapshot, head.path, arena);
  const bool had_token = sent.size() != head.path.size();
  // What is sent to the backend lacks the token: `/x/..;rsid=q/admin` must not become a way to /admin there.
  if (had_token && turns(sent, arena) > turns(head.path, arena))
    return {nullptr, "without its session token the path would lead elsewhere"};
  const std::string_view path = had_token ? normalised(sent, arena) : std::string_view(head.route_path);
  const RouteView* const route = snapshot.router->match(head.host, path, head.method_text, head.fields);
  if (route == nullptr || route->config.redirect || sent == "*") return {route, nullptr};
  if (!snapshot.router->all_agree(*route, head.host, sent, head.method_text, head.fields))
    return {route, "a server could read the path as that of another route"};
  return {route, nullptr};
}

std::string_view masked_url(const Snapshot& snapshot, std::string_view url, TextArena& arena) {
  return mask_url_parameters(url, snapshot.url_secrets, arena);
}

}  // namespace remora
