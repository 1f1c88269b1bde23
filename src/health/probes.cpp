#include "health/probes.h"

#include "net/one_shot_request.h"

namespace remora {

std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe) {
  ProbeAnswer answer(probe);
  answer.take(bytes);
  return answer.verdict();
}

Task<ProbeVerdict> probe_once(Loop& loop, EventFlags& wake, const ProbeTarget& target) {
  ProbeAnswer answer(target.probe);
  OneShotRequest request;
  request.endpoint = target.endpoint;
  request.tls = target.tls;
  request.server_name = target.server_name;
  const bool connect_only = target.probe.kind != config::ProbeKind::http;
  if (!connect_only)
    request.text = request_text("GET", target.probe.path, target.host,
                                {{"User-Agent", "remora-probe"}, {"Accept", "*/*"}});
  static_cast<void>(wake.take());
  wake.until(loop.clock.steady_now() + target.probe.timeout);
  ResponseReader* const reader = connect_only ? nullptr : &answer;
  std::string error = co_await one_shot_request(loop, wake, std::move(request), reader);
  ProbeVerdict verdict = answer.verdict().value_or(ProbeVerdict());
  verdict.answered = error.empty();
  if (!error.empty()) verdict.failure = std::move(error);
  co_return verdict;
}

}  // namespace remora
