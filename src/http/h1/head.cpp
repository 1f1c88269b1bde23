#include "http/h1/head.h"

#include <cstring>

#include "http/h1/grammar.h"
#include "http/keep_alive.h"
#include "http/validate.h"

namespace remora {

namespace {

using Status = Parsed::Status;

Parsed refuse(std::uint16_t code, const char* why) noexcept {
  return {Status::refused, code, why};
}
constexpr Parsed fine{Status::ok, 0, ""};

Version version_of(unsigned minor) noexcept {
  return minor == 0 ? Version::http10 : Version::http11;
}

Framing framing_of(const BodyLength& body, const ConnectionTraits& facts) noexcept {
  using Kind = Framing::Kind;
  if (body.kind == BodyLength::Kind::unknown) return {facts.chunked ? Kind::chunked : Kind::until_close, 0};
  return {body.kind == BodyLength::Kind::known ? Kind::length : Kind::none, body.bytes};
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
  constexpr std::size_t max_skipped = 16;
  while (request && skipped_ < max_skipped && bytes.substr(skipped_, 2) == "\r\n") skipped_ += 2;
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
                         RequestHead& out, Http1Message& message) {
  out.version = Version::http11;
  const Parsed scanned = scanner.scan(bytes, limits, true);
  if (scanned.status != Status::ok) return scanned;
  out.fields.swap(scanner.fields());
  RequestLine line;
  if (!parse_request_line(scanner.start_line(), line))
    return refuse(version_status(scanner.start_line()), "malformed head");
  out.version = version_of(line.minor);
  out.method_text = line.method;
  out.target = line.target;
  ConnectionTraits facts;
  const Verdict verdict = validate_request(out, limits.target_bytes, facts);
  if (verdict.refused()) return refuse(verdict.code, verdict.why);
  message.framing = framing_of(out.body, facts);
  message.keep_alive = facts.keep_alive;
  return fine;
}

Parsed read_response_head(HeadScanner& scanner, std::string_view bytes, Method asked, ResponseHead& out,
                          Http1Message& message) {
  const Parsed scanned = scanner.scan(bytes, response_limits(), false);
  if (scanned.status == Status::refused) return refuse(502, scanned.why);
  if (scanned.status == Status::incomplete) return scanned;
  out.fields.swap(scanner.fields());
  StatusLine line;
  if (!parse_status_line(scanner.start_line(), line)) return refuse(502, "malformed head");
  out.version = version_of(line.minor);
  out.status = line.status;
  out.reason = line.reason;
  ConnectionTraits facts;
  const Verdict verdict = validate_response(out, asked, facts);
  if (verdict.refused()) return refuse(verdict.code, verdict.why);
  message.framing = framing_of(out.body, facts);
  message.keep_alive = facts.keep_alive;
  message.idle_promise.reset();
  if (facts.keep_alive_field) message.idle_promise = idle_promise(out.fields);
  return fine;
}

Parsed parse_request_head(std::string_view text, const config::ListenerLimits& limits, RequestHead& out,
                          Http1Message& message) {
  HeadScanner scanner;
  const Parsed parsed = read_request_head(scanner, text, limits, out, message);
  return parsed.status == Status::incomplete ? refuse(400, "malformed head") : parsed;
}

Parsed parse_request_head(std::string_view text, const config::ListenerLimits& limits, RequestHead& out) {
  Http1Message message;
  return parse_request_head(text, limits, out, message);
}

Parsed parse_response_head(std::string_view text, Method asked, ResponseHead& out, Http1Message& message) {
  HeadScanner scanner;
  const Parsed parsed = read_response_head(scanner, text, asked, out, message);
  return parsed.status == Status::incomplete ? refuse(502, "malformed head") : parsed;
}

Parsed parse_response_head(std::string_view text, Method asked, ResponseHead& out) {
  Http1Message message;
  return parse_response_head(text, asked, out, message);
}

}  // namespace remora
