#include "proxy/report.h"

#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;

std::string_view Report::masked(std::string_view url) {
  return masked_url(*request_.snapshot->shared, url, memory_.arena);
}

/// Name of the affinity kind that recognized the session, else of the pool's first kind.
std::string_view Report::verdict_kind() const noexcept {
  const auto& kinds = request_.pool->affinity;
  if (kinds.empty()) return "none";
  return kinds[session_.recognized.kind < kinds.size() ? session_.recognized.kind : 0]->name();
}

/// The reply was ours, and said to gRPC what another status says to HTTP.
bool Report::is_grpc_reply() const noexcept {
  return request_.grpc && reply_.status != 0;
}

/// The status that the client saw, or that a reply to gRPC stands for; 499: the client left before the
/// response was complete.
std::uint16_t Report::final_status() const noexcept {
  if (reply_.status != 0) return reply_.status;
  const bool unanswered =
      attempt_.failure.kind == Kind::gone || attempt_.failure.kind == Kind::http1_required;
  return unanswered ? 499 : memory_.response.status;
}

/// The epoch under which the session was served, or is known if no backend could serve it. 0: no session.
std::uint32_t Report::epoch() const noexcept {
  if (session_.ended_epoch != 0) return session_.ended_epoch;
  if (session_.served.reason != Reason::none) return session_.served.binding.epoch;
  return session_.recognized.what == Recognized::What::session ? session_.recognized.binding.epoch : 0;
}

void Report::count_exchange() {
  const auto took = turn_.now() - request_.began;
  ListenerShared& shared = *connection_.listener->shared;
  shared.traffic[worker_.index].count(final_status(), took);
  if (request_.head.version == Version::http2) shared.http2[worker_.index].requests.add();
  if (request_.route != nullptr && request_.route->traffic)
    request_.route->traffic->by_worker[worker_.index].count(final_status(), took);
}

void Report::log_exchange() {
  if (!worker_.access_log.on()) return;
  const bool understood = request_.route != nullptr || attempt_.failure.kind != Kind::client_malformed;
  AccessEntry e;
  e.client = request_.arrival.client;
  e.when = turn_.wall_now();
  if (understood) {
    e.method = request_.head.method_text;
    e.target = masked(request_.head.target);
    e.host = request_.head.host;
    e.version = to_string(request_.head.version);
    for (const Field& f : request_.head.fields) {
      if (f.name.size() == 7 && iequals(f.name, "referer")) e.referer = masked(f.value);
      if (f.name.size() == 10 && iequals(f.name, "user-agent")) e.user_agent = f.value;
    }
  }
  e.request_id = request_.id.text;
  e.status = is_grpc_reply() ? 200 : final_status();
  e.bytes = response_.bytes;
  e.listener = connection_.listener->config.name;
  if (request_.pool != nullptr) {
    e.pool = request_.pool->config.name;
    e.affinity = verdict_kind();
    e.cause = session_.recognized.cause;  // without a pool, nobody has looked for a session
  }
  if (attempt_.member != nullptr) e.backend = attempt_.member->backend->id;
  e.reason = session_.served.reason;
  e.epoch = epoch();
  e.attempts = attempt_.count;
  const Kind last = attempt_.failure ? attempt_.failure.kind : attempt_.overcome;
  if (last != Kind::none) e.failure = to_string(last);
  e.queue = request_.took.queue;
  e.connect = request_.took.connect;
  e.first_byte = request_.took.first_byte;
  e.total = turn_.now() - request_.began;
  worker_.access_log.write(e);
  if (worker_.access_log.pending() && !worker_.log_flush.armed())
    worker_.log_flush.arm(worker_.loop.wheel, turn_.now() + std::chrono::milliseconds(200));
}

}  // namespace remora
