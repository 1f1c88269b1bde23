#include "health/probes.h"

#include <utility>
#include <vector>

#include "http/h2/http2_reader.h"
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
  const bool http2 = !connect_only && target.protocol == config::BackendProtocol::h2;
  request.http1_only = !http2 && target.protocol == config::BackendProtocol::automatic;
  const std::vector<std::pair<std::string_view, std::string_view>> fields{{"user-agent", "remora-probe"},
                                                                          {"accept", "*/*"}};
  std::unique_ptr<Http2Reader> translated;
  if (http2) {
    translated =
        std::make_unique<Http2Reader>(target.probe.path, target.host, target.tls != nullptr, fields, answer);
    request.text = translated->text();
  } else if (!connect_only) {
    request.text = request_text("GET", target.probe.path, target.host,
                                {{"User-Agent", "remora-probe"}, {"Accept", "*/*"}});
  }
  static_cast<void>(wake.take());
  wake.until(loop.clock.steady_now() + target.probe.timeout);
  ResponseReader* reader = &answer;
  if (connect_only) reader = nullptr;
  if (http2) reader = translated.get();
  std::string error = co_await one_shot_request(loop, wake, std::move(request), reader);
  ProbeVerdict verdict = answer.verdict().value_or(ProbeVerdict());
  verdict.answered = error.empty();
  if (!error.empty()) verdict.failure = std::move(error);
  co_return verdict;
}

}  // namespace remora
