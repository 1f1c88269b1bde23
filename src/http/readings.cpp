#include "http/readings.h"

#include <algorithm>
#include <array>
#include <string>

#include "http/target.h"
#include "util/find_byte.h"
#include "util/text.h"

namespace remora {

namespace {

using Text = std::string;

// Steps: each writes another reading of `path` to `out`, and returns false if there is none. ------------

bool without_parameters(std::string_view path, Text& out) {
  if (path.find(';') == std::string_view::npos) return false;
  out.clear();
  bool inside = false;
  for (const char c : path) {
    inside = c == '/' ? false : inside || c == ';';
    if (!inside) out += c;
  }
  return true;
}

/// The ASCII character that a decoder may substitute for a non-ASCII one: for its fullwidth form, or another
/// slash.
char ascii_like(std::uint32_t code) noexcept {
  if (code < 0x80) return static_cast<char>(code);
  if (code >= 0xff01 && code <= 0xff5e) return static_cast<char>(code - 0xff01 + '!');
  if (code == 0x2044 || code == 0x2215 || code == 0x29f8) return '/';
  if (code == 0x2216 || code == 0x29f5 || code == 0xfe68) return '\\';
  if (code == 0x2024) return '.';
  // Unicode case mapping turns these into ASCII letters (Java's equalsIgnoreCase, Go's EqualFold).
  if (code == 0x0130 || code == 0x0131) return 'i';
  if (code == 0x017f) return 's';
  if (code == 0x212a) return 'k';
  return '\0';
}

/// %u002f
bool take_unicode_escape(std::string_view path, std::size_t at, Text& out) {
  if (at + 5 >= path.size() || lower(path[at + 1]) != 'u') return false;
  std::uint32_t code = 0;
  for (std::size_t i = at + 2; i < at + 6; ++i) {
    if (hex_value(path[i]) < 0) return false;
    code = code << 4 | static_cast<std::uint32_t>(hex_value(path[i]));
  }
  const char c = ascii_like(code);
  if (c == '\0' && code != 0) return false;
  out += c;
  return true;
}

bool decode_once(std::string_view path, Text& out) {
  if (path.find('%') == std::string_view::npos) return false;
  out.clear();
  bool any = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
    } else if (i + 2 < path.size() && hex_value(path[i + 1]) >= 0 && hex_value(path[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(path[i + 1]) * 16 + hex_value(path[i + 2]));
      i += 2;
      any = true;
    } else if (take_unicode_escape(path, i, out)) {
      i += 5;
      any = true;
    } else {
      out += '%';
    }
  }
  return any;
}

/// Decodes overlong UTF-8 and ASCII look-alikes as lenient decoders do: of the bytes after the first only
/// six bits count, whatever the others are (CVE-2000-0884 and many later ones).
bool take_for_ascii(std::string_view path, Text& out) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(path[i]); };
  out.clear();
  bool any = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const unsigned first = byte(i);
    const std::size_t size = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 5;
    std::uint32_t code = size == 1 ? 0x80 : first & (0xffU >> (size + 1));
    if (size == 1 || i + size > path.size()) {
      out += path[i];
      continue;
    }
    for (std::size_t k = 1; k < size; ++k) code = code << 6 | (byte(i + k) & 0x3fU);
    const char c = ascii_like(code);
    if (c == '\0' && code != 0) {
      out += path[i];
      continue;
    }
    out += c;
    any = true;
    i += size - 1;
  }
  return any;
}

bool decode_leniently(std::string_view path, Text& out) {
  Text bytes;
  if (!decode_once(path, bytes)) bytes = path;
  return take_for_ascii(bytes, out);
}

/// Decodes repeatedly, as several servers in a row do.
bool decode_fully(std::string_view path, Text& out) {
  constexpr int max_rounds = 8;
  Text before(path), next;
  int rounds = 0;
  while (rounds < max_rounds && decode_once(before, next)) {
    ++rounds;
    before.swap(next);
  }
  if (rounds < 2) return false;
  if (!take_for_ascii(before, out)) out = before;
  return true;
}

