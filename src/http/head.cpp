#include "http/head.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>

#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using Status = Parsed::Status;

Parsed refuse(std::uint16_t code, const char* why) noexcept {
  return {Status::refused, code, why};
}
constexpr Parsed fine{Status::ok, 0, ""};

/// Beast's grammar with an index of views as its only product.
template <bool request>
class Indexer final : public http::basic_parser<request> {
 public:
  explicit Indexer(Head& head, RequestHead* as_request, ResponseHead* as_response)
      : head_(head), request_(as_request), response_(as_response) {
    this->header_limit(~std::uint32_t{0});  // ours were checked while scanning
    this->body_limit(boost::none);
    this->skip(true);
  }

 private:
  using view = boost::beast::string_view;
  static std::string_view std_view(view v) { return {v.data(), v.size()}; }

  void on_request_impl(http::verb, view method, view target, int version, error_code& ec) override {
    ec = {};
    head_.minor = static_cast<unsigned>(version % 10);
    request_->method_text = std_view(method);
    request_->target = std_view(target);
  }
  void on_response_impl(int code, view reason, int version, error_code& ec) override {
    ec = {};
    head_.minor = static_cast<unsigned>(version % 10);
    response_->status = static_cast<std::uint16_t>(code);
    response_->reason = std_view(reason);
  }
  void on_field_impl(http::field, view name, view value, error_code& ec) override {
    ec = {};
    head_.fields.push_back({std_view(name), std_view(value), known_field(std_view(name))});
  }
  void on_header_impl(error_code& ec) override { ec = {}; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code& ec) override { ec = {}; }
  std::size_t on_body_impl(view, error_code& ec) override {
    ec = {};
    return 0;
  }
  void on_chunk_header_impl(std::uint64_t, view, error_code& ec) override { ec = {}; }
  std::size_t on_chunk_body_impl(std::uint64_t, view, error_code& ec) override {
    ec = {};
    return 0;
  }
  void on_finish_impl(error_code& ec) override { ec = {}; }

  Head& head_;
  RequestHead* request_;
  ResponseHead* response_;
};

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

/// The one pass over the fields that both kinds of head share.
struct Seen {
  unsigned content_length = 0, transfer_encoding = 0, host = 0, upgrade = 0;
  std::string_view length_text, coding, host_text, expect;
  bool close = false, keep_alive = false, upgrade_option = false;
  bool bad_value = false;
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
      case Known::connection:
        for_each_token(f.value, [&](std::string_view option) {
          if (iequals(option, "close")) seen.close = true;
          if (iequals(option, "keep-alive")) seen.keep_alive = true;
          if (iequals(option, "upgrade")) seen.upgrade_option = true;
          return true;
        });
        break;
      default:
        break;
    }
  }
  return seen;
}

/// RFC 9112 6.1 to 6.3, strictly: one way to say it, no repairs. Returns a reason, or nullptr.
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

bool valid_host(std::string_view host) noexcept {
  for (const char c : host) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= ' ' || u >= 0x7f || std::strchr("\"<>\\^`{|}/?#@,", c) != nullptr) return false;
  }
  if (!host.empty() && host.front() == '[') {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    host = host.substr(end + 1);
    if (host.empty()) return true;
    if (host.front() != ':') return false;
  }
  const auto colon = host.find(':');
  if (colon == std::string_view::npos) return true;
  const auto port = host.substr(colon + 1);
  if (port.empty()) return true;
  const auto n = parse_decimal(port);
  return n && *n <= 65535;
}

