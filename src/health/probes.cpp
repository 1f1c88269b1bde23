#include "health/probes.h"

#include "net/ask_once.h"

namespace remora {

namespace {
std::string request_for(const ProbeTarget& t) {
  return "GET " + t.probe.path + " HTTP/1.1\r\nHost: " + t.host +
         "\r\nUser-Agent: remora-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}
}  // namespace

std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe) {
  ProbeAnswer answer(probe);
  answer.take(bytes);
  return answer.verdict();
}

Task<ProbeVerdict> probe_once(Loop& loop, Wake& wake, const ProbeTarget& target) {
  ProbeAnswer answer(target.probe);
  Question question;
  question.endpoint = target.endpoint;
  question.tls = target.tls;
  question.server_name = target.server_name;
  if (target.probe.kind == config::ProbeKind::http) question.text = request_for(target);
  std::size_t seen = 0;
  question.enough = [&](std::string_view received, bool ended) {
    answer.take(received.substr(seen));
    seen = received.size();
    if (ended) answer.end();
    return answer.verdict().has_value();
  };
  question.rest = [&](std::string_view more) {
    answer.take(more);
    return answer.complete();
  };
  static_cast<void>(wake.take());
  wake.until(loop.clock.steady_now() + target.probe.timeout);
  std::string trouble = co_await ask_once(loop, wake, std::move(question));
  ProbeVerdict verdict = answer.verdict().value_or(ProbeVerdict());
  verdict.answered = trouble.empty();
  if (!trouble.empty()) verdict.failure = std::move(trouble);
  co_return verdict;
}

}  // namespace remora
