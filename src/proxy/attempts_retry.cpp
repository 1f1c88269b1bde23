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
  const bool unprocessed = attempt().failure.kind == Kind::unprocessed;
  bool costs = attempt().failure.acted, connection_was_stale = false;
  if (attempt().failure.kind == Kind::reset && backend()->has_connection() && backend()->is_reused()) {
    attempt().stale = connection_was_stale = !attempt().fresh_only;
    // Free once per request: a backend's restart breaks all its idle connections at once.
    costs = costs && attempt().fresh_only;
    attempt().fresh_only = true;
  }
  // A retry after a hang moves load away from a dead backend.
  if (attempt().failure.kind == Kind::hung) costs = false;
  backend()->abort();
  backend().release();
  attempt().permit.free();
  // A handshake ends with its connection: close, so that the client starts over on a new one.
  if (attempt().leg) {
    attempt().handshake_lost = true;
    return false;
  }
  if (attempt().failure.kind == Kind::queue_full) {
    if (!session().bound || request().pool->config.session.on_full != config::OnFull::move) return false;
    attempt().tried.add(attempt().member->backend.get());
    return true;
  }
  if (attempt().failure.kind == Kind::out_of_service) {
    attempt().tried.add(attempt().member->backend.get());
    return attempt().tried.contains(attempt().member->backend.get());
  }
  if (attempt().failure.kind == Kind::replayed) {
    rewind();
    return true;
  }
  const config::Failover& rules = request().pool->config.failover;
  if (attempt().failure.side != FailSide::backend || attempt().count >= rules.attempts || client().gone())
    return false;
  if (!may_repeat(attempt().failure, retry_rules(), request().head.method, !attempt().replay_overflow))
    return false;
  if (costs && !take_retry()) return false;
  // A keyed request stays on its backend while that lives. But a backend that refuses connections is not
  // tried twice.
  const bool nobody =
      attempt().failure.kind == Kind::refused || attempt().failure.kind == Kind::connect_timeout;
  const bool stays =
      (session().bound || (session().is_keyed() && !nobody)) && attempt().failure.kind != Kind::hung;
  if (unprocessed && !std::exchange(attempt().was_unprocessed, true)) {
    // The same backend, once: its connection was full, or said goodbye.
  } else if (stays && attempt().same_backend_left > 0) {
    --attempt().same_backend_left;  // same backend once more (`bound_same_backend`), then another
  } else if (!stays || !connection_was_stale) {  // a dead idle connection says nothing about its backend
    attempt().tried.add(attempt().member->backend.get());
    attempt().stale = attempt().stale || unprocessed;  // with no other backend left: the same
  }
  if (attempt().failure.kind == Kind::hung) pass_over_the_hung();
  rewind();
  return true;
}

/// The request is sent from its start.
void Attempts::rewind() noexcept {
  attempt().replay_at = 0;
  attempt().request_broken = false;
}

/// Counts the request in the pool's retry budget, once. False: the budget is used up.
bool Attempts::take_retry() {
  if (attempt().retry) return true;
  std::uint32_t in_flight = attempt().permit ? 0 : 1;  // this request, if its permit was released
  for (const Member& m : request().pool->snapshot->members)
    in_flight += m.backend->in_flight.load(std::memory_order_relaxed);
  PoolCounters& counters = *request().pool->counters;
  const std::uint32_t retrying = counters.retrying.load(std::memory_order_relaxed);
  if (!within_budget(retrying, in_flight, request().pool->config.failover.budget) &&
      !counters.retry_reserve.take(turn().now()))
    return false;
  attempt().retry = CountedRetry(request().pool->counters);
  return true;
}

const config::RetryOn& Attempts::retry_rules() const noexcept {
  const config::Failover& rules = request().pool->config.failover;
  return session().bound || session().is_keyed() ? rules.bound_retry_on : rules.retry_on;
}

