#include "proxy/prefix.h"

#include <algorithm>
#include <string>

#include "affinity/url_token.h"
#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

/// Appends the path with dot segments resolved as in normalize_path(), and all other segments as they were
/// sent.
void resolve_dots(std::string_view path, std::string& out) {
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view segment = path.substr(at + 1, end - at - 1);
    const int up = dots(segment);
    if (up == 0)
      out += path.substr(at, end - at);
    else if (up == 2)
      out.resize(out.empty() ? 0 : out.rfind('/'));
    if (up != 0 && end == path.size()) out += '/';
    at = end;
  }
  if (out.empty()) out += '/';
}

/// One character of a path's normal form, and how many bytes encode it.
struct Unit {
  char c;
  std::size_t size;
};
Unit unit_at(std::string_view path, std::size_t at) noexcept {
  if (path[at] == '%' && at + 2 < path.size()) {
    const int high = hex_value(path[at + 1]), low = hex_value(path[at + 2]);
    const char c = static_cast<char>(high * 16 + low);
    if (high >= 0 && low >= 0 && same_when_escaped(c)) return {c, 3};
  }
  return {path[at], 1};
}

/// How many bytes of `path` match `prefix`; npos: the path is not under the prefix.
std::size_t prefix_end(std::string_view path, std::string_view prefix) noexcept {
  std::size_t i = 0, k = 0;
  while (k < prefix.size()) {
    if (i >= path.size()) return std::string_view::npos;
    const Unit ours = unit_at(path, i), wanted = unit_at(prefix, k);
    if (ours.c != wanted.c) return std::string_view::npos;
    i += ours.size;
    k += wanted.size;
  }
  return i == path.size() || path[i] == '/' ? i : std::string_view::npos;
}

}  // namespace

Stripped without_prefix(std::string_view target, std::string_view prefix, TextArena& arena) {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty() || !target.starts_with('/')) return {target, false};
  const std::string_view raw = target.substr(0, target.find('?'));
  std::string_view path = raw;
  if (raw.find("/.") != std::string_view::npos || raw.find('%') != std::string_view::npos) {
    std::string& room = arena.scratch();
    resolve_dots(raw, room);
    if (room.size() != raw.size()) path = arena.join(std::string_view(room));
  }
  const std::size_t end = prefix_end(path, prefix);
  if (end == std::string_view::npos) return {target, false};
  std::string_view rest = path.substr(end);
  while (begins_with_host(rest)) rest.remove_prefix(1);
  const std::string_view query = target.substr(raw.size());
  const bool untouched = path.data() == raw.data();
  if (untouched && rest.starts_with('/')) return {target.substr(raw.size() - rest.size()), true};
  const std::string_view root = rest.empty() ? "/" : rest.front() == '\\' ? "/" : "";
  if (rest.starts_with('\\')) rest.remove_prefix(1);
  return {arena.join(root, rest, query), true};
}

}  // namespace remora