/// Cuts at a NUL, where a C string ends, or at an escaped `?` or `#`.
bool cut_short(std::string_view path, Text& out) {
  const auto end = path.find_first_of(std::string_view("\0?#", 3));
  if (end == std::string_view::npos) return false;
  out = path.substr(0, end);
  return true;
}

bool with_slashes(std::string_view path, Text& out) {
  if (path.find('\\') == std::string_view::npos) return false;
  out = path;
  std::replace(out.begin(), out.end(), '\\', '/');
  return true;
}

/// The size of ASP.NET's cookieless value at `at`: `/(S(id))`, `/(A(t)F(t))`; 0: there is none.
std::size_t cookieless_size(std::string_view path, std::size_t at) noexcept {
  if (path.substr(at, 2) != "/(") return 0;
  std::size_t i = at + 2;
  while (i + 1 < path.size() && lower(path[i]) >= 'a' && lower(path[i]) <= 'z' && path[i + 1] == '(') {
    const auto close = path.find_first_of("()/", i + 2);
    if (close == std::string_view::npos || path[close] != ')') return 0;
    i = close + 1;
  }
  return i > at + 2 && i < path.size() && path[i] == ')' ? i + 1 - at : 0;
}

/// Removes cookieless values as ASP.NET does before it reads the path, even at the start of a longer segment
/// (CVE-2023-36899).
bool without_cookieless(std::string_view path, Text& out) {
  if (path.find("/(") == std::string_view::npos) return false;
  out.clear();
  for (std::size_t i = 0; i < path.size();) {
    const std::size_t size = cookieless_size(path, i);
    if (size == 0) out += path[i];
    i += std::max<std::size_t>(size, 1);
  }
  return out.size() != path.size();
}

/// Reads `//host/path` as a reference to another host.
bool without_authority(std::string_view path, Text& out) {
  if (path.substr(0, 2) != "//") return false;
  const auto slash = path.find('/', 2);
  out = slash == std::string_view::npos ? std::string_view("/") : path.substr(slash);
  return true;
}

/// Whether the last byte completes a UTF-8 character: `à` ends in 0xa0, which is not a space there.
bool ends_in_character(std::string_view s) noexcept {
  std::size_t n = 1;  // length of the character
  while (n < s.size() && n < 4 && (static_cast<unsigned char>(s[s.size() - n]) & 0xc0U) == 0x80) ++n;
  const auto first = static_cast<unsigned char>(s[s.size() - n]);
  return n == (first >= 0xf0 && first < 0xf5   ? 4U
               : first >= 0xe0 && first < 0xf0 ? 3U
               : first >= 0xc2 && first < 0xe0 ? 2U
                                               : 0U);
}

/// The size of the space or control character at the end of a segment; 0: there is none.
std::size_t space_at_end(std::string_view s) noexcept {
  if (s.empty()) return 0;
  const auto ends_in = [&](std::string_view end) {
    return s.size() >= end.size() && s.substr(s.size() - end.size()) == end;
  };
  for (const std::string_view wide : {"\xc2\xa0", "\xc2\x85", "\xc2\xad"})
    if (ends_in(wide)) return 2;
  for (const std::string_view wide :
       {"\xe3\x80\x80", "\xef\xbb\xbf", "\xe2\x80\x8b", "\xe2\x80\xa8", "\xe2\x80\xa9"})
    if (ends_in(wide)) return 3;
  const auto last = static_cast<unsigned char>(s.back());
  if (last <= ' ' || last == 0x7f) return 1;
  return (last == 0x85 || last == 0xa0) && !ends_in_character(s) ? 1 : 0;
}

std::string_view trimmed_segment(std::string_view segment) noexcept {
  while (!segment.empty() && static_cast<unsigned char>(segment.front()) <= ' ') segment.remove_prefix(1);
  if (segment.find(":$") != std::string_view::npos)
    segment = segment.substr(0, segment.find(':'));  // NTFS: a stream of the same file
  for (;;) {
    if (segment == "." || segment == "..") return segment;
    const std::size_t n = segment.ends_with('.') ? 1 : space_at_end(segment);
    if (n == 0) return segment;
    segment.remove_suffix(n);
  }
}

