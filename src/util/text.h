// Small pure text helpers: case-insensitive comparison, lists, numbers, base64.
//
// Knows nothing of HTTP but its token and list syntax. Only functions that return or append to a string
// allocate, and edit_distance().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

constexpr bool istarts_with(std::string_view s, std::string_view prefix) noexcept {
  return s.size() >= prefix.size() && iequals(s.substr(0, prefix.size()), prefix);
}

std::string to_lower(std::string_view);

/// Removes leading and trailing spaces and tabs.
constexpr std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

/// Calls `f` with each element of a comma-separated list, trimmed; skips empty elements (RFC 9110 5.6.1.2).
/// `f` returns false to stop.
template <class F>
void for_each_token(std::string_view list, F f) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto item = trim(list.substr(0, comma));
    if (!item.empty() && !f(item)) return;
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

/// Parses the whole text as a decimal number: digits only, no sign, no overflow.
std::optional<std::uint64_t> parse_decimal(std::string_view) noexcept;

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// Appends a decimal number.
void append_decimal(std::string& out, std::uint64_t n);
void append_hex(std::string& out, std::uint64_t n);
/// Writes a number as sixteen hexadecimal digits.
void write_hex(std::uint64_t n, char* out) noexcept;
/// Appends two hexadecimal digits per byte.
void append_hex(std::string& out, const std::uint8_t* bytes, std::size_t n);

/// Token characters (RFC 9110 5.6.2).
bool is_token_char(char c) noexcept;
bool is_token(std::string_view) noexcept;

/// Plain base64 with padding, and base64url without. Decoding is strict: nullopt for any other character,
/// wrong padding or nonzero trailing bits.
std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);
void base64url_append(std::string& out, const std::uint8_t* bytes, std::size_t n);
/// Writes 4 characters for each 3 bytes, and 2 or 3 for the rest.
void base64url_encode(char* to, const std::uint8_t* bytes, std::size_t n) noexcept;
/// Returns the number of bytes written to `out` (capacity `room`), or nullopt.
std::optional<std::size_t> base64url_decode(std::string_view text, std::uint8_t* out,
                                            std::size_t room) noexcept;

/// Decodes %XX; leaves a broken escape as it is (Boost.URL refuses such a text).
std::string percent_decoded(std::string_view);
/// Escapes everything but unreserved characters (RFC 3986 2.3).
std::string percent_encoded(std::string_view);

/// The edit distance of two short words, for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace remora
