#include "health/probes.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "net/connecting.h"
#include "util/text.h"

namespace remora {

namespace {
constexpr std::size_t most_answer_bytes = 64 * 1024;

std::string request_for(const ProbeTarget& t) {
  return "GET " + t.probe.path + " HTTP/1.1\r\nHost: " + t.host +
         "\r\nUser-Agent: remora-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}
}  // namespace

std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe) {
  namespace http = boost::beast::http;
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos)
    return bytes.size() > most_answer_bytes ? std::optional(ProbeVerdict{"endless head"}) : std::nullopt;
  http::response_parser<http::empty_body> parser;
  parser.skip(true);
  parser.header_limit(static_cast<std::uint32_t>(2 * most_answer_bytes));
  boost::system::error_code ec;
  parser.put(asio::const_buffer(bytes.data(), end + 4), ec);
  if (!parser.is_header_done()) return ProbeVerdict{"malformed answer"};
  const unsigned status = parser.get().result_int();
  ProbeVerdict verdict{"status " + std::to_string(status)};
  for (const auto& [from, to] : probe.expect)
    if (status >= from && status <= to) verdict.failure.clear();
  const auto said = parser.get()["Remora-Generation"];
  verdict.generation = parse_decimal({said.data(), said.size()}).value_or(0);
  return verdict;
}

Task<ProbeVerdict> probe_once(Loop& loop, Wake& wake, const ProbeTarget& target) {
  const ProbeVerdict passed;
  const auto failed = [](std::string why) {
    ProbeVerdict verdict;
    verdict.failure = std::move(why);
    return verdict;
  };
  static_cast<void>(wake.take());
  wake.until(std::chrono::steady_clock::now() + target.probe.timeout);
  Connecting connecting(loop, target.endpoint, target.tls.get(), target.server_name, wake, Wake::backend);
  for (;;) {
    const Io io = connecting.step();
    if (io == Io::ready) break;
    if (io == Io::failed) {
      ProbeVerdict why;
      why.failure = connecting.tls_error().empty() ? connecting.error().message() : connecting.tls_error();
      co_return why;
    }
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & Wake::stop) co_return passed;
    if (bits & Wake::deadline) co_return failed("connect timeout");
  }
  const StreamRef stream = connecting.take();
  struct Closer {
    Stream& s;
    ~Closer() { s.close(); }
  } closer{*stream};
  if (target.probe.kind == config::ProbeKind::tcp) co_return passed;

  const std::string request = request_for(target);
  std::size_t sent = 0;
  for (;;) {
    if (sent < request.size()) {
      const asio::const_buffer rest(request.data() + sent, request.size() - sent);
      const Stream::Sent s = stream->send({&rest, 1});
      if (s.io == Io::failed) co_return failed(stream->error().message());
      sent += s.bytes;
    }
    if (const auto verdict = judge_answer(stream->unread(), target.probe)) co_return *verdict;
    if (stream->peer_closed()) co_return failed("closed without an answer");
    const Io io = stream->fill();
    if (io == Io::failed) co_return failed(stream->error().message());
    if (io == Io::ready) continue;
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & Wake::stop) co_return passed;
    if (bits & Wake::deadline) co_return failed("timeout");
  }
}

}  // namespace remora