/// Removes spaces around segments, and trailing dots.
bool trimmed(std::string_view path, Text& out) {
  out.clear();
  for (;;) {
    const auto slash = path.find('/');
    out += trimmed_segment(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    out += '/';
    path.remove_prefix(slash + 1);
  }
  return true;
}

bool merged(std::string_view path, Text& out) {
  if (path.find("//") == std::string_view::npos) return false;
  out.clear();
  for (const char c : path)
    if (c != '/' || out.empty() || out.back() != '/') out += c;
  return true;
}

bool resolved(std::string_view path, Text& out) {
  if (path.find("/.") == std::string_view::npos) return false;
  out = path;
  remove_dot_segments(out, 0);
  return true;
}

using Step = bool (*)(std::string_view, Text&);
/// Applied in this order; at most one step of each kind.
constexpr std::array<std::array<Step, 3>, 11> kinds{{
    {without_parameters},
    {decode_once, decode_leniently, decode_fully},
    {with_slashes},
    {without_parameters},
    {without_cookieless},
    {cut_short},
    {without_authority},
    {trimmed},
    {merged},
    {resolved},
    {merged},
}};

class Review {
 public:
  Review(bool (*each)(void*, const Reading&), void* context) : each_(each), context_(context) {}

  Reviewed run(std::string_view path) {
    Text plain;
    decode_harmless(path, plain);  // as our own reading does: equivalent by RFC 3986 6.2.2.2
    visit(0, plain);
    return outcome_;
  }

 private:
  bool visit(std::size_t kind, std::string_view path) {
    if (kind == kinds.size()) return tell(path);
    if (!visit(kind + 1, path)) return false;
    for (const Step step : kinds[kind]) {
      Text& out = rooms_[kind];
      if (step == nullptr || !step(path, out) || out == path) continue;
      if (!visit(kind + 1, out)) return false;
    }
    return true;
  }

  bool tell(std::string_view path) {
    ++readings_;
    bytes_ += path.size();
    if (readings_ > max_readings || bytes_ > max_read_bytes) return stop(Reviewed::too_many);
    Reading reading{path};
    if (reading.path.empty()) reading.path = "/";
    reading.with_dots = path.find("/../") != std::string_view::npos ||
                        path.find("/./") != std::string_view::npos || path.ends_with("/..") ||
                        path.ends_with("/.");
    return each_(context_, reading) || stop(Reviewed::stopped);
  }

  bool stop(Reviewed why) noexcept {
    outcome_ = why;
    return false;
  }

  bool (*const each_)(void*, const Reading&);
  void* const context_;
  std::array<Text, kinds.size()> rooms_;
  std::size_t readings_ = 0, bytes_ = 0;
  Reviewed outcome_ = Reviewed::all;
};

}  // namespace

bool has_readings(std::string_view path) noexcept {
  const char* const end = path.data() + path.size();
  const char* const odd =
      find_byte(path.data(), end, [](auto c) { return (c == '%') | (c == ';') | (c == '\\') | (c >= 0x80); });
  if (path.empty()) return false;
  if (odd != end || path.ends_with('.') || path.find(":$") != std::string_view::npos) return true;
  for (auto slash = path.find('/'); slash < path.size() - 1; slash = path.find('/', slash + 1)) {
    const char next = path[slash + 1];
    if (next == '/' || next == '.' || next == '(' || (slash > 0 && path[slash - 1] == '.')) return true;
  }
  return path.ends_with("./");
}

bool has_upper_case(std::string_view path) noexcept {
  const char* const end = path.data() + path.size();
  return find_byte(path.data(), end, [](auto c) { return (c >= 'A') & (c <= 'Z'); }) != end;
}

Reviewed detail::review(std::string_view path, bool (*each)(void*, const Reading&), void* context) {
  return Review(each, context).run(path);
}

}  // namespace remora
