#include "http/validate.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "http/connection_auth.h"
#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

using Length = BodyLength::Kind;

constexpr Verdict fine{};

Method method_of(std::string_view m) noexcept {
  if (m == "GET") return Method::get;
  if (m == "HEAD") return Method::head;
  if (m == "POST") return Method::post;
  if (m == "PUT") return Method::put;
  if (m == "DELETE") return Method::delete_;
  if (m == "OPTIONS") return Method::options;
  if (m == "PATCH") return Method::patch;
  if (m == "CONNECT") return Method::connect;
  if (m == "TRACE") return Method::trace;
  return Method::other;
}

/// Limit for all Connection options together, empty ones included: more are never needed, and each is
/// compared with each field.
constexpr std::ptrdiff_t max_options = 32;

constexpr std::uint64_t max_length = std::uint64_t{1} << 62;

/// Result of the single pass over the fields that both kinds of head share.
struct Survey {
  unsigned content_length = 0, transfer_encoding = 0, host = 0, upgrade = 0;
  std::string_view length_text, coding, host_text, expect;
  bool close = false, keep_alive = false, upgrade_option = false;
  bool bad_option = false;
  bool connection_auth = false, keep_alive_field = false;
  std::ptrdiff_t options = 0;  // Connection options
};

void read_options(std::string_view value, Survey& seen) noexcept {
  seen.options += std::count(value.begin(), value.end(), ',') + 1;
  if (seen.options > max_options) return;
  for_each_token(value, [&](std::string_view option) {
    seen.bad_option = seen.bad_option || !is_token(option);
    if (iequals(option, "close")) seen.close = true;
    if (iequals(option, "keep-alive")) seen.keep_alive = true;
    if (iequals(option, "upgrade")) seen.upgrade_option = true;
    return true;
  });
}

Survey survey(const std::vector<Field>& fields) noexcept {
  Survey seen;
  for (const Field& f : fields) {
    switch (f.known) {
      case Known::content_length:
        ++seen.content_length;
        seen.length_text = f.value;
        break;
      case Known::transfer_encoding:
        ++seen.transfer_encoding;
        seen.coding = f.value;
        break;
      case Known::host:
        ++seen.host;
        seen.host_text = f.value;
        break;
      case Known::upgrade:
        ++seen.upgrade;
        break;
      case Known::expect:
        seen.expect = f.value;
        break;
      case Known::proxy_authorization:
        seen.connection_auth = seen.connection_auth || is_connection_auth(f.value);
        break;
      case Known::keep_alive:
        seen.keep_alive_field = true;
        break;
      case Known::connection:
        read_options(f.value, seen);
        break;
      default:
        if (f.name.size() == 13 && iequals(f.name, "authorization"))
          seen.connection_auth = seen.connection_auth || is_connection_auth(f.value);
        break;
    }
  }
  return seen;
}

// The functions below return the reason for refusal, or nullptr.

/// RFC 9110 7.6.1.
const char* check_options(const Survey& seen) noexcept {
  if (seen.bad_option) return "a Connection option that is no token";
  return seen.options > max_options ? "too many Connection options" : nullptr;
}

const char* read_length(const Survey& seen, BodyLength& body) noexcept {
  if (seen.content_length > 1) return "several Content-Length fields";
  if (seen.content_length == 1) {
    const auto n = parse_decimal(seen.length_text);
    if (!n || *n > max_length) return "bad Content-Length";
    body = {Length::known, *n};
  }
  return nullptr;
}

/// RFC 9112 6.1 to 6.3, strict: no repairs of ambiguous framing.
const char* decide_body(const Survey& seen, Head& head, ConnectionTraits& connection) noexcept {
  head.body = {};
  if (seen.transfer_encoding == 0) return read_length(seen, head.body);
  if (seen.content_length > 0) return "Content-Length beside Transfer-Encoding";
  if (seen.transfer_encoding > 1) return "several Transfer-Encoding fields";
  if (head.version == Version::http10) return "Transfer-Encoding in HTTP/1.0";
  if (!iequals(seen.coding, "chunked")) return "a transfer coding other than one final chunked";
  head.body.kind = Length::unknown;
  connection.chunked = true;
  return nullptr;
}

