#include "proxy/report.h"

#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;

std::string_view Report::masked(std::string_view url) {
  return masked_url(*request().snapshot->shared, url, memory().arena);
}

/// Name of the affinity kind that recognized the session, else of the pool's first kind.
std::string_view Report::verdict_kind() const noexcept {
  const auto& kinds = request().pool->affinity;
  if (kinds.empty()) return "none";
  return kinds[session().recognized.kind < kinds.size() ? session().recognized.kind : 0]->name();
}

/// The reply was ours, and said to gRPC what another status says to HTTP.
bool Report::is_grpc_reply() const noexcept {
  return request().grpc && reply().status != 0;
}

/// The status that the client saw, or that a reply to gRPC stands for; 499: the client left before the
/// response was complete.
std::uint16_t Report::final_status() const noexcept {
  if (reply().status != 0) return reply().status;
  const bool unanswered =
      attempt().failure.kind == Kind::gone || attempt().failure.kind == Kind::http1_required;
  return unanswered ? 499 : memory().response.status;
}

/// The epoch under which the session was served, or is known if no backend could serve it. 0: no session.
std::uint32_t Report::epoch() const noexcept {
  if (session().ended_epoch != 0) return session().ended_epoch;
  if (session().served.reason != Reason::none) return session().served.binding.epoch;
  return session().recognized.what == Recognized::What::session ? session().recognized.binding.epoch : 0;
}

void Report::count_exchange() {
  const auto took = turn().now() - request().began;
  ListenerShared& shared = *connection().listener->shared;
  shared.traffic[worker().index].count(final_status(), took);
  if (request().head.version == Version::http2) shared.http2[worker().index].requests.add();
  if (request().route != nullptr && request().route->traffic)
    request().route->traffic->by_worker[worker().index].count(final_status(), took);
}

void Report::log_exchange() {
  if (!worker().access_log.on()) return;
  const bool understood = request().route != nullptr || attempt().failure.kind != Kind::client_malformed;
  AccessEntry e;
  e.client = request().arrival.client;
  e.when = turn().wall_now();
  if (understood) {
    e.method = request().head.method_text;
    e.target = masked(request().head.target);
    e.host = request().head.host;
    e.version = to_string(request().head.version);
    for (const Field& f : request().head.fields) {
      if (f.name.size() == 7 && iequals(f.name, "referer")) e.referer = masked(f.value);
      if (f.name.size() == 10 && iequals(f.name, "user-agent")) e.user_agent = f.value;
    }
  }
  e.request_id = request().id.text;
  e.status = is_grpc_reply() ? 200 : final_status();
  e.bytes = response().bytes;
  e.listener = connection().listener->config.name;
  if (request().pool != nullptr) {
    e.pool = request().pool->config.name;
    e.affinity = verdict_kind();
    e.cause = session().recognized.cause;  // without a pool, nobody has looked for a session
  }
  if (attempt().member != nullptr) e.backend = attempt().member->backend->id;
  e.reason = session().served.reason;
  e.epoch = epoch();
  e.attempts = attempt().count;
  const Kind last = attempt().failure ? attempt().failure.kind : attempt().overcome;
  if (last != Kind::none) e.failure = to_string(last);
  e.queue = request().took.queue;
  e.connect = request().took.connect;
  e.first_byte = request().took.first_byte;
  e.total = turn().now() - request().began;
  worker().access_log.write(e);
  if (worker().access_log.pending() && !worker().log_flush.armed())
    worker().log_flush.arm(worker().loop.wheel, turn().now() + std::chrono::milliseconds(200));
}

}  // namespace remora
