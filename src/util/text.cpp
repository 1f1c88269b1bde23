#include "util/text.h"

#include <algorithm>
#include <array>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <charconv>
#include <cstring>
#include <vector>

namespace remora {

std::string to_lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = lower(c);
  return out;
}

std::optional<std::uint64_t> parse_decimal(std::string_view s) noexcept {
  constexpr std::size_t never_too_large = 19;
  std::uint64_t n = 0;
  if (s.size() <= never_too_large) {
    for (const char c : s) {
      if (c < '0' || c > '9') return std::nullopt;
      n = n * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return s.empty() ? std::nullopt : std::optional(n);
  }
  const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (ec != std::errc{} || end != s.data() + s.size()) return std::nullopt;
  return n;
}

namespace {
void append_base(std::string& out, std::uint64_t n, int base) {
  char text[24];
  const auto [end, ec] = std::to_chars(text, text + sizeof text, n, base);
  static_cast<void>(ec);  // 24 characters hold any 64-bit number in base 10 and 16
  out.append(text, end);
}

constexpr std::string_view plain_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> reverse(std::string_view alphabet) {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}
constexpr auto plain_reverse = reverse(plain_alphabet);
constexpr auto url_reverse = reverse(url_alphabet);

void encode(char* to, const std::uint8_t* p, std::size_t n, std::string_view alphabet) noexcept {
  std::size_t i = 0;
  for (; i + 3 <= n; i += 3) {
    const std::uint32_t v = static_cast<std::uint32_t>(p[i] << 16 | p[i + 1] << 8 | p[i + 2]);
    *to++ = alphabet[v >> 18];
    *to++ = alphabet[(v >> 12) & 63];
    *to++ = alphabet[(v >> 6) & 63];
    *to++ = alphabet[v & 63];
  }
  if (i == n) return;
  const std::uint32_t v = static_cast<std::uint32_t>(p[i] << 16 | (n - i == 2 ? p[i + 1] << 8 : 0));
  *to++ = alphabet[v >> 18];
  *to++ = alphabet[(v >> 12) & 63];
  if (n - i == 2) *to++ = alphabet[(v >> 6) & 63];
}

void encode(std::string& out, const std::uint8_t* p, std::size_t n, std::string_view alphabet) {
  const std::size_t at = out.size();
  out.resize(at + n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1));
  encode(out.data() + at, p, n, alphabet);
}

std::optional<std::size_t> decode(std::string_view text, std::uint8_t* out, std::size_t room,
                                  const std::array<std::int8_t, 256>& table) noexcept {
  if (text.size() % 4 == 1) return std::nullopt;
  const std::size_t size = text.size() / 4 * 3 + (text.size() % 4 == 0 ? 0 : text.size() % 4 - 1);
  if (size > room) return std::nullopt;
  std::uint32_t v = 0;
  int bits = 0;
  std::size_t written = 0;
  for (const char c : text) {
    const int six = table[static_cast<unsigned char>(c)];
    if (six < 0) return std::nullopt;
    v = v << 6 | static_cast<std::uint32_t>(six);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[written++] = static_cast<std::uint8_t>(v >> bits);
      v &= (1U << bits) - 1;
    }
  }
  if (v != 0) return std::nullopt;  // different texts must not decode to the same bytes
  return written;
}
}  // namespace

void append_decimal(std::string& out, std::uint64_t n) {
  append_base(out, n, 10);
}
void append_hex(std::string& out, std::uint64_t n) {
  append_base(out, n, 16);
}

namespace {
constexpr auto hex_pairs = [] {
  std::array<char, 512> table{};
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t i = 0; i < 256; ++i) {
    table[2 * i] = digits[i >> 4];
    table[2 * i + 1] = digits[i & 15];
  }
  return table;
}();
}  // namespace

void write_hex(std::uint64_t n, char* out) noexcept {
  for (int shift = 56; shift >= 0; shift -= 8, out += 2)
    std::memcpy(out, &hex_pairs[(n >> shift & 255) * 2], 2);
}

void append_hex(std::string& out, const std::uint8_t* bytes, std::size_t n) {
  const std::size_t at = out.size();
  out.resize(at + 2 * n);
  for (std::size_t i = 0; i < n; ++i) std::memcpy(&out[at + 2 * i], &hex_pairs[bytes[i] * std::size_t{2}], 2);
}

bool is_token_char(char c) noexcept {
  static constexpr auto table = [] {
    std::array<bool, 256> t{};
    for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = true;
    for (int c = 'a'; c <= 'z'; ++c)
      t[static_cast<std::size_t>(c)] = t[static_cast<std::size_t>(c - 32)] = true;
    for (const char c : std::string_view("!#$%&'*+-.^_`|~")) t[static_cast<unsigned char>(c)] = true;
    return t;
  }();
  return table[static_cast<unsigned char>(c)];
}

bool is_token(std::string_view s) noexcept {
  return !s.empty() && std::all_of(s.begin(), s.end(), is_token_char);
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  encode(out, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), plain_alphabet);
  while (out.size() % 4 != 0) out += '=';
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  std::string out(text.size(), '\0');
  const auto n = decode(text, reinterpret_cast<std::uint8_t*>(out.data()), out.size(), plain_reverse);
  if (!n) return std::nullopt;
  out.resize(*n);
  return out;
}

void base64url_encode(char* to, const std::uint8_t* bytes, std::size_t n) noexcept {
  encode(to, bytes, n, url_alphabet);
}

void base64url_append(std::string& out, const std::uint8_t* bytes, std::size_t n) {
  encode(out, bytes, n, url_alphabet);
}

std::optional<std::size_t> base64url_decode(std::string_view text, std::uint8_t* out,
                                            std::size_t room) noexcept {
  return decode(text, out, room, url_reverse);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  return boost::urls::encode({text.data(), text.size()}, boost::urls::unreserved_chars);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace remora
