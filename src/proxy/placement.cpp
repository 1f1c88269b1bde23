#include "proxy/placement.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;
using What = Recognized::What;
using Action = Decision::Action;

bool Placement::choose_backend() {
  const Failure before = std::exchange(attempt().failure, Failure{});
  if (before) attempt().overcome = before.kind;
  if (choose_member(before)) {
    connector().prefetch(*attempt().member->backend);
    return true;
  }
  if (reply().status != 0) return false;  // a lost session has its own local reply
  if (std::exchange(attempt().stale, false)) {
    // Only an idle connection was dead, perhaps not its backend. With no other backend left, try again over a
    // new connection.
    attempt().tried.clear();
    if (choose_member(before)) return true;
  }
  if (before.kind != Kind::queue_full && go_to_other_pool()) return true;
  if (reply().status != 0) return false;
  attempt().fail(FailSide::self, Kind::no_backend);
  if (before) attempt().failure = before;
  return false;
}

std::optional<Move> Placement::find_move(const SessionId& id) {
  return worker().memory->moves.find(id, turn().clock_reading());
}

Steering Placement::find_steering(const SessionId& id) {
  return worker().memory->steered.find(id, turn().clock_reading());
}

/// After a drain's deadline, the remaining sessions move, but only a bounded number per second.
bool Placement::allows_drain() {
  constexpr double moves_per_second = 100;
  return request().pool->counters->drain.allow(moves_per_second, request().began);
}

/// Also counts this request as open.
std::optional<std::chrono::milliseconds> Placement::idle_time(const Binding& binding) {
  const auto idle = worker().memory->active.begin(binding, request().pool->number,
                                                  request().pool->config.session, turn().clock_reading());
  session().open = OpenSession(worker().memory->active, binding.id, turn().clock_reading());
  return idle;
}

bool Placement::allows_rebalance() {
  return request().pool->counters->rebalance.allow(request().pool->config.session.rebalance->moves_per_second,
                                                   request().began);
}

Situation Placement::situation() const noexcept {
  return {*request().pool, *request().route, request().head,
          attempt().tried, request().began,  session().served.begun ? &session().served.binding : nullptr};
}

/// The app has named the backend of this request (Remora-Replay): its session moves there. One that began
/// with the request begins there instead.
bool Placement::serve_replayed(const Member& member) {
  if (session().recognized.what == What::session) {
    session().bound = false;
    return move_session(steered_move(session().served.binding, member));
  }
  serve_at(&member);
  if (session().served.begun) begin_session(new_session_id(), session().served.reason);
  return true;
}

bool Placement::choose_member(const Failure& before) {
  if (const Member* const named = std::exchange(attempt().replay_to, nullptr)) return serve_replayed(*named);
  if (!before || session().recognized.what != What::session)
    return carry_out(decide(session().recognized, situation(), *this));
  if (session().bound && !attempt().tried.contains(attempt().member->backend.get())) return true;
  const Reason why = before.kind == Kind::queue_full       ? Reason::overload
                     : before.kind == Kind::out_of_service ? attempt().left_for
                                                           : Reason::failover;
  return move_session(decide_move(session().served.binding, why, situation()));
}

bool Placement::carry_out(const Decision& decision) {
  switch (decision.action) {
    case Action::stay:
    case Action::move:
    case Action::reject:
      return serve_session(decision);
    case Action::begin:
      if (!may_begin_session() || !serve_at(decision.member)) return false;
      begin_session(decision.id, decision.reason);
      session().served.binding.epoch = decision.epoch;
      // From a backend that failed it has moved: concurrent requests follow.
      if (decision.epoch > 1 && decision.by != Decision::By::moved_successor)
        worker().memory->moves.moved(decision.id, decision.epoch, decision.member->backend->hash,
                                     Reason::failover, request().pool->config.session,
                                     turn().clock_reading());
      return true;
    case Action::place:
      return place_session(decision.reason);
    case Action::forward:
      return serve_at(decision.member);
    case Action::balance:
      break;
  }
  return serve_at(place_of_own_connection()) ||
         serve_at(request().balancer().pick(attempt().tried, Purpose::request));
}

bool Placement::serve_at(const Member* member) noexcept {
  if (member != nullptr) attempt().member = member;
  return member != nullptr;
}

/// The backend to which this client has a reserved connection: the next leg of its authentication must go
/// there. Null: none.
const Member* Placement::place_of_own_connection() const noexcept {
  if (!connector().has_reserved()) return nullptr;
  const Connector::Reserved at = connector().reserved_in(request().pool->config.name);
  const Member* const m = at.backend != nullptr
                              ? usable_bound(*request().pool->snapshot, at.backend->hash, attempt().tried)
                              : nullptr;
  return m != nullptr && (at.leg_due || m->accepts_new()) ? m : nullptr;
}