/// RFC 9113 8.1.1: the end of the stream must agree with the length.
const char* decide_http2_body(const Survey& seen, BodyLength& body) noexcept {
  const bool ended = body.kind == Length::none;
  if (const char* why = read_length(seen, body)) return why;
  return ended && !body.is_empty() ? "the body is shorter than Content-Length" : nullptr;
}

/// RFC 9113 8.2.2: no fields about the connection.
const char* check_http2_fields(const std::vector<Field>& fields) noexcept {
  for (const Field& f : fields) {
    switch (f.known) {
      case Known::connection:
      case Known::keep_alive:
      case Known::proxy_connection:
      case Known::transfer_encoding:
      case Known::upgrade:
        return "a field about the connection in HTTP/2";
      case Known::te:
        if (!iequals(f.value, "trailers")) return "TE other than trailers in HTTP/2";
        break;
      default:
        break;
    }
  }
  return nullptr;
}

/// RFC 9113 8.3.1: `:authority` and Host agree, and `:path` is a path. Takes the authority from Host if there
/// is no other.
const char* check_http2_target(const Survey& seen, RequestHead& head) noexcept {
  if (!head.target.starts_with('/') && head.target != "*") return "a :path that is no path";
  if (seen.host > 1) return "several Host fields";
  if (head.host.empty() && seen.host == 0) return "no authority";
  if (head.host.empty()) head.host = seen.host_text;
  return seen.host == 1 && !iequals(seen.host_text, head.host) ? "Host is not :authority" : nullptr;
}

const char* check_http2_request(const Survey& seen, RequestHead& head) noexcept {
  const char* why = check_http2_fields(head.fields);
  if (why == nullptr) why = decide_http2_body(seen, head.body);
  return why == nullptr ? check_http2_target(seen, head) : why;
}

/// RFC 9112 6.1: an unknown coding is 501, unless the framing is also ambiguous.
std::uint16_t body_code(const Survey& seen, Version version) noexcept {
  const bool unknown_coding = seen.transfer_encoding == 1 && seen.content_length == 0 &&
                              version == Version::http11 && is_token(seen.coding) &&
                              !iequals(seen.coding, "chunked");
  return unknown_coding ? 501 : 400;
}

/// RFC 9112 6.3 (1) and (2): no body follows, whatever the fields say.
bool ends_with_its_head(Method asked, std::uint16_t status) noexcept {
  return asked == Method::head || status < 200 || status == 204 || status == 304 ||
         (asked == Method::connect && status < 300);
}

/// Handles the framing fields of a head without a body. Apps and their CORS middleware send all kinds
/// (`Content-Length: 0` with a 204, for Safari: expressjs/cors #121), and none of them changes where the
/// message ends. Returns false if they announce a body: it may still come, so the connection cannot be
/// reused.
bool take_unframed(const Survey& seen, Method asked, ResponseHead& out) noexcept {
  out.body = {};
  if (seen.content_length == 0 && seen.transfer_encoding == 0) return true;
  const auto length = seen.content_length == 1 ? parse_decimal(seen.length_text) : std::nullopt;
  // RFC 9110 8.6: for HEAD and 304 it is the length that GET would have returned.
  const bool tells_of_get = out.status >= 200 && out.status != 204 && asked != Method::connect;
  const bool keeps_length = tells_of_get && seen.transfer_encoding == 0 && length && *length <= max_length;
  out.drops_length = seen.content_length > 0 && !keeps_length;
  return keeps_length || (seen.transfer_encoding == 0 && length == std::uint64_t{0});
}

bool valid_port(std::string_view port) noexcept {
  if (port.empty()) return true;
  const auto n = parse_decimal(port);
  return n && *n <= 65535;
}

