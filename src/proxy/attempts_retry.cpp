// Whether, and where, a request is sent again; and whether a backend that keeps it waiting is hung or its
// page slow: it is probed at once, and when that fails twice, the request goes elsewhere instead of ending in
// 504.

#include "proxy/attempts.h"

#include <algorithm>

#include "http/connection_auth.h"
#include "net/connecting.h"
#include "util/fetch_ahead.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

bool Attempts::try_again() {
  bool costs = attempt_.failure.acted;  // what never reached a backend was no load for anybody
  if (attempt_.failure.kind == Kind::reset && backend_.has_connection() && backend_.is_reused()) {
    attempt_.stale = !attempt_.fresh_only;
    costs =
        costs && attempt_.fresh_only;  // once a request: a restart breaks all idle connections in one moment
    attempt_.fresh_only = true;
  }
  if (attempt_.failure.kind == Kind::hung) costs = false;  // its load was taken from a backend that is dead
  backend_.abort();
  backend_.release();
  attempt_.place.free();
  if (attempt_
          .leg) {  // a handshake ends with its connection: the client begins a new one on a new connection
    request_.head.keep_alive = false;
    return false;
  }
  if (attempt_.failure.kind == Kind::queue_full) {
    if (!session_.bound || request_.pool->config.session.on_full != config::OnFull::move) return false;
    attempt_.tried.add(attempt_.member->backend.get());
    return true;
  }
  if (attempt_.failure.kind == Kind::out_of_service) {
    attempt_.tried.add(attempt_.member->backend.get());
    return attempt_.tried.contains(attempt_.member->backend.get());
  }
  const config::Failover& rules = request_.pool->config.failover;
  if (attempt_.failure.side != FailSide::backend || attempt_.count >= rules.attempts || client_.gone())
    return false;
  if (!may_repeat(attempt_.failure, retry_rules(), request_.head.method, !attempt_.replay_overflow))
    return false;
  if (!attempt_.retry && costs) {
    std::uint32_t in_flight = 1;  // this one, whose place was freed a moment ago
    for (const Member& m : request_.pool->snapshot->members)
      in_flight += m.backend->in_flight.load(std::memory_order_relaxed);
    const std::uint32_t retrying = request_.pool->counters->retrying.load(std::memory_order_relaxed);
    if (!within_budget(retrying, in_flight, rules.budget) &&
        !request_.pool->counters->retry_reserve.take(turn_.now()))
      return false;
    attempt_.retry = CountedRetry(request_.pool->counters);
  }
  // A hash leads nowhere else while its server lives; but where nobody listens it is not asked twice.
  const bool nobody =
      attempt_.failure.kind == Kind::refused || attempt_.failure.kind == Kind::connect_timeout;
  const bool stays =
      (session_.bound || (session_.is_keyed() && !nobody)) && attempt_.failure.kind != Kind::hung;
  if (stays && attempt_.same_backend_left > 0)
    --attempt_.same_backend_left;  // the same backend once more, then a move
  else
    attempt_.tried.add(attempt_.member->backend.get());
  if (attempt_.failure.kind == Kind::hung) pass_over_the_hung();
  attempt_.replay_at = 0;
  attempt_.request_broken = false;
  return true;
}

const config::RetryOn& Attempts::retry_rules() const noexcept {
  const config::Failover& rules = request_.pool->config.failover;
  return session_.bound || session_.is_keyed() ? rules.bound_retry_on : rules.retry_on;
}

/// A status that the configuration retries, and somebody else to ask. Otherwise it is passed on as it is.
bool Attempts::status_is_failure() const noexcept {
  if (memory_.response.status < 502 || memory_.response.status > 504 || attempt_.belongs) return false;
  Failure f;
  f.kind = Kind::status;
  f.status = memory_.response.status;
  f.acted = true;
  if (attempt_.count >= request_.pool->config.failover.attempts) return false;
  if (!may_repeat(f, retry_rules(), request_.head.method, !attempt_.replay_overflow)) return false;
  return ((session_.bound || session_.is_keyed()) && attempt_.same_backend_left > 0) || somebody_else();
}

/// Looked into again at twice the time, and so on: a server may hang while its page is slow.
Clock::Steady Attempts::next_doubt() const noexcept {
  constexpr unsigned most = 20;
  return attempt_.last_progress +
         request_.suspect_after * (std::int64_t{1} << std::min(attempt_.doubts, most));
}

void Attempts::doubt() {
  ++attempt_.doubts;
  if (!may_leave()) return;
  Liveness& of = attempt_.member->backend->liveness;
  // What others found a moment ago is good for all: slow pages cost a few probes a second, however many.
  if (of.down() || of.alive_at(turn_.now() - request_.suspect_after / 4)) return;
  worker_.doubters.add(attempt_.doubter, *attempt_.member->backend);
  if (!of.doubt()) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      attempt_.last_progress + request_.timeouts.response - turn_.now());
  worker_.report_doubt(attempt_.member->backend, std::max(left * 3 / 4, std::chrono::milliseconds(1)));
}

/// Once a request: one that hangs whoever serves it must not take out one server after the other.
bool Attempts::may_leave() const noexcept {
  return !attempt_.left_hung && !attempt_.leg && idempotent(request_.head.method) &&
         !attempt_.replay_overflow && !attempt_.member->panic &&
         attempt_.count < request_.pool->config.failover.attempts && somebody_else();
}

/// While the request waited its backend was found to be down; or, with no time left, to be mute so far.
bool Attempts::leaves_hung(bool no_time_left) {
  const Liveness& of = attempt_.member->backend->liveness;
  if (attempt_.doubts == 0 || !(of.down() || (no_time_left && of.mute_since(attempt_.last_progress))) ||
      !may_leave())
    return false;
  attempt_.left_hung = true;
  fail(FailSide::backend, Kind::hung);
  return true;
}

/// Excludes those that were found to be down since the snapshot of this request was made.
void Attempts::pass_over_the_hung() noexcept {
  for (const Member& m : request_.pool->snapshot->members)
    if (m.health != Health::down && m.backend->liveness.down() && !attempt_.tried.contains(m.backend.get()))
      attempt_.tried.add(m.backend.get());
}

bool Attempts::somebody_else() const noexcept {
  for (const Member& m : request_.pool->snapshot->members)
    if (&m != attempt_.member && (session_.is_keyed() ? m.accepts_keyed() : m.accepts_new()) &&
        !attempt_.tried.contains(m.backend.get()))
      return true;
  return false;
}

}  // namespace remora
