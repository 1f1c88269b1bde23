// Heads as they come, edited, written, and read again: what the other side gets is one head, of the same
// message, without anything that was meant for us alone. First byte: a request or a response.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1/head.h"
#include "http/h1/write.h"
#include "proxy/edits.h"
#include "util/cookies.h"
#include "util/text.h"

using namespace remora;

namespace {

config::ListenerLimits wide() {
  config::ListenerLimits limits;
  limits.header_bytes = 1 << 20;
  limits.target_bytes = 1 << 20;
  limits.headers = 10'000;
  return limits;
}

/// What a connection keeps to itself (RFC 9110 7.6.1), whatever the Connection field says.
bool hop_by_hop(std::string_view name) {
  for (const char* const n :
       {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "HTTP2-Settings"})
    if (iequals(name, n)) return true;
  return false;
}

void require(bool what) {
  if (!what) std::abort();
}

/// One head and nothing behind it, even for a reader that only looks for lines.
void check_lines(std::string_view text, std::size_t fields) {
  std::size_t lines = 0;
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    require(at > 0 && text[at - 1] == '\r');
    ++lines;
  }
  require(lines == fields + 2);
  for (std::size_t at = text.find('\r'); at != std::string_view::npos; at = text.find('\r', at + 1))
    require(at + 1 < text.size() && text[at + 1] == '\n');
  require(text.find('\0') == std::string_view::npos);
}

std::size_t count(const std::vector<Field>& fields, std::string_view name) {
  std::size_t n = 0;
  for (const Field& f : fields) n += iequals(f.name, name) ? 1 : 0;
  return n;
}

void request(std::string_view text) {
  RequestHead head;
  if (parse_request_head(text, wide(), head).status != Parsed::Status::ok) return;
  Arrival arrival;
  PoolView pool;
  RouteView route;
  Member member;
  member.backend = std::make_shared<Backend>("app", "a");
  TextArena arena;
  RequestEdits edits(arena);
  edits.drop_cookie("ours");
  const PassedVerifiers passed;
  const std::vector<std::string> claims{"X-User"};
  OutHead out;
  edit_request({head,
                arrival,
                pool,
                route,
                member,
                edits,
                "\"id\";epoch=1",
                {},
                "X-Request-Id",
                "0123",
                false,
                claims,
                passed},
               arena, out);
  OutText bytes;
  write_request_line(out, bytes);
  write_fields(out, bytes);
  bytes += "\r\n";
  const std::string_view written(bytes.data(), bytes.size());
  HeadScanner scanner;
  RequestHead again;
  Http1Message message;
  const Parsed parsed = read_request_head(scanner, written, wide(), again, message);
  // Without Transfer-Encoding, which the codec adds, only the framing may be another.
  require(parsed.status == Parsed::Status::ok);
  require(scanner.end() == written.size());
  check_lines(written, again.fields.size());
  require(again.method_text == head.method_text);
  require(again.version == Version::http11);
  require(again.body.kind == BodyLength::Kind::none || again.body.bytes == head.body.bytes);
  require(count(again.fields, "Host") == 1);
  require(count(again.fields, "Remora-Session") == 1);
  require(count(again.fields, "X-User") == 0);
  for (const Field& f : again.fields) {
    require(!hop_by_hop(f.name) || iequals(f.name, "Upgrade"));
    if (f.known == Known::cookie)
      for_each_cookie(f.value, [](const CookiePair& pair) {
        require(pair.name != "ours");
        return true;
      });
  }
}

void response(std::string_view text) {
  ResponseHead head;
  if (parse_response_head(text, Method::get, head).status != Parsed::Status::ok) return;
  RouteView route;
  TextArena arena;
  ResponseEdits edits(arena);
  edits.add("Set-Cookie", "ours=x", Known::set_cookie);
  OutHead out;
  if (head.status < 200 && head.status != 101)
    edit_interim(head, out);
  else
    edit_response({head, route, edits, {}, false}, out);
  OutText bytes;
  write_status_line(out, bytes);
  write_fields(out, bytes);
  bytes += "\r\n";
  const std::string_view written(bytes.data(), bytes.size());
  HeadScanner scanner;
  ResponseHead again;
  Http1Message message;
  require(read_response_head(scanner, written, Method::get, again, message).status == Parsed::Status::ok);
  require(scanner.end() == written.size());
  check_lines(written, again.fields.size());
  require(again.status == head.status);
  if (head.status >= 200 || head.status == 101)
    require(iequals(again.fields.back().name, "Set-Cookie") && again.fields.back().value == "ours=x");
  for (const Field& f : again.fields)
    require(!hop_by_hop(f.name) && !iequals(f.name.substr(0, 7), "Remora-"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  (data[0] & 1) != 0 ? request(text) : response(text);
  return 0;
}
