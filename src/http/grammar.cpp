#include "http/grammar.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "util/text.h"

namespace remora {

namespace {
constexpr bool is_forbidden(char c) noexcept {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
}

/// Any byte below a space, or DEL, in one register full of them; tabs too.
template <class Bytes>
bool any_control(const char* p) noexcept {
  Bytes bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  const auto found = (bytes < ' ') | (bytes == 0x7f);
  std::uint64_t words[sizeof bytes / 8];
  std::memcpy(words, &found, sizeof words);
  std::uint64_t any = 0;
  for (const std::uint64_t word : words) any |= word;
  return any != 0;
}
using Sixteen [[gnu::vector_size(16)]] = unsigned char;
}  // namespace

bool has_forbidden_byte(std::string_view line) noexcept {
  const char* const p = line.data();
  const std::size_t n = line.size();
  bool suspicious = n < sizeof(Sixteen);
  if (!suspicious) {
    for (std::size_t i = 0; i + sizeof(Sixteen) <= n; i += sizeof(Sixteen))
      suspicious |= any_control<Sixteen>(p + i);
    suspicious |= any_control<Sixteen>(p + n - sizeof(Sixteen));  // the rest, and some once more
  }
  return suspicious && std::any_of(line.begin(), line.end(), is_forbidden);
}

namespace {
/// HTTP/1.0 or HTTP/1.1.
bool parse_version(std::string_view text, unsigned& minor) noexcept {
  if (text.size() != 8 || text.substr(0, 7) != "HTTP/1." || (text[7] != '0' && text[7] != '1')) return false;
  minor = static_cast<unsigned>(text[7] - '0');
  return true;
}
}  // namespace

bool parse_request_line(std::string_view line, RequestLine& out) noexcept {
  const std::size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos || !is_token(line.substr(0, method_end))) return false;
  const std::size_t target_end = line.find(' ', method_end + 1);
  if (target_end == std::string_view::npos || target_end == method_end + 1) return false;
  out.method = line.substr(0, method_end);
  out.target = line.substr(method_end + 1, target_end - method_end - 1);
  return out.target.find('\t') == std::string_view::npos &&
         parse_version(line.substr(target_end + 1), out.minor);
}

bool parse_status_line(std::string_view line, StatusLine& out) noexcept {
  if (line.size() < 12 || line[8] != ' ' || !parse_version(line.substr(0, 8), out.minor)) return false;
  unsigned status = 0;
  for (const char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return false;
    status = status * 10 + static_cast<unsigned>(c - '0');
  }
  out.status = static_cast<std::uint16_t>(status);
  out.reason = line.size() > 13 ? line.substr(13) : std::string_view();
  return line.size() == 12 || line[12] == ' ';
}

bool parse_field_lines(std::string_view lines, std::vector<Field>& out) {
  const char* at = lines.data();
  const char* const end = at + lines.size();
  while (at != end && *at != '\r') {
    const char* const name = at;
    while (at != end && is_token_char(*at)) ++at;
    if (at == name || at == end || *at != ':') return false;
    const std::string_view name_text(name, static_cast<std::size_t>(at - name));
    ++at;
    const char* const lf =
        static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    if (lf == nullptr || lf[-1] != '\r') return false;
    const char* const line_end = lf - 1;
    const char *first = at, *last = line_end;
    while (first != last && (*first == ' ' || *first == '\t')) ++first;
    while (first != last && (last[-1] == ' ' || last[-1] == '\t')) --last;
    const bool as_we_write = first == at + 1 && *at == ' ' && last == line_end;
    out.push_back(
        {name_text, {first, static_cast<std::size_t>(last - first)}, known_field(name_text), as_we_write});
    at = lf + 1;
  }
  return at == end || (end - at == 2 && at[1] == '\n');
}

bool parse_trailers(std::string_view lines, std::vector<Field>& out) {
  out.clear();
  if (lines.substr(0, 1) == "\r" || !parse_field_lines(lines, out)) return false;
  return std::none_of(out.begin(), out.end(), [](const Field& f) {
    return forbidden_in_trailers(f.known) || has_forbidden_byte(f.value);
  });
}