/// The failure that a response stands for: a 502, 503 or 504, or gRPC's UNAVAILABLE. `none`: it is delivered
/// unchanged, because no rule retries it, there is no backend to retry on, or the budget forbids it.
Failure::Kind Attempts::retried_response() {
  if (is_to_be_replayed()) return Kind::replayed;
  Failure f;
  f.status = memory().response.status;
  f.acted = true;
  if (f.status >= 502 && f.status <= 504)
    f.kind = Kind::status;
  else if (request().grpc && is_grpc_unavailable(memory().response))
    f.kind = Kind::grpc_unavailable;
  if (f.kind == Kind::none || attempt().belongs) return Kind::none;
  if (attempt().count >= request().pool->config.failover.attempts) return Kind::none;
  if (!may_repeat(f, retry_rules(), request().head.method, !attempt().replay_overflow)) return Kind::none;
  const bool stays = (session().bound || session().is_keyed()) && attempt().same_backend_left > 0;
  const bool retried = (stays || somebody_else()) && !client().gone() && take_retry();
  return retried ? f.kind : Kind::none;
}

/// The app answers that it did nothing, and which backend is to serve the request instead (Remora-Replay).
/// Once a request, and only if its body was kept. A backend that is unknown, the same, or takes no sessions
/// is counted, and the response goes out as it is.
bool Attempts::is_to_be_replayed() {
  const std::string_view wanted = read_replay(memory().response.fields);
  if (wanted.empty()) return false;
  const auto& members = request().pool->snapshot->members;
  const auto named =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.backend->id == wanted; });
  const bool fits = named != members.end() && &*named != attempt().member && named->accepts_new() &&
                    !attempt().tried.contains(named->backend.get());
  if (!fits || attempt().replayed || attempt().replay_overflow || attempt().belongs || client().gone()) {
    request().pool->counters->sessions[worker().index].count(SessionEvent::misdirected);
    return false;
  }
  attempt().replayed = true;
  attempt().replay_to = &*named;
  return true;
}

/// Doubt is repeated after 1, 2, 4... times `suspect_after`: a backend may hang later, while it works on a
/// slow page.
Clock::Steady Attempts::next_suspicion() const noexcept {
  constexpr unsigned most = 20;
  if (attempt().suspicions > most) return Clock::Steady::max();
  return attempt().last_progress + request().suspect_after * (std::int64_t{1} << attempt().suspicions);
}

void Attempts::suspect() {
  ++attempt().suspicions;
  if (!may_leave()) return;
  Liveness& of = attempt().member->backend->liveness;
  // A recent result counts for all requests: however many pages are slow, they cost a few probes per second.
  if (of.down() || of.alive_at(turn().now() - request().suspect_after / 4)) return;
  worker().suspect_waiters.add(attempt().suspect_waiter, *attempt().member->backend);
  if (!of.suspect()) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      attempt().last_progress + request().timeouts.response - turn().now());
  worker().report_suspect(attempt().member->backend, std::max(left * 3 / 4, std::chrono::milliseconds(1)));
}

/// True: a hung backend may be left for another. Only once per request: a request that hangs every backend
/// must not take out one after another.
bool Attempts::may_leave() const noexcept {
  return !attempt().left_hung && !attempt().leg && idempotent(request().head.method) &&
         !attempt().replay_overflow && !attempt().member->panic &&
         attempt().count < request().pool->config.failover.attempts && somebody_else();
}

/// True: the backend was found down while the request waited; or, at the response timeout (`no_time_left`),
/// probes of it have failed and none has passed since. Sets the failure `hung`.
bool Attempts::leaves_hung(bool no_time_left) {
  const Liveness& of = attempt().member->backend->liveness;
  if (attempt().suspicions == 0 || !(of.down() || (no_time_left && of.mute_since(attempt().last_progress))) ||
      !may_leave())
    return false;
  attempt().left_hung = true;
  fail(FailSide::backend, Kind::hung);
  return true;
}

/// Also excludes backends that were found down after this request's snapshot was made.
void Attempts::pass_over_the_hung() noexcept {
  for (const Member& m : request().pool->snapshot->members)
    if (m.health != Health::down && m.backend->liveness.down() && !attempt().tried.contains(m.backend.get()))
      attempt().tried.add(m.backend.get());
}

bool Attempts::somebody_else() const noexcept {
  for (const Member& m : request().pool->snapshot->members)
    if (&m != attempt().member && (session().is_keyed() ? m.accepts_keyed() : m.accepts_new()) &&
        !attempt().tried.contains(m.backend.get()))
      return true;
  return false;
}

}  // namespace remora