/// The first choice for a request with a session.
bool Placement::serve_session(const Decision& decision) {
  session().served.binding = session().recognized.binding;
  session().served.refresh = session().recognized.old_key || session().recognized.stamp_is_old;
  session().served.changed = session().recognized.behind || session().recognized.stamp_is_late;
  session().served.came_by_cookie = session().recognized.came_by_cookie;
  if (decision.action != Action::stay) return move_session(decision);
  session().served.reason = decision.reason;
  // Another request moved the session here, and the backend may not have been told yet.
  session().agree = records_.keeps_state() && worker().memory->handed.pending(session().served.binding.id,
                                                                              session().served.binding.epoch);
  session().bound = true;
  return serve_at(decision.member);
}

/// Begins a session where the balancer chooses, unless this client's other first requests lead elsewhere.
bool Placement::place_session(Reason reason) {
  if (!may_begin_session()) return false;
  const Member* const own = place_of_own_connection();
  const std::uint64_t client =
      own != nullptr ? 0 : first_requests_key(request().head, request().arrival, request().pool->number);
  const Member* picked = own != nullptr ? own : place_of_first_requests(client);
  if (picked == nullptr) {
    picked = request().balancer().pick(attempt().tried, Purpose::session);
    if (client != 0 && picked != nullptr) {
      const std::uint64_t stands =
          worker().memory->first.settle(client, picked->backend->hash, request().began);
      const Member* const same = usable_new(*request().pool->snapshot, stands, attempt().tried);
      if (same == nullptr) worker().memory->first.replace(client, picked->backend->hash, request().began);
      if (same != nullptr) picked = same;
    }
  }
  if (!serve_at(picked)) return false;
  if (connection().first_placed.backend != picked->backend->hash ||
      connection().first_placed.pool != request().pool_index)
    connection().first_placed = {picked->backend->hash, request().pool_index, request().began};
  // A retry begins another session: the backend that failed may have kept something under the former id.
  begin_session(new_session_id(), reason);
  return true;
}

/// A browser's first requests come in parallel and without a session. For one second, requests of one
/// connection, and those of one client with one User-Agent, share a backend, so that each finds what another
/// began. A connection through a proxy does not count, because it serves many clients. Null: no shared
/// backend.
const Member* Placement::place_of_first_requests(std::uint64_t client) noexcept {
  if (connection().first_placed.backend != 0 && connection().first_placed.pool == request().pool_index &&
      request().began - connection().first_placed.at <= FirstRequests::together &&
      !request().arrival.trusted && !request().comes_through_unknown_proxies())
    return usable_new(*request().pool->snapshot, connection().first_placed.backend, attempt().tried);
  if (client == 0) return nullptr;
  const auto shared = worker().memory->first.find(client, request().began);
  return shared ? usable_new(*request().pool->snapshot, *shared, attempt().tried) : nullptr;
}

/// Applies `per_client.new_sessions_per_second`. False: 429, and no table gets an entry.
bool Placement::may_begin_session() {
  if (session().served.begun || !connection().listener->config.per_client.new_sessions_per_second)
    return true;
  if (request().arrival.client.is_unknown()) return true;
  reply().retry_after =
      connection().listener->shared->limits.new_session(request().arrival.client, request().began);
  if (reply().retry_after == 0) return true;
  connection().refuse(Refusal::new_sessions, request().arrival.client,
                      "over the rate of per_client.new_sessions_per_second allows");
  reply().status = 429;
  return false;
}

void Placement::begin_session(const SessionId& id, Reason reason) {
  session().served.binding = born(id, *attempt().member->backend, turn().wall_now());
  session().served.begun = true;
  session().served.reason = reason;
}

bool Placement::admit_session() {
  if (!request().has_sessions()) return true;
  lookup_.counts().count(session().recognized.cause);
  if (is_rejected(session().recognized)) return lose_session();
  if (session().recognized.learned && session().recognized.what == What::session)
    session().bound_key = session().recognized.key;
  // A session that expired by our clock is gone, even if the app still has it. If its key begins the next
  // session, the entry stays until then: concurrent requests must find that it expired.
  if (session().recognized.what == What::nothing && session().recognized.learned &&
      !session().recognized.lookup.adopt)
    worker().memory->learned.forget(session().recognized.key, session().recognized.binding.id);
  return true;
}

}  // namespace remora
