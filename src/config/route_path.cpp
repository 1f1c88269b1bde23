#include "config/route_path.h"

#include <algorithm>

#include "util/path_chars.h"
#include "util/text.h"

namespace remora::config {

namespace {

/// Decodes the percent escape at `at` into `c`. Returns false if there is none.
bool escape_at(std::string_view path, std::size_t at, char& c) noexcept {
  if (path[at] != '%' || at + 2 >= path.size()) return false;
  const int high = hex_value(path[at + 1]), low = hex_value(path[at + 2]);
  if (high < 0 || low < 0) return false;
  c = static_cast<char>(high * 16 + low);
  return true;
}

/// True for characters that some servers treat as the end of a segment or path, or decode a second time.
bool parts_paths(char c) noexcept {
  return static_cast<unsigned char>(c) < ' ' || c == 0x7f ||
         std::string_view("/\\%;?#").find(c) != std::string_view::npos;
}

/// Decodes the escapes of characters that need no escaping.
std::string decoded_where_plain(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = '\0';
    if (escape_at(path, i, c) && !stands_escaped(c) && !parts_paths(c)) {
      out += c;
      i += 2;
    } else {
      out += path[i];
    }
  }
  return out;
}

/// Offset of the first construct that servers interpret differently; npos if there is none.
std::size_t odd_place(std::string_view path) noexcept {
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = '\0';
    if (path[i] == ';' || path[i] == '\\') return i;
    if (escape_at(path, i, c)) {
      if (parts_paths(c)) return i;
      i += 2;
    } else if (path[i] == '%') {
      return i;
    }
  }
  return std::string_view::npos;
}

std::string_view trimmed_segment(std::string_view s) noexcept {
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view blank : {" ", "%20", "."}) {
      while (s.ends_with(blank)) s.remove_suffix(blank.size()), more = true;
      while (blank != "." && s.starts_with(blank)) s.remove_prefix(blank.size()), more = true;
    }
  }
  return s;
}

/// Drops empty segments, dot segments, and the blanks and dots at the ends of segments that some servers
/// drop.
std::string tidy(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment == "..")
      out.resize(out.empty() ? 0 : out.rfind('/'));
    else if (const auto left = trimmed_segment(segment); !left.empty())
      out.append("/").append(left);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  }
  return out.empty() ? "/" : out;
}

std::string write(const std::string& path) {
  return "write '" + path + "'";
}

}  // namespace

std::string escaped_path(std::string_view written) {
  constexpr const char* hex = "0123456789ABCDEF";
  std::string out;
  for (std::size_t i = 0; i < written.size(); ++i) {
    char c = written[i];
    const bool escape = escape_at(written, i, c);
    if (!stands_escaped(c)) {
      out += written[i];
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.append({'%', hex[byte >> 4], hex[byte & 15]});
    if (escape) i += 2;
  }
  return out;
}

std::string never_matches(std::string_view written, bool guards) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
  if (std::any_of(written.begin(), written.end(), is_control)) return "a path has no control characters";
  if (!guards) {  // only checked for normal form
    for (std::size_t i = 0; i < written.size(); ++i)
      if (char c = '\0'; escape_at(written, i, c) && is_unreserved(c))
        return "never matches: paths are compared decoded; " + write(decoded_where_plain(written));
    return {};
  }
  if (const std::size_t at = odd_place(written); at != std::string_view::npos) {
    std::string before(written.substr(0, at));
    while (before.size() > 1 && before.back() == '/') before.pop_back();
    return "never matches: servers read '" + std::string(written.substr(at, written[at] == '%' ? 3 : 1)) +
           "' in a path in several ways; " + write(tidy(decoded_where_plain(before)));
  }
  if (const std::string plain = decoded_where_plain(written); plain != written)
    return "never matches: paths are compared decoded; " + write(tidy(plain));
  if (const std::string plain = tidy(written); plain != written)
    return "never matches: servers read such a path in several ways; " + write(plain);
  return {};
}

}  // namespace remora::config