/// 505 rather than 400 for what is HTTP of another version.
std::uint16_t version_status(std::string_view head) noexcept {
  const auto line = head.substr(0, head.find("\r\n"));
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

Parsed HeadScanner::scan(std::string_view bytes, const config::ListenerLimits& limits,
                         bool request) noexcept {
  if (lines_ == 0 && line_ == skipped_) {
    constexpr std::size_t most_skipped = 16;
    while (request && skipped_ < most_skipped && bytes.substr(skipped_, 2) == "\r\n") skipped_ += 2;
    line_ = skipped_;
    at_ = std::max(at_, skipped_);
  }
  while (at_ < bytes.size()) {
    const char* found = static_cast<const char*>(std::memchr(bytes.data() + at_, '\n', bytes.size() - at_));
    if (found == nullptr) break;
    const std::size_t lf = static_cast<std::size_t>(found - bytes.data());
    if (lf == line_ || bytes[lf - 1] != '\r') return refuse(400, "a line ends in a bare LF");
    const std::string_view line = bytes.substr(line_, lf - 1 - line_);
    if (line.find('\r') != std::string_view::npos) return refuse(400, "a bare CR");
    if (line.empty()) {
      end_ = lf + 1;
      if (lines_ == 0) return refuse(400, "an empty head");
      if (end_ > limits.header_bytes + skipped_) return refuse(431, "head too large");
      return fine;
    }
    if (lines_ > 0 && (line.front() == ' ' || line.front() == '\t')) return refuse(400, "a folded line");
    if (lines_ == 0 && request && line.size() > limits.target_bytes + 32)
      return refuse(414, "request line too long");
    if (++lines_ > limits.headers + 1) return refuse(431, "too many fields");
    at_ = line_ = lf + 1;
  }
  at_ = bytes.size();
  if (lines_ == 0 && request && at_ - line_ > limits.target_bytes + 32)
    return refuse(414, "request line too long");
  if (at_ > limits.header_bytes + skipped_) return refuse(431, "head too large");
  return {};
}

Parsed parse_request_head(std::string_view head, const config::ListenerLimits& limits, RequestHead& out) {
  out.fields.clear();
  out.bytes = head.size();
  Indexer<true> parser(out, &out, nullptr);
  error_code ec;
  parser.put(boost::asio::const_buffer(head.data(), head.size()), ec);
  if (ec || !parser.is_header_done()) return refuse(version_status(head), "malformed head");
  out.method = method_of(out.method_text);
  if (out.method_text.size() > 32) return refuse(501, "method too long");
  if (out.target.size() > limits.target_bytes) return refuse(414, "target too long");

  const Seen seen = survey(out.fields);
  if (const char* why = decide_framing(seen, out)) {
    // RFC 9112 6.1: a coding that we do not know is 501, unless the framing is ambiguous as well.
    const bool unknown_coding = seen.transfer_encoding == 1 && seen.content_length == 0 && out.minor == 1 &&
                                is_token(seen.coding) && !iequals(seen.coding, "chunked");
    return refuse(unknown_coding ? 501 : 400, why);
  }
  if (seen.host > 1) return refuse(400, "several Host fields");
  if (seen.host == 0 && out.minor == 1) return refuse(400, "no Host");
  if (!valid_host(seen.host_text)) return refuse(400, "bad Host");
  if (out.method == Method::connect) return refuse(501, "CONNECT");
  out.host = seen.host_text;
  if (const char* why = take_target_apart(out)) return refuse(400, why);
  if (!seen.expect.empty()) {
    if (!iequals(seen.expect, "100-continue")) return refuse(417, "unknown expectation");
    out.expect_continue = out.minor == 1 && out.framing.kind != Framing::Kind::none;
  } else {
    out.expect_continue = false;
  }
  out.keep_alive = out.minor == 1 ? !seen.close : seen.keep_alive && !seen.close;
  out.upgrade = out.minor == 1 && seen.upgrade_option && seen.upgrade > 0;
  return fine;
}

Parsed parse_response_head(std::string_view head, Method asked, ResponseHead& out) {
  out.fields.clear();
  out.bytes = head.size();
  // RFC 9112 4: a status line may lack its reason, and many servers drop the space too, which Beast
  // refuses. It is given the line it wants, from our own storage.
  char line[20] = "HTTP/1.x NNN \r\n";
  const auto line_end = head.find("\r\n");
  Indexer<false> parser(out, nullptr, &out);
  error_code ec;
  if (line_end == 12 && head.substr(0, 7) == "HTTP/1.") {
    std::memcpy(line, head.data(), 12);
    // One buffer for the start line, one for the fields: the parser takes whole structures.
    parser.put(boost::asio::const_buffer(line, 15), ec);
    if (ec == http::error::need_more) ec = {};
    if (!ec) parser.put(boost::asio::const_buffer(head.data() + 14, head.size() - 14), ec);
    out.reason = {};
  } else {
    parser.put(boost::asio::const_buffer(head.data(), head.size()), ec);
  }
  if (ec || !parser.is_header_done()) return refuse(502, "malformed head");
  if (out.status < 100 || out.status > 599) return refuse(502, "impossible status");

  const Seen seen = survey(out.fields);
  if (const char* why = decide_framing(seen, out)) return refuse(502, why);
  const bool switching = out.status == 101;
  if (out.status < 200 || out.status == 204) {
    // RFC 9110 8.6 and RFC 9112 6.1 forbid both fields here; a peer that sends a body after all would
    // have its bytes taken for the next response.
    if (seen.content_length > 0 || seen.transfer_encoding > 0) return refuse(502, "a body where none may be");
  }
  if (asked == Method::head || out.status < 200 || out.status == 204 || out.status == 304)
    out.framing = {};
  else if (out.framing.kind == Framing::Kind::none)
    out.framing.kind = Framing::Kind::until_close;
  out.upgrade = switching && seen.upgrade_option && seen.upgrade > 0;
  out.keep_alive = out.framing.kind != Framing::Kind::until_close &&
                   (out.minor == 1 ? !seen.close : seen.keep_alive && !seen.close);
  return fine;
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
}  // namespace

Known known_field(std::string_view n) noexcept {
  if (n.size() >= 7 && istarts_with(n, "remora") && (n[6] == '-' || n[6] == '_')) return Known::remora;
  if (n.size() > longest_known) return Known::other;
  for (std::size_t i = known_starts[n.size()]; i < known_starts[n.size() + 1]; ++i)
    if (iequals(n, known_names[i].name)) return known_names[i].known;
  return Known::other;
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

bool parse_trailers(std::string_view lines, std::vector<Field>& out) {
  out.clear();
  while (!lines.empty()) {
    const auto end = lines.find("\r\n");
    if (end == std::string_view::npos) return false;
    const auto line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
    Field f{line.substr(0, colon), trim(line.substr(colon + 1)), known_field(line.substr(0, colon))};
    for (const char c : f.value)
      if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f) return false;
    if (forbidden_in_trailers(f.known)) return false;
    out.push_back(f);
  }
  return true;
}

}  // namespace remora
