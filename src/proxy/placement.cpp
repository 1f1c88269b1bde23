#include "proxy/placement.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;
using What = Recognized::What;
using Action = Decision::Action;

bool Placement::choose_backend() {
  const Failure before = std::exchange(attempt_.failure, Failure{});
  if (before) attempt_.overcome = before.kind;
  if (choose_member(before)) {
    connector_.prefetch(*attempt_.member->backend);
    return true;
  }
  if (reply_.status != 0) return false;  // a lost session has its own local reply
  if (std::exchange(attempt_.stale, false)) {
    // Only an idle connection was dead, perhaps not its backend. With no other backend left, try again over a
    // new connection.
    attempt_.tried.clear();
    if (choose_member(before)) return true;
  }
  if (before.kind != Kind::queue_full && go_to_other_pool()) return true;
  if (reply_.status != 0) return false;
  attempt_.fail(FailSide::self, Kind::no_backend);
  if (before) attempt_.failure = before;
  return false;
}

std::optional<Move> Placement::find_move(const SessionId& id) {
  return worker_.memory->moves.find(id, turn_.clock_reading());
}

/// After a drain's deadline, the remaining sessions move, but only a bounded number per second.
bool Placement::allows_drain() {
  constexpr double moves_per_second = 100;
  return request_.pool->counters->drain.allow(moves_per_second, request_.began);
}

/// Also counts this request as open.
std::optional<std::chrono::milliseconds> Placement::idle_time(const Binding& binding) {
  const auto idle = worker_.memory->active.begin(binding, request_.pool->number,
                                                 request_.pool->config.session, turn_.clock_reading());
  session_.open = OpenSession(worker_.memory->active, binding.id, turn_.clock_reading());
  return idle;
}

bool Placement::allows_rebalance() {
  return request_.pool->counters->rebalance.allow(request_.pool->config.session.rebalance->moves_per_second,
                                                  request_.began);
}

Situation Placement::situation() const noexcept {
  return {*request_.pool, *request_.route, request_.head,
          attempt_.tried, request_.began,  session_.served.begun ? &session_.served.binding : nullptr};
}

bool Placement::choose_member(const Failure& before) {
  if (!before || session_.recognized.what != What::session)
    return carry_out(decide(session_.recognized, situation(), *this));
  if (session_.bound && !attempt_.tried.contains(attempt_.member->backend.get())) return true;
  const Reason why = before.kind == Kind::queue_full       ? Reason::overload
                     : before.kind == Kind::out_of_service ? attempt_.left_for
                                                           : Reason::failover;
  return move_session(decide_move(session_.served.binding, why, situation()));
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
      session_.served.binding.epoch = decision.epoch;
      // From a backend that failed it has moved: concurrent requests follow.
      if (decision.epoch > 1 && decision.by != Decision::By::moved_successor)
        worker_.memory->moves.moved(decision.id, decision.epoch, decision.member->backend->hash,
                                    Reason::failover, request_.pool->config.session, turn_.clock_reading());
      return true;
    case Action::place:
      return place_session(decision.reason);
    case Action::forward:
      return serve_at(decision.member);
    case Action::balance:
      break;
  }
  return serve_at(place_of_own_connection()) ||
         serve_at(request_.balancer().pick(attempt_.tried, Purpose::request));
}

bool Placement::serve_at(const Member* member) noexcept {
  if (member != nullptr) attempt_.member = member;
  return member != nullptr;
}

/// The backend to which this client has a reserved connection: the next leg of its authentication must go
/// there. Null: none.
const Member* Placement::place_of_own_connection() const noexcept {
  if (!connector_.has_reserved()) return nullptr;
  const Connector::Reserved at = connector_.reserved_in(request_.pool->config.name);
  const Member* const m = at.backend != nullptr
                              ? usable_bound(*request_.pool->snapshot, at.backend->hash, attempt_.tried)
                              : nullptr;
  return m != nullptr && (at.leg_due || m->accepts_new()) ? m : nullptr;
}

