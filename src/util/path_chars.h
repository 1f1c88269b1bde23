// Which characters of a URL's path are the same escaped and raw. Pure.
#pragma once

namespace remora {

/// RFC 3986 2.3: escaped or not, it is the same character.
constexpr bool is_unreserved(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

/// RFC 3986 has no place for it in a path, so it stands there escaped. Clients that send it raw mean the
/// same. Not the backslash, which some servers take for a slash, and no controls.
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

/// Routes see it decoded.
constexpr bool same_when_escaped(char c) noexcept {
  return is_unreserved(c) || stands_escaped(c);
}

}  // namespace remora
