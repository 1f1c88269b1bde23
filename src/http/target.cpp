#include "http/target.h"

#include <algorithm>

#include "http/message.h"
#include "util/find_byte.h"
#include "util/text.h"

namespace remora {

namespace {

/// The path must follow its grammar, because routes depend on it. The query belongs to the app: browsers
/// leave a bare `%` in it (WHATWG URL, query state), and `%00` is data (RFC 3986 7.3).
const char* check_characters(std::string_view s) noexcept {
  const char* const end = s.data() + s.size();
  const char* const special =
      find_byte(s.data(), end, [](auto c) { return (c <= ' ') | (c == 0x7f) | (c == '#') | (c == '%'); });
  if (special == end) return nullptr;
  const std::size_t path_end = std::min(s.find('?'), s.size());
  for (auto i = static_cast<std::size_t>(special - s.data()); i < s.size(); ++i) {
    const auto u = static_cast<unsigned char>(s[i]);
    if (u <= ' ' || u == 0x7f) return "a control character in the target";
    if (s[i] == '#') return "a fragment in the target";
    if (s[i] != '%' || i > path_end) continue;
    if (i + 2 >= path_end || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
      return "a broken escape in the target";
    if (s[i + 1] == '0' && s[i + 2] == '0') return "an escaped NUL in the target";
  }
  return nullptr;
}

}  // namespace

const char* take_target_apart(RequestHead& head) {
  head.route_path.clear();
  std::string_view t = head.target;
  if (const char* why = check_characters(t)) return why;
  if (t == "*") {
    if (head.method != Method::options) return "`*` is for OPTIONS";
    head.path = t;
    head.query = {};
    head.route_path += '/';
    return nullptr;
  }
  if (t.empty()) return "an empty target";
  if (t.front() != '/') {  // absolute-form (RFC 9112 3.2.2): its authority must match Host
    const std::size_t scheme = istarts_with(t, "http://") ? 7 : istarts_with(t, "https://") ? 8 : 0;
    if (scheme == 0) return "a target that is no path";
    t.remove_prefix(scheme);
    const auto end = t.find_first_of("/?");
    const auto authority = t.substr(0, end);
    if (authority.empty() || authority.find('@') != std::string_view::npos)
      return "a bad authority in the target";
    if (head.find(Known::host) == nullptr)
      head.host = authority;  // HTTP/1.0: the only source of the host
    else if (!same_host(authority, head.host, scheme == 7 ? "80" : "443"))
      return "the target's authority is not Host";
    t = end == std::string_view::npos ? std::string_view("/") : t.substr(end);
    if (t.front() == '?') t = head.rooted.assign("/").append(t);
    head.target = t;
  }
  const auto mark = t.find('?');
  head.path = t.substr(0, mark);
  head.query = mark == std::string_view::npos ? std::string_view() : t.substr(mark + 1);
  normalize_path(head.path, head.route_path);
  return nullptr;
}

void decode_harmless(std::string_view path, std::string& out) {
  const std::size_t plain = std::min(path.find('%'), path.size());
  out.append(path, 0, plain);
  for (std::size_t i = plain; i < path.size(); ++i) {
    if (path[i] == '%' && i + 2 < path.size()) {
      const int high = hex_value(path[i + 1]), low = hex_value(path[i + 2]);
      const char c = static_cast<char>(high * 16 + low);
      if (high >= 0 && low >= 0 && same_when_escaped(c)) {
        out += c;
        i += 2;
        continue;
      }
    }
    out += path[i];
  }
}

void normalize_path(std::string_view path, std::string& out) {
  const std::size_t base = out.size();
  decode_harmless(path, out);  // decode first: `%2e%2e` is a dot segment too
  if (out.find("/.", base) != std::string::npos) remove_dot_segments(out, base);
}

void remove_dot_segments(std::string& out, std::size_t base) {
  // In place: the write position never passes the read position.
  std::size_t write = base, read = base;
  while (read < out.size()) {
    auto end = out.find('/', read + 1);
    if (end == std::string::npos) end = out.size();
    const std::string_view segment(out.data() + read + 1, end - read - 1);
    const bool last = end == out.size();
    if (segment == ".." || segment == ".") {
      if (segment == "..")
        while (write > base && out[--write] != '/') {
        }
      if (last) out[write++] = '/';
    } else {
      for (std::size_t i = read; i < end; ++i) out[write++] = out[i];
    }
    read = end;
  }
  out.resize(write);
  if (out.size() == base) out += '/';
}

bool path_covers(std::string_view prefix, std::string_view path) noexcept {
  if (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  if (path.substr(0, prefix.size()) != prefix) return false;
  return path.size() == prefix.size() || path[prefix.size()] == '/';
}

bool path_covers_in_any_case(std::string_view prefix, std::string_view path) noexcept {
  if (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  if (!istarts_with(path, prefix)) return false;
  return path.size() == prefix.size() || path[prefix.size()] == '/';
}

std::string_view host_name(std::string_view authority) noexcept {
  const bool literal = !authority.empty() && authority.front() == '[';
  std::string_view name = authority.substr(0, authority.find(':', literal ? authority.find(']') : 0));
  if (name.size() > 1 && name.back() == '.') name.remove_suffix(1);
  return name;
}

std::string_view host_port(std::string_view authority) noexcept {
  const bool literal = !authority.empty() && authority.front() == '[';
  const auto colon = authority.find(':', literal ? authority.find(']') : 0);
  return colon == std::string_view::npos ? std::string_view() : authority.substr(colon + 1);
}

bool same_host(std::string_view a, std::string_view b, std::string_view default_port) noexcept {
  if (iequals(a, b)) return true;
  const auto port = [&](std::string_view authority) {
    const std::string_view given = host_port(authority);
    return given.empty() ? default_port : given;
  };
  return iequals(host_name(a), host_name(b)) && port(a) == port(b);
}

}  // namespace remora