bool valid_host(std::string_view host) noexcept {
  static constexpr auto allowed = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = '!'; c < 0x7f; ++c)
      table[c] = std::string_view("\"<>\\^`{|}/?#@,").find(static_cast<char>(c)) == std::string_view::npos;
    return table;
  }();
  bool all_allowed = true;
  for (const char c : host) all_allowed &= allowed[static_cast<unsigned char>(c)];
  if (!all_allowed) return false;
  if (!host.empty() && host.front() == '[') {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    host.remove_prefix(end + 1);
    if (!host.empty() && host.front() != ':') return false;
  } else if (host.find('%') != std::string_view::npos) {
    return false;  // escapes: some servers would read another name
  }
  const auto colon = host.find(':');
  const std::string_view name = host.substr(0, colon);
  // Reject empty labels and multiple trailing dots: some servers would read the name without them.
  if ((!name.empty() && name.front() == '.') || name.find("..") != std::string_view::npos) return false;
  return colon == std::string_view::npos || valid_port(host.substr(colon + 1));
}

/// RFC 9112 9.3.
bool may_follow(const Survey& seen, Version version) noexcept {
  return version == Version::http10 ? seen.keep_alive && !seen.close : !seen.close;
}

}  // namespace

const Field* Head::find(Known k) const noexcept {
  for (const Field& f : fields)
    if (f.known == k) return &f;
  return nullptr;
}

Verdict validate_request(RequestHead& head, std::size_t max_target, ConnectionTraits& connection) {
  connection = {};
  head.method = method_of(head.method_text);
  if (head.method_text.size() > 32) return {501, "method too long"};
  if (head.target.size() > max_target) return {414, "target too long"};
  const Survey seen = survey(head.fields);
  if (head.version == Version::http2) {
    if (const char* why = check_http2_request(seen, head)) return {400, why};
  } else {
    if (const char* why = check_options(seen)) return {400, why};
    if (const char* why = decide_body(seen, head, connection)) return {body_code(seen, head.version), why};
    // RFC 9112 3.2: exactly one Host
    if (seen.host > 1) return {400, "several Host fields"};
    if (seen.host == 0 && head.version == Version::http11) return {400, "no Host"};
    head.host = seen.host_text;
  }
  if (!valid_host(head.host)) return {400, "bad Host"};
  if (head.method == Method::connect) return {501, "CONNECT"};
  // TRACE would echo fields added on the way, including credentials (RFC 9110 9.3.8).
  if (head.method == Method::trace) return {501, "TRACE"};
  if (const char* why = take_target_apart(head)) return {400, why};
  if (seen.host == 0 && !valid_host(head.host)) return {400, "a bad authority in the target"};
  head.expect_continue = false;
  if (!seen.expect.empty()) {  // RFC 9110 10.1.1
    if (!iequals(seen.expect, "100-continue")) return {417, "unknown expectation"};
    head.expect_continue = head.version != Version::http10 && head.body.kind != Length::none;
  }
  head.tunnel = head.version == Version::http11 && seen.upgrade_option && seen.upgrade > 0;  // RFC 9110 7.8
  head.connection_auth = seen.connection_auth;
  connection.keep_alive = may_follow(seen, head.version);
  return fine;
}

Verdict validate_response(ResponseHead& head, Method asked, ConnectionTraits& connection) {
  connection = {};
  if (head.status < 100 || head.status > 599) return {502, "impossible status"};
  if (head.version == Version::http2) {
    if (head.status == 101) return {502, "101 in HTTP/2"};  // RFC 9113 8.6
    if (const char* why = check_http2_fields(head.fields)) return {502, why};
  }
  const Survey seen = survey(head.fields);
  if (const char* why = check_options(seen)) return {502, why};
  head.drops_length = false;
  bool ends_itself = true;  // where the message ends is known without the end of the connection
  if (ends_with_its_head(asked, head.status)) {
    ends_itself = take_unframed(seen, asked, head);
  } else if (head.version == Version::http2) {
    if (const char* why = decide_http2_body(seen, head.body)) return {502, why};
    if (head.body.kind == Length::none) head.body.kind = Length::known;  // empty
  } else {
    if (const char* why = decide_body(seen, head, connection)) return {502, why};
    ends_itself = head.body.kind != Length::none;
    // RFC 9110 15.3.6: a 205 has no content. Some servers omit the length and leave the connection open.
    if (!ends_itself) head.body.kind = head.status == 205 ? Length::known : Length::unknown;
  }
  head.tunnel = head.status == 101;
  connection.keep_alive = ends_itself && may_follow(seen, head.version);
  connection.keep_alive_field = seen.keep_alive_field;
  return fine;
}

}  // namespace remora
