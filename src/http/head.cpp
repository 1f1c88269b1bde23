#include "http/head.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "http/connection_auth.h"
#include "http/h1/grammar.h"
#include "http/keep_alive.h"
#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

using Status = Parsed::Status;

Parsed refuse(std::uint16_t code, const char* why) noexcept {
  return {Status::refused, code, why};
}
constexpr Parsed fine{Status::ok, 0, ""};

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
constexpr std::ptrdiff_t most_options = 32;

/// Result of the single pass over the fields that both kinds of head share.
struct Seen {
  unsigned content_length = 0, transfer_encoding = 0, host = 0, upgrade = 0;
  std::string_view length_text, coding, host_text, expect;
  bool close = false, keep_alive = false, upgrade_option = false;
  bool bad_option = false;
  bool connection_auth = false, keep_alive_field = false;
  std::ptrdiff_t options = 0;  // Connection options
};

Seen survey(const std::vector<Field>& fields) noexcept {
  Seen seen;
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
        seen.options += std::count(f.value.begin(), f.value.end(), ',') + 1;
        if (seen.options > most_options) break;
        for_each_token(f.value, [&](std::string_view option) {
          seen.bad_option = seen.bad_option || !is_token(option);
          if (iequals(option, "close")) seen.close = true;
          if (iequals(option, "keep-alive")) seen.keep_alive = true;
          if (iequals(option, "upgrade")) seen.upgrade_option = true;
          return true;
        });
        break;
      default:
        if (f.name.size() == 13 && iequals(f.name, "authorization"))
          seen.connection_auth = seen.connection_auth || is_connection_auth(f.value);
        break;
    }
  }
  return seen;
}

