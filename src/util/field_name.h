// Names of header fields as apps see them. Pure.
#pragma once

#include <algorithm>
#include <string_view>

#include "util/text.h"

namespace remora {

constexpr bool is_alphanumeric(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/// Compares names as apps do that get them as CGI variables: case-insensitive, and anything but letters and
/// digits equals a hyphen.
constexpr bool same_to_apps(std::string_view a, std::string_view b) noexcept {
  const auto plain = [](char c) { return is_alphanumeric(c) ? lower(c) : '-'; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return plain(x) == plain(y); });
}

}  // namespace remora
