// Whether and where a request is retried; and how a hung backend is distinguished from a slow page: a backend
// that keeps a request waiting is probed at once. If two probes fail, the request goes to another backend
// instead of ending in 504.

#include "proxy/attempts.h"

#include <algorithm>

#include "http/connection_auth.h"
#include "http/grpc.h"
#include "util/prefetch.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

bool Attempts::try_again() {
  // An attempt that never reached a backend caused no load, so its retry needs no budget.
  const bool unprocessed = attempt_.failure.kind == Kind::unprocessed;
  bool costs = attempt_.failure.acted, connection_was_stale = false;
  if (attempt_.failure.kind == Kind::reset && backend_->has_connection() && backend_->is_reused()) {
    attempt_.stale = connection_was_stale = !attempt_.fresh_only;
    // Free once per request: a backend's restart breaks all its idle connections at once.
    costs = costs && attempt_.fresh_only;
    attempt_.fresh_only = true;
  }
  // A retry after a hang moves load away from a dead backend.
  if (attempt_.failure.kind == Kind::hung) costs = false;
  backend_->abort();
  backend_.release();
  attempt_.permit.free();
  // A handshake ends with its connection: close, so that the client starts over on a new one.
  if (attempt_.leg) {
    attempt_.handshake_lost = true;
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
  if (costs && !take_retry()) return false;
  // A keyed request stays on its backend while that lives. But a backend that refuses connections is not
  // tried twice.
  const bool nobody =
      attempt_.failure.kind == Kind::refused || attempt_.failure.kind == Kind::connect_timeout;
  const bool stays =
      (session_.bound || (session_.is_keyed() && !nobody)) && attempt_.failure.kind != Kind::hung;
  if (unprocessed && !std::exchange(attempt_.was_unprocessed, true)) {
    // The same backend, once: its connection was full, or said goodbye.
  } else if (stays && attempt_.same_backend_left > 0) {
    --attempt_.same_backend_left;  // same backend once more (`bound_same_backend`), then another
  } else if (!stays || !connection_was_stale) {  // a dead idle connection says nothing about its backend
    attempt_.tried.add(attempt_.member->backend.get());
    attempt_.stale = attempt_.stale || unprocessed;  // with no other backend left: the same
  }
  if (attempt_.failure.kind == Kind::hung) pass_over_the_hung();
  attempt_.replay_at = 0;
  attempt_.request_broken = false;
  return true;
}

/// Counts the request in the pool's retry budget, once. False: the budget is used up.
bool Attempts::take_retry() {
  if (attempt_.retry) return true;
  std::uint32_t in_flight = attempt_.permit ? 0 : 1;  // this request, if its permit was released
  for (const Member& m : request_.pool->snapshot->members)
    in_flight += m.backend->in_flight.load(std::memory_order_relaxed);
  PoolCounters& counters = *request_.pool->counters;
  const std::uint32_t retrying = counters.retrying.load(std::memory_order_relaxed);
  if (!within_budget(retrying, in_flight, request_.pool->config.failover.budget) &&
      !counters.retry_reserve.take(turn_.now()))
    return false;
  attempt_.retry = CountedRetry(request_.pool->counters);
  return true;
}

const config::RetryOn& Attempts::retry_rules() const noexcept {
  const config::Failover& rules = request_.pool->config.failover;
  return session_.bound || session_.is_keyed() ? rules.bound_retry_on : rules.retry_on;
}

/// The failure that a response stands for: a 502, 503 or 504, or gRPC's UNAVAILABLE. `none`: it is delivered
/// unchanged, because no rule retries it, there is no backend to retry on, or the budget forbids it.
Failure::Kind Attempts::retried_response() {
  Failure f;
  f.status = memory_.response.status;
  f.acted = true;
  if (f.status >= 502 && f.status <= 504)
    f.kind = Kind::status;
  else if (request_.grpc && is_grpc_unavailable(memory_.response))
    f.kind = Kind::grpc_unavailable;
  if (f.kind == Kind::none || attempt_.belongs) return Kind::none;
  if (attempt_.count >= request_.pool->config.failover.attempts) return Kind::none;
  if (!may_repeat(f, retry_rules(), request_.head.method, !attempt_.replay_overflow)) return Kind::none;
  const bool stays = (session_.bound || session_.is_keyed()) && attempt_.same_backend_left > 0;
  const bool retried = (stays || somebody_else()) && !client_.gone() && take_retry();
  return retried ? f.kind : Kind::none;
}

/// Doubt is repeated after 1, 2, 4... times `suspect_after`: a backend may hang later, while it works on a
/// slow page.
Clock::Steady Attempts::next_suspicion() const noexcept {
  constexpr unsigned most = 20;
  if (attempt_.suspicions > most) return Clock::Steady::max();
  return attempt_.last_progress + request_.suspect_after * (std::int64_t{1} << attempt_.suspicions);
}

void Attempts::suspect() {
  ++attempt_.suspicions;
  if (!may_leave()) return;
  Liveness& of = attempt_.member->backend->liveness;
  // A recent result counts for all requests: however many pages are slow, they cost a few probes per second.
  if (of.down() || of.alive_at(turn_.now() - request_.suspect_after / 4)) return;
  worker_.suspect_waiters.add(attempt_.suspect_waiter, *attempt_.member->backend);
  if (!of.suspect()) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      attempt_.last_progress + request_.timeouts.response - turn_.now());
  worker_.report_suspect(attempt_.member->backend, std::max(left * 3 / 4, std::chrono::milliseconds(1)));
}

/// True: a hung backend may be left for another. Only once per request: a request that hangs every backend
/// must not take out one after another.
bool Attempts::may_leave() const noexcept {
  return !attempt_.left_hung && !attempt_.leg && idempotent(request_.head.method) &&
         !attempt_.replay_overflow && !attempt_.member->panic &&
         attempt_.count < request_.pool->config.failover.attempts && somebody_else();
}

/// True: the backend was found down while the request waited; or, at the response timeout (`no_time_left`),
/// probes of it have failed and none has passed since. Sets the failure `hung`.
bool Attempts::leaves_hung(bool no_time_left) {
  const Liveness& of = attempt_.member->backend->liveness;
  if (attempt_.suspicions == 0 || !(of.down() || (no_time_left && of.mute_since(attempt_.last_progress))) ||
      !may_leave())
    return false;
  attempt_.left_hung = true;
  fail(FailSide::backend, Kind::hung);
  return true;
}

/// Also excludes backends that were found down after this request's snapshot was made.
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
