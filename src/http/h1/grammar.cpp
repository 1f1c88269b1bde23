#include "http/h1/grammar.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "util/find_byte.h"
#include "util/text.h"

namespace remora {

const char* find_control(const char* at, const char* end) noexcept {
  return find_byte(at, end, [](auto c) { return ((c < ' ') & (c != '\t')) | (c == 0x7f); });
}

namespace {
/// The end of the run of letters, digits and hyphens at `at`: nearly all tokens consist of these.
const char* plain_end(const char* at, const char* end) noexcept {
  return find_byte(at, end, [](auto c) {
    const auto letter = ((c | 0x20) >= 'a') & ((c | 0x20) <= 'z');
    return (letter | ((c >= '0') & (c <= '9')) | (c == '-')) == 0;
  });
}
/// The end of the token at `at`.
const char* token_end(const char* at, const char* end) noexcept {
  while (at != end && is_token_char(*at)) ++at;
  return at;
}

/// HTTP/1.0 or HTTP/1.1.
bool parse_version(std::string_view text, unsigned& minor) noexcept {
  if (text.size() != 8 || text.substr(0, 7) != "HTTP/1." || (text[7] != '0' && text[7] != '1')) return false;
  minor = static_cast<unsigned>(text[7] - '0');
  return true;
}
}  // namespace

bool parse_request_line(std::string_view line, RequestLine& out) noexcept {
  const char *const begin = line.data(), *const end = begin + line.size();
  const char* const method_end = token_end(plain_end(begin, end), end);
  if (method_end == begin || method_end == end || *method_end != ' ') return false;
  const char* const target = method_end + 1;
  const char* const target_end = find_byte(target, end, [](auto c) { return (c == ' ') | (c == '\t'); });
  if (target_end == target || target_end == end || *target_end != ' ') return false;
  out.method = {begin, static_cast<std::size_t>(method_end - begin)};
  out.target = {target, static_cast<std::size_t>(target_end - target)};
  return parse_version({target_end + 1, static_cast<std::size_t>(end - target_end - 1)}, out.minor);
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

Line find_line_end(const char*& at, const char* end) noexcept {
  at = find_control(at, end);
  if (at == end) return Line::incomplete;
  if (*at != '\r') return *at == '\n' ? Line::bare_lf : Line::control;
  if (end - at < 2) return Line::incomplete;
  return at[1] == '\n' ? Line::ok : Line::control;
}

Line parse_field_line(const char*& at, const char* end, Field& out) noexcept {
  const char* const plain = plain_end(at, end);
  const char* const name_end = token_end(plain, end);
  if (name_end == end) return Line::incomplete;
  if (name_end == at || *name_end != ':') return Line::no_field;
  const char *first = name_end + 1, *last = first;
  if (const Line line = find_line_end(last, end); line != Line::ok) return line;
  const char* const line_end = last;
  while (first != last && (*first == ' ' || *first == '\t')) ++first;
  while (first != last && (last[-1] == ' ' || last[-1] == '\t')) --last;
  out.name = {at, static_cast<std::size_t>(name_end - at)};
  out.value = {first, static_cast<std::size_t>(last - first)};
  out.known = known_field(out.name);
  out.verbatim = first == name_end + 2 && name_end[1] == ' ' && last == line_end;
  out.odd_name = plain != name_end;
  at = line_end + 2;
  return Line::ok;
}

bool parse_field_lines(std::string_view lines, std::vector<Field>& out) {
  const char* at = lines.data();
  const char* const end = at + lines.size();
  while (at != end) {
    Field field;
    if (parse_field_line(at, end, field) != Line::ok) return false;
    out.push_back(field);
  }
  return true;
}

bool parse_trailers(std::string_view lines, std::vector<Field>& out, TrailersOf message) {
  out.clear();
  if (!parse_field_lines(lines, out)) return false;
  if (message == TrailersOf::request &&
      std::any_of(out.begin(), out.end(), [](const Field& f) { return frames_or_routes(f.known); }))
    return false;
  std::erase_if(out, [](const Field& f) { return forbidden_in_trailers(f.known); });
  return true;
}

bool frames_or_routes(Known k) noexcept {
  return k == Known::content_length || k == Known::transfer_encoding || k == Known::host;
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
    // sorted by length: only names of the same length are compared
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
/// The first index for each length.
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

/// Case-insensitive comparison, by words that may overlap. REQUIRES: `known` has only lower-case letters and
/// hyphens; `name` is a token of the same size, 2 to 24 bytes.
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
/// By Known.
constexpr auto names_of_known = [] {
  std::array<std::string_view, static_cast<std::size_t>(Known::x_request_id) + 1> names{};
  for (const KnownName& k : known_names) names[static_cast<std::size_t>(k.known)] = k.name;
  return names;
}();
}  // namespace

std::string_view name_of(Known known) noexcept {
  return names_of_known[static_cast<std::size_t>(known)];
}

Known known_field(std::string_view n) noexcept {
  if (n.size() >= 7 && (n[6] == '-' || n[6] == '_') && same_name(n.data(), "remora", 6)) return Known::remora;
  if (n.size() < 2 || n.size() > longest_known) return Known::other;
  for (std::size_t i = known_starts[n.size()]; i < known_starts[n.size() + 1]; ++i)
    if (same_name(n.data(), known_names[i].name.data(), n.size())) return known_names[i].known;
  return Known::other;
}

}  // namespace remora