/// RFC 9112 6.1 to 6.3, strict: no repairs of ambiguous framing. Returns the reason for refusal, or nullptr.
const char* decide_framing(const Seen& seen, Head& head) noexcept {
  head.framing = {};
  if (seen.transfer_encoding > 0) {
    if (seen.content_length > 0) return "Content-Length beside Transfer-Encoding";
    if (seen.transfer_encoding > 1) return "several Transfer-Encoding fields";
    if (head.minor == 0) return "Transfer-Encoding in HTTP/1.0";
    if (!iequals(seen.coding, "chunked")) return "a transfer coding other than one final chunked";
    head.framing.kind = Framing::Kind::chunked;
    return nullptr;
  }
  if (seen.content_length > 1) return "several Content-Length fields";
  if (seen.content_length == 1) {
    const auto n = parse_decimal(seen.length_text);
    if (!n || *n > (std::uint64_t{1} << 62)) return "bad Content-Length";
    head.framing = {Framing::Kind::length, *n};
  }
  return nullptr;
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
bool take_unframed(const Seen& seen, Method asked, ResponseHead& out) noexcept {
  out.framing = {};
  if (seen.content_length == 0 && seen.transfer_encoding == 0) return true;
  const auto length = seen.content_length == 1 ? parse_decimal(seen.length_text) : std::nullopt;
  // RFC 9110 8.6: for HEAD and 304 it is the length that GET would have returned.
  const bool tells_of_get = out.status >= 200 && out.status != 204 && asked != Method::connect;
  const bool keeps_length =
      tells_of_get && seen.transfer_encoding == 0 && length && *length <= (std::uint64_t{1} << 62);
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

/// 505 for HTTP of another version, otherwise 400.
std::uint16_t version_status(std::string_view line) noexcept {
  const auto space = line.rfind(' ');
  if (space == std::string_view::npos) return 400;
  const auto v = line.substr(space + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool shaped = v.size() == 8 && v.substr(0, 5) == "HTTP/" && digit(v[5]) && v[6] == '.' && digit(v[7]);
  return shaped && v != "HTTP/1.1" && v != "HTTP/1.0" ? 505 : 400;
}

}  // namespace

const config::ListenerLimits& response_limits() noexcept {
  static const config::ListenerLimits limits = [] {
    config::ListenerLimits l;
    l.header_bytes = 64 * 1024;
    l.headers = 200;
    l.target_bytes = 64 * 1024;
    return l;
  }();
  return limits;
}

const Field* Head::find(Known k) const noexcept {
  for (const Field& f : fields)
    if (f.known == k) return &f;
  return nullptr;
}

namespace {
Parsed refuse_line(Line line) noexcept {
  switch (line) {
    case Line::bare_lf:
      return refuse(400, "a line ends in a bare LF");
    case Line::control:
      return refuse(400, "a control character, or a bare CR");
    default:
      return refuse(400, "malformed head");
  }
}
}  // namespace

void HeadScanner::reset() noexcept {
  base_ = nullptr;
  start_line_ = {};
  fields_.clear();
  line_ = looked_ = end_ = skipped_ = 0;
}

void HeadScanner::begin(std::string_view bytes, bool request) noexcept {
  constexpr std::size_t most_skipped = 16;
  while (request && skipped_ < most_skipped && bytes.substr(skipped_, 2) == "\r\n") skipped_ += 2;
  if (bytes.data() != base_) looked_ = 0;
  base_ = bytes.data();
  line_ = skipped_;
  start_line_ = {};
  fields_.clear();
}

Parsed HeadScanner::too_long(std::string_view bytes, const config::ListenerLimits& limits,
                             bool request) const noexcept {
  if (start_line_.empty() && request && bytes.size() - line_ > limits.target_bytes + 32)
    return refuse(414, "request line too long");
  if (bytes.size() > limits.header_bytes + skipped_) return refuse(431, "head too large");
  return {};
}

Parsed HeadScanner::scan(std::string_view bytes, const config::ListenerLimits& limits, bool request) {
  if (bytes.data() != base_ || start_line_.empty()) begin(bytes, request);
  const char *const end = bytes.data() + bytes.size(), *at = bytes.data() + line_;
  // Do not rescan an incomplete line for each new byte.
  if (looked_ > line_ && std::memchr(bytes.data() + looked_, '\n', bytes.size() - looked_) == nullptr)
    at = end;
  while (at != end) {
    Line line = Line::ok;
    const char* next = at;
    if (*at == '\r') {
      line = find_line_end(next, end);
      if (line == Line::ok && start_line_.empty()) return refuse(400, "an empty head");
      if (line == Line::ok) {
        end_ = static_cast<std::size_t>(next + 2 - bytes.data());
        return end_ > limits.header_bytes + skipped_ ? refuse(431, "head too large") : fine;
      }
    } else if (start_line_.empty()) {
      line = find_line_end(next, end);
      if (line == Line::ok) {
        start_line_ = {at, static_cast<std::size_t>(next - at)};
        if (request && start_line_.size() > limits.target_bytes + 32)
          return refuse(414, "request line too long");
        next += 2;
      }
    } else {
      if (*at == ' ' || *at == '\t') return refuse(400, "a folded line");
      if (fields_.size() == limits.headers) return refuse(431, "too many fields");
      line = parse_field_line(next, end, fields_.emplace_back());
      if (line != Line::ok) fields_.pop_back();
    }
    if (line == Line::incomplete) break;
    if (line != Line::ok) return refuse_line(line);
    at = next;
    line_ = static_cast<std::size_t>(at - bytes.data());
  }
  looked_ = bytes.size();
  return too_long(bytes, limits, request);
}

Parsed read_request_head(HeadScanner& scanner, std::string_view bytes, const config::ListenerLimits& limits,
                         RequestHead& out) {
  out.minor = 1;
  const Parsed scanned = scanner.scan(bytes, limits, true);
  if (scanned.status != Status::ok) return scanned;
  out.fields.swap(scanner.fields());
  out.bytes = scanner.end() - scanner.skipped();
  RequestLine line;
  if (!parse_request_line(scanner.start_line(), line))
    return refuse(version_status(scanner.start_line()), "malformed head");
  out.minor = line.minor;
  out.method_text = line.method;
  out.target = line.target;
  out.method = method_of(out.method_text);
  if (out.method_text.size() > 32) return refuse(501, "method too long");
  if (out.target.size() > limits.target_bytes) return refuse(414, "target too long");

  const Seen seen = survey(out.fields);
  if (seen.bad_option) return refuse(400, "a Connection option that is no token");
  if (seen.options > most_options) return refuse(400, "too many Connection options");
  if (const char* why = decide_framing(seen, out)) {
    // RFC 9112 6.1: an unknown coding is 501, unless the framing is also ambiguous.
    const bool unknown_coding = seen.transfer_encoding == 1 && seen.content_length == 0 && out.minor == 1 &&
                                is_token(seen.coding) && !iequals(seen.coding, "chunked");
    return refuse(unknown_coding ? 501 : 400, why);
  }
  if (seen.host > 1) return refuse(400, "several Host fields");
  if (seen.host == 0 && out.minor == 1) return refuse(400, "no Host");
  if (!valid_host(seen.host_text)) return refuse(400, "bad Host");
  if (out.method == Method::connect) return refuse(501, "CONNECT");
  // TRACE would echo fields added on the way, including credentials (RFC 9110 9.3.8).
  if (out.method == Method::trace) return refuse(501, "TRACE");
  out.host = seen.host_text;
  if (const char* why = take_target_apart(out)) return refuse(400, why);
  if (seen.host == 0 && !valid_host(out.host)) return refuse(400, "a bad authority in the target");
  if (!seen.expect.empty()) {
    if (!iequals(seen.expect, "100-continue")) return refuse(417, "unknown expectation");
    out.expect_continue = out.minor == 1 && out.framing.kind != Framing::Kind::none;
  } else {
    out.expect_continue = false;
  }
  out.keep_alive = out.minor == 1 ? !seen.close : seen.keep_alive && !seen.close;
  out.upgrade = out.minor == 1 && seen.upgrade_option && seen.upgrade > 0;
  out.connection_auth = seen.connection_auth;
  return fine;
}

Parsed read_response_head(HeadScanner& scanner, std::string_view bytes, Method asked, ResponseHead& out) {
  const Parsed scanned = scanner.scan(bytes, response_limits(), false);
  if (scanned.status == Status::refused) return refuse(502, scanned.why);
  if (scanned.status == Status::incomplete) return scanned;
  out.fields.swap(scanner.fields());
  out.bytes = scanner.end();
  StatusLine line;
  if (!parse_status_line(scanner.start_line(), line)) return refuse(502, "malformed head");
  out.minor = line.minor;
  out.status = line.status;
  out.reason = line.reason;
  if (out.status < 100 || out.status > 599) return refuse(502, "impossible status");

  const Seen seen = survey(out.fields);
  if (seen.bad_option) return refuse(502, "a Connection option that is no token");
  if (seen.options > most_options) return refuse(502, "too many Connection options");
  bool reusable = true;
  out.drops_length = false;
  if (ends_with_its_head(asked, out.status)) {
    reusable = take_unframed(seen, asked, out);
  } else {
    if (const char* why = decide_framing(seen, out)) return refuse(502, why);
    reusable = out.framing.kind != Framing::Kind::none;
    // RFC 9110 15.3.6: a 205 has no content. Some servers omit the length and leave the connection open.
    if (!reusable) out.framing.kind = out.status == 205 ? Framing::Kind::length : Framing::Kind::until_close;
  }
  out.upgrade = out.status == 101 && seen.upgrade_option && seen.upgrade > 0;
  out.keep_alive = reusable && (out.minor == 1 ? !seen.close : seen.keep_alive && !seen.close);
  out.idle_promise.reset();
  if (seen.keep_alive_field) out.idle_promise = idle_promise(out.fields);
  return fine;
}

Parsed parse_request_head(std::string_view text, const config::ListenerLimits& limits, RequestHead& out) {
  HeadScanner scanner;
  const Parsed parsed = read_request_head(scanner, text, limits, out);
  return parsed.status == Status::incomplete ? refuse(400, "malformed head") : parsed;
}

Parsed parse_response_head(std::string_view text, Method asked, ResponseHead& out) {
  HeadScanner scanner;
  const Parsed parsed = read_response_head(scanner, text, asked, out);
  return parsed.status == Status::incomplete ? refuse(502, "malformed head") : parsed;
}

}  // namespace remora
