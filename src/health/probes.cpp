#include "health/probes.h"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "net/ask_once.h"
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
  std::optional<ProbeVerdict> verdict;
  Question question;
  question.endpoint = target.endpoint;
  question.tls = target.tls;
  question.server_name = target.server_name;
  if (target.probe.kind == config::ProbeKind::http) question.text = request_for(target);
  std::size_t seen = 0;  // without the end of the head; each byte is looked at once, however small they come
  question.enough = [&](std::string_view received, bool) {
    const bool head = received.find("\r\n\r\n", seen) != std::string_view::npos;
    seen = received.size() < 3 ? 0 : received.size() - 3;
    if (head || received.size() > most_answer_bytes) verdict = judge_answer(received, target.probe);
    return verdict.has_value();
  };
  static_cast<void>(wake.take());
  wake.until(std::chrono::steady_clock::now() + target.probe.timeout);
  std::string trouble = co_await ask_once(loop, wake, std::move(question));
  if (!verdict) verdict.emplace();
  if (!trouble.empty()) verdict->failure = std::move(trouble);
  co_return *verdict;
}

}  // namespace remora
