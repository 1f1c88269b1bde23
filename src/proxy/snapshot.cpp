#include "proxy/snapshot.h"

#include <algorithm>
#include <string>

#include "affinity/url_token.h"
#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

std::string_view without_tokens(const Snapshot& snapshot, std::string_view path, TextArena& arena) {
  if (path.find(';') == std::string_view::npos) return path;
  for (const UrlSecret& secret : snapshot.url_secrets)
    if (secret.style == config::UrlStyle::path)
      path = without_url_parameter(path, secret.style, secret.name, arena);
  return path;
}

std::string_view normalized(std::string_view path, TextArena& arena) {
  std::string& room = arena.scratch();
  normalize_path(path, room);
  return arena.join(room);
}

/// Counts dot segments, and empty segments before the last: they can change where a path leads.
std::size_t turns(std::string_view path, TextArena& arena) {
  std::string& plain = arena.scratch();
  decode_harmless(path, plain);
  std::size_t n = 0;
  for (std::size_t slash = plain.find('/'); slash < plain.size();) {
    const std::size_t end = std::min(plain.find('/', slash + 1), plain.size());
    const std::string_view segment(plain.data() + slash + 1, end - slash - 1);
    if (segment == "." || segment == ".." || (segment.empty() && end < plain.size())) ++n;
    slash = end;
  }
  return n;
}

/// Whether the escape at the start of `at` encodes a letter, a digit or punctuation that cannot separate
/// segments.
bool harmless_escape(std::string_view at) noexcept {
  if (at.size() < 3) return false;
  const int high = hex_value(at[1]), low = hex_value(at[2]);
  if (high < 0 || low < 0) return false;
  const char c = static_cast<char>(high << 4 | low);
  return c > ' ' && c < 0x7f && c != '/' && c != '\\' && c != '%' && c != ';' && c != '?' && c != '#';
}

/// Counts characters that some server could take for the end of a segment, or decode once more.
std::size_t traps(std::string_view path) noexcept {
  std::size_t n = 0;
  for (std::size_t i = 0; i < path.size(); ++i)
    n += path[i] == '\\' || (path[i] == '%' && !harmless_escape(path.substr(i)));
  return n;
}

}  // namespace

std::string_view routed_path(const Snapshot& snapshot, std::string_view path, std::string_view normal,
                             TextArena& arena) {
  const std::string_view bare = without_tokens(snapshot, path, arena);
  return bare.size() == path.size() ? normal : normalized(bare, arena);
}

Routed choose_route(const Snapshot& snapshot, const RequestHead& head, TextArena& arena) {
  const std::string_view sent = without_tokens(snapshot, head.path, arena);
  const bool had_token = sent.size() != head.path.size();
  // The backend gets the path without the token: `/x/..;rsid=q/admin` must not lead to /admin there.
  if (had_token && turns(sent, arena) > turns(head.path, arena))
    return {nullptr, "without its session token the path would lead elsewhere"};
  // Nor may a token hide such a character: an id of the app, or one that is not ours, is forwarded.
  if (had_token && traps(sent) < traps(head.path))
    return {nullptr, "the session id in the path could be read as segments of it"};
  const std::string_view path = had_token ? normalized(sent, arena) : std::string_view(head.route_path);
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
