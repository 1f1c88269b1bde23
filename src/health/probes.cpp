#include "health/probes.h"

#include <memory>
#include <utility>
#include <vector>

#include "health/grpc_health.h"
#include "health/http2_path_answer.h"
#include "http/h2/http2_reader.h"
#include "net/one_shot_request.h"

namespace remora {

std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe) {
  ProbeAnswer answer(probe);
  answer.take(bytes);
  return answer.verdict();
}

namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

/// A probe over HTTP/2: the request, and what its response says.
class Http2Probe {
 public:
  Http2Probe(const ProbeTarget& target, ProbeAnswer& answer) : answer_(answer), path_(answer) {
    if (target.probe.kind == config::ProbeKind::grpc)
      ask_health(target);
    else
      ask_path(target);
  }
  Http2Reader& reader() noexcept { return *reader_; }
  std::optional<ProbeVerdict> verdict() const { return grpc_ ? grpc_->verdict() : answer_.verdict(); }

 private:
  void ask_path(const ProbeTarget& target) {
    const Http2Request request{"GET",
                               target.probe.path,
                               target.host,
                               target.tls != nullptr,
                               {{"user-agent", "remora-probe"}, {"accept", "*/*"}},
                               {}};
    reader_ = std::make_unique<Http2Reader>(request, path_);
  }
  void ask_health(const ProbeTarget& target) {
    const std::string body = grpc_health_request(target.probe.grpc_service);
    const std::string timeout = std::to_string(target.probe.timeout.count()) + "m";
    Fields fields{{"user-agent", "remora-probe"}, {"content-type", "application/grpc"}, {"te", "trailers"}};
    if (timeout.size() <= 9) fields.emplace_back("grpc-timeout", timeout);
    const Http2Request request{"POST", grpc_health_method, target.host, target.tls != nullptr, fields, body};
    reader_ = std::make_unique<Http2Reader>(request, grpc_.emplace());
  }

  ProbeAnswer& answer_;
  Http2PathAnswer path_;
  std::optional<GrpcHealthAnswer> grpc_;
  std::unique_ptr<Http2Reader> reader_;
};

}  // namespace

Task<ProbeVerdict> probe_once(Loop& loop, EventFlags& wake, const ProbeTarget& target) {
  ProbeAnswer answer(target.probe);
  OneShotRequest request;
  request.endpoint = target.endpoint;
  request.tls = target.tls;
  request.server_name = target.server_name;
  using config::BackendProtocol;
  const bool grpc = target.probe.kind == config::ProbeKind::grpc;
  const bool connect_only = !grpc && target.probe.kind != config::ProbeKind::http;
  const bool http2 = grpc || (!connect_only && target.protocol == BackendProtocol::h2);
  request.http1_only = !http2 && target.protocol == BackendProtocol::automatic;
  std::optional<Http2Probe> over_http2;
  if (http2) {
    request.text = over_http2.emplace(target, answer).reader().text();
  } else if (!connect_only) {
    request.text = request_text("GET", target.probe.path, target.host,
                                {{"User-Agent", "remora-probe"}, {"Accept", "*/*"}});
  }
  static_cast<void>(wake.take());
  wake.until(loop.clock.steady_now() + target.probe.timeout);
  ResponseReader* reader = &answer;
  if (connect_only) reader = nullptr;
  if (http2) reader = &over_http2->reader();
  std::string error = co_await one_shot_request(loop, wake, std::move(request), reader);
  std::optional<ProbeVerdict> judged = answer.verdict();
  if (http2) judged = over_http2->verdict();
  ProbeVerdict verdict = std::move(judged).value_or(ProbeVerdict());
  verdict.answered = error.empty();
  if (!error.empty()) verdict.failure = std::move(error);
  co_return verdict;
}

}  // namespace remora
