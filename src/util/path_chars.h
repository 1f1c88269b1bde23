// Which characters of a URL's path mean the same escaped and raw. Pure.
#pragma once

namespace remora {

/// RFC 3986 2.3: the same character, escaped or not.
constexpr bool is_unreserved(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

/// Characters that RFC 3986 does not allow raw in a path. Clients that send them raw mean the same. Excludes
/// the backslash, which some servers read as a slash, and controls.
constexpr bool stands_escaped(char c) noexcept {
  switch (c) {
    case ' ':
    case '"':
    case '<':
    case '>':
    case '[':
    case ']':
    case '^':
    case '`':
    case '{':
    case '|':
    case '}':
      return true;
    default:
      return static_cast<unsigned char>(c) >= 0x80;
  }
}

/// Routes see these characters decoded.
constexpr bool same_when_escaped(char c) noexcept {
  return is_unreserved(c) || stands_escaped(c);
}

}  // namespace remora