bool forbidden_in_trailers(Known k) noexcept {
  switch (k) {
    case Known::content_length:
    case Known::transfer_encoding:
    case Known::host:
    case Known::connection:
    case Known::keep_alive:
    case Known::proxy_connection:
    case Known::upgrade:
    case Known::te:
    case Known::trailer:
    case Known::expect:
    case Known::cookie:
    case Known::set_cookie:
    case Known::proxy_authorization:
    case Known::max_forwards:
    case Known::content_type:
      return true;
    default:
      return false;
  }
}

namespace {
struct KnownName {
  std::string_view name;
  Known known;
};
constexpr KnownName known_names[] = {
    // by length: only those of the same length are compared
    {"te", Known::te},
    {"via", Known::via},
    {"date", Known::date},
    {"host", Known::host},
    {"link", Known::link},
    {"range", Known::range},
    {"accept", Known::accept},
    {"cookie", Known::cookie},
    {"expect", Known::expect},
    {"referer", Known::referer},
    {"refresh", Known::refresh},
    {"trailer", Known::trailer},
    {"upgrade", Known::upgrade},
    {"location", Known::location},
    {"forwarded", Known::forwarded},
    {"connection", Known::connection},
    {"keep-alive", Known::keep_alive},
    {"set-cookie", Known::set_cookie},
    {"retry-after", Known::retry_after},
    {"content-type", Known::content_type},
    {"max-forwards", Known::max_forwards},
    {"x-request-id", Known::x_request_id},
    {"cache-control", Known::cache_control},
    {"content-length", Known::content_length},
    {"accept-encoding", Known::accept_encoding},
    {"x-forwarded-for", Known::x_forwarded_for},
    {"content-encoding", Known::content_encoding},
    {"content-location", Known::content_location},
    {"proxy-connection", Known::proxy_connection},
    {"x-forwarded-host", Known::x_forwarded_host},
    {"transfer-encoding", Known::transfer_encoding},
    {"x-forwarded-proto", Known::x_forwarded_proto},
    {"proxy-authenticate", Known::proxy_authenticate},
    {"proxy-authorization", Known::proxy_authorization},
};
constexpr std::size_t longest_known = 19;
/// Where names of each length begin.
constexpr auto known_starts = [] {
  std::array<std::uint8_t, longest_known + 2> starts{};
  for (std::size_t size = 0; size < starts.size(); ++size)
    for (const KnownName& k : known_names)
      if (k.name.size() < size) ++starts[size];
  return starts;
}();

template <class Word>
Word differ(const char* a, const char* b) noexcept {
  Word x, y;
  std::memcpy(&x, a, sizeof x);
  std::memcpy(&y, b, sizeof y);
  return x ^ y;
}

/// Equal but for the letter case, by words that may overlap. REQUIRES: `known` has only small letters and
/// hyphens, `name` is a token of the same size, 2 to 24 bytes.
bool same_name(const char* name, const char* known, std::size_t n) noexcept {
  std::uint64_t difference = 0;
  if (n >= 8) {
    difference = differ<std::uint64_t>(name, known) | differ<std::uint64_t>(name + n - 8, known + n - 8);
    if (n > 16) difference |= differ<std::uint64_t>(name + 8, known + 8);
  } else if (n >= 4) {
    difference = differ<std::uint32_t>(name, known) | differ<std::uint32_t>(name + n - 4, known + n - 4);
  } else {
    difference = static_cast<std::uint64_t>(differ<std::uint16_t>(name, known) |
                                            differ<std::uint16_t>(name + n - 2, known + n - 2));
  }
  return (difference & ~std::uint64_t{0x2020202020202020}) == 0;
}
}  // namespace

Known known_field(std::string_view n) noexcept {
  if (n.size() >= 7 && (n[6] == '-' || n[6] == '_') && same_name(n.data(), "remora", 6)) return Known::remora;
  if (n.size() < 2 || n.size() > longest_known) return Known::other;
  for (std::size_t i = known_starts[n.size()]; i < known_starts[n.size() + 1]; ++i)
    if (same_name(n.data(), known_names[i].name.data(), n.size())) return known_names[i].known;
  return Known::other;
}

}  // namespace remora