/// The first choice for a request with a session.
bool Placement::serve_session(const Decision& decision) {
  session_.served.binding = session_.recognized.binding;
  session_.served.refresh = session_.recognized.old_key || session_.recognized.stamp_is_old;
  session_.served.changed = session_.recognized.behind || session_.recognized.stamp_is_late;
  session_.served.came_by_cookie = session_.recognized.came_by_cookie;
  if (decision.action != Action::stay) return move_session(decision);
  session_.served.reason = decision.reason;
  // Another request moved the session here, and the backend may not have been told yet.
  session_.agree = records_.keeps_state() &&
                   worker_.memory->handed.pending(session_.served.binding.id, session_.served.binding.epoch);
  session_.bound = true;
  return serve_at(decision.member);
}

/// Begins a session where the balancer chooses, unless this client's other first requests lead elsewhere.
bool Placement::place_session(Reason reason) {
  if (!may_begin_session()) return false;
  const Member* const own = place_of_own_connection();
  const std::uint64_t client =
      own != nullptr ? 0 : first_requests_key(request_.head, request_.arrival, request_.pool->number);
  const Member* picked = own != nullptr ? own : place_of_first_requests(client);
  if (picked == nullptr) {
    picked = request_.balancer().pick(attempt_.tried, Purpose::session);
    if (client != 0 && picked != nullptr) {
      const std::uint64_t stands =
          worker_.memory->first.settle(client, picked->backend->hash, request_.began);
      const Member* const same = usable_new(*request_.pool->snapshot, stands, attempt_.tried);
      if (same == nullptr) worker_.memory->first.replace(client, picked->backend->hash, request_.began);
      if (same != nullptr) picked = same;
    }
  }
  if (!serve_at(picked)) return false;
  if (connection_.first_placed.backend != picked->backend->hash ||
      connection_.first_placed.pool != request_.pool_index)
    connection_.first_placed = {picked->backend->hash, request_.pool_index, request_.began};
  // A retry begins another session: the backend that failed may have kept something under the former id.
  begin_session(new_session_id(), reason);
  return true;
}

/// A browser's first requests come in parallel and without a session. For one second, requests of one
/// connection, and those of one client with one User-Agent, share a backend, so that each finds what another
/// began. A connection through a proxy does not count, because it serves many clients. Null: no shared
/// backend.
const Member* Placement::place_of_first_requests(std::uint64_t client) noexcept {
  if (connection_.first_placed.backend != 0 && connection_.first_placed.pool == request_.pool_index &&
      request_.began - connection_.first_placed.at <= FirstRequests::together && !request_.arrival.trusted &&
      !request_.comes_through_unknown_proxies())
    return usable_new(*request_.pool->snapshot, connection_.first_placed.backend, attempt_.tried);
  if (client == 0) return nullptr;
  const auto shared = worker_.memory->first.find(client, request_.began);
  return shared ? usable_new(*request_.pool->snapshot, *shared, attempt_.tried) : nullptr;
}

/// Applies `per_client.new_sessions_per_second`. False: 429, and no table gets an entry.
bool Placement::may_begin_session() {
  if (session_.served.begun || !connection_.listener->config.per_client.new_sessions_per_second) return true;
  if (request_.arrival.client.is_unknown()) return true;
  reply_.retry_after =
      connection_.listener->shared->limits.new_session(request_.arrival.client, request_.began);
  if (reply_.retry_after == 0) return true;
  connection_.refuse(Refusal::new_sessions, request_.arrival.client,
                     "over the rate of per_client.new_sessions_per_second allows");
  reply_.status = 429;
  return false;
}

void Placement::begin_session(const SessionId& id, Reason reason) {
  session_.served.binding = born(id, *attempt_.member->backend, turn_.wall_now());
  session_.served.begun = true;
  session_.served.reason = reason;
}

bool Placement::admit_session() {
  if (!request_.has_sessions()) return true;
  lookup_.counts().count(session_.recognized.cause);
  if (is_rejected(session_.recognized)) return lose_session();
  if (session_.recognized.learned && session_.recognized.what == What::session)
    session_.bound_key = session_.recognized.key;
  // A session that expired by our clock is gone, even if the app still has it. If its key begins the next
  // session, the entry stays until then: concurrent requests must find that it expired.
  if (session_.recognized.what == What::nothing && session_.recognized.learned &&
      !session_.recognized.lookup.adopt)
    worker_.memory->learned.forget(session_.recognized.key, session_.recognized.binding.id);
  return true;
}

}  // namespace remora
