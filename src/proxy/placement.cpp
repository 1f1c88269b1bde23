#include "proxy/placement.h"

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "proxy/split.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;
using What = Recognised::What;
using Family = Affinity::Family;

bool Placement::choose_backend() {
  const Failure before = std::exchange(attempt_.failure, Failure{});
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
  if (before.kind != Kind::queue_full && go_to_sister()) return true;
  if (reply_.status != 0) return false;
  attempt_.fail(FailSide::self, Kind::no_backend);
  if (before) attempt_.failure = before;
  return false;
}

bool Placement::choose_member(const Failure& before) {
  switch (session_.recognised.what) {
    case What::session:
      return choose_for_session(before);
    case What::unbound:
      return choose_for_unbound();
    case What::derived:
      return serve_at(rendezvous(session_.recognised.derived.hash, *request_.pool->snapshot, attempt_.tried,
                                 session_.recognised.derived.bounded_load));
    case What::detached:
      return serve_at(usable_bound(session_.recognised.binding.backend)) ||
             serve_at(place_of_own_connection()) ||
             serve_at(request_.balancer().pick(attempt_.tried, Purpose::request));
    case What::nothing:
    case What::lost:
      break;
  }
  return place_new();
}

bool Placement::serve_at(const Member* member) noexcept {
  if (member != nullptr) attempt_.member = member;
  return member != nullptr;
}

const Member* Placement::usable_bound(std::uint64_t backend) const noexcept {
  const Member* const m = request_.pool->snapshot->find(backend);
  return m != nullptr && m->accepts_bound() && !attempt_.tried.contains(m->backend.get()) ? m : nullptr;
}

/// The backend to which this client has a reserved connection: the next leg of its authentication must go
/// there. Null: none.
const Member* Placement::place_of_own_connection() const noexcept {
  if (!connector_.has_reserved()) return nullptr;
  const Connector::Reserved at = connector_.reserved_in(request_.pool->config.name);
  const Member* const m = at.backend != nullptr ? usable_bound(at.backend->hash) : nullptr;
  return m != nullptr && (at.leg_due || m->accepts_new()) ? m : nullptr;
}

bool Placement::choose_for_session(const Failure& before) {
  if (!before) {
    session_.served.binding = session_.recognised.binding;
    session_.served.refresh = session_.recognised.old_key || session_.recognised.stamp_is_old;
    session_.served.changed = session_.recognised.behind || session_.recognised.stamp_is_late;
    session_.served.came_by_cookie = session_.recognised.came_by_cookie;
    // If the client's token is older than a move, this request counts as the one that moved.
    session_.served.reason =
        session_.recognised.moved_for == Reason::none ? Reason::sticky : session_.recognised.moved_for;
    attempt_.member = request_.pool->snapshot->find(session_.served.binding.backend);
    Reason why = reason_to_move(attempt_.member, session_.served.binding);
    if (why == Reason::none && should_leave()) why = Reason::drain;
    if (why == Reason::none && wants_rebalance()) why = Reason::rebalance;
    // A move that can wait is dropped if the backend still serves and no other can take the session.
    const bool may_wait = why == Reason::drain || why == Reason::rebalance || why == Reason::overload;
    if (may_wait && attempt_.member->accepts_bound() && target_of_move(why) == nullptr) why = Reason::none;
    // Another request moved the session here, and the backend may not have been told yet.
    session_.agree =
        why == Reason::none && records_.keeps_state() &&
        worker_.memory->handed.pending(session_.served.binding.id, session_.served.binding.epoch);
    session_.bound = why == Reason::none;
    return session_.bound || move_session(why);
  }
  if (session_.bound && !attempt_.tried.contains(attempt_.member->backend.get())) return true;
  return move_session(before.kind == Kind::queue_full ? Reason::overload : Reason::failover);
}

/// For an unknown id of the app: the backend that the id itself names, else the rendezvous choice of its key,
/// which is the same on every worker and replica.
bool Placement::choose_for_unbound() {
  const Lookup& lookup = session_.recognised.lookup;
  const Member* to = lookup.route != 0 ? usable_bound(lookup.route) : nullptr;
  if (to == nullptr) to = rendezvous(lookup.key.hash(), *request_.pool->snapshot, attempt_.tried);
  if (!may_begin_session() || !serve_at(to)) return false;
  begin_session(id_from_key(lookup.key), Reason::new_);
  return true;
}

bool Placement::place_new() {
  const bool begins = request_.has_sessions() && !lookup_.view().preflight &&
                      std::any_of(request_.pool->affinity.begin(), request_.pool->affinity.end(),
                                  [](const auto& kind) { return kind->family() != Family::derived; });
  const Member* const own = place_of_own_connection();
  if (!begins)
    return serve_at(own != nullptr ? own : request_.balancer().pick(attempt_.tried, Purpose::request));
  if (!may_begin_session()) return false;
  const bool over = session_.recognised.cause == Cause::idle || session_.recognised.cause == Cause::too_old;
  if (over && place_successor()) return true;
  const std::uint64_t client = own != nullptr ? 0 : first_requests_of();
  const Member* picked = own != nullptr ? own : place_of_first_requests(client);
  if (picked == nullptr) {
    picked = request_.balancer().pick(attempt_.tried, Purpose::session);
    if (client != 0 && picked != nullptr) {
      const std::uint64_t stands =
          worker_.memory->first.settle(client, picked->backend->hash, request_.began);
      const Member* const same = usable_new(stands);
      if (same == nullptr) worker_.memory->first.replace(client, picked->backend->hash, request_.began);
      if (same != nullptr) picked = same;
    }
  }
  if (!serve_at(picked)) return false;
  if (connection_.first_placed.backend != picked->backend->hash ||
      connection_.first_placed.pool != request_.pool_index)
    connection_.first_placed = {picked->backend->hash, request_.pool_index, request_.began};
  // A retry begins another session: the backend that failed may have kept something under the former id.
  begin_session(new_session_id(), over ? Reason::expired : Reason::new_);
  return true;
}

/// The request's session has just expired: concurrent requests begin the same successor, on every worker and
/// replica. False: the successor is over too, or no backend can take it; begin a new session.
bool Placement::place_successor() {
  const SessionId id = session_.served.begun ? session_.served.binding.id
                                             : successor(session_.recognised.binding.id, turn_.wall_now());
  if (session_.recognised.learned) {
    // The same id and backend as for later requests, which come when the app's id is forgotten here.
    const SessionId later = id_from_key(session_.recognised.key);
    if (!serve_at(rendezvous(session_.recognised.key.hash(), *request_.pool->snapshot, attempt_.tried)))
      return false;
    begin_session(later == session_.recognised.binding.id ? id : later, Reason::expired);
    return true;
  }
  const auto known = worker_.memory->moves.find(id, turn_.moment());
  if (known && (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed)) return false;
  const bool went_on = known && known->kind == Move::Kind::moved;
  const Member* to = went_on ? usable_bound(known->backend) : nullptr;
  const bool follows = to != nullptr;
  if (!follows)
    to = rendezvous_if(id.hash(), *request_.pool->snapshot,
                       [&](const Member& m) { return !attempt_.tried.contains(m.backend.get()); });
  if (!serve_at(to)) return false;
  const std::uint32_t failed = session_.served.begun ? session_.served.binding.epoch : 0;
  begin_session(id, Reason::expired);
  Binding& b = session_.served.binding;
  b.epoch = follows ? known->epoch : std::max(failed, went_on ? known->epoch : 0) + 1;
  // From a backend that failed it has moved: concurrent requests follow.
  if (!follows && b.epoch > 1)
    worker_.memory->moves.moved(id, b.epoch, b.backend, Reason::failover, request_.pool->config.session,
                                turn_.moment());
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
    return usable_new(connection_.first_placed.backend);
  if (client == 0) return nullptr;
  const auto shared = worker_.memory->first.find(client, request_.began);
  return shared ? usable_new(*shared) : nullptr;
}

const Member* Placement::usable_new(std::uint64_t backend) const noexcept {
  const Member* const m = request_.pool->snapshot->find(backend);
  return m != nullptr && m->accepts_new() && !attempt_.tried.contains(m->backend.get()) ? m : nullptr;
}

/// A hash of client address, User-Agent and pool; 0: the client is unknown. Clients without a User-Agent
/// share nothing.
std::uint64_t Placement::first_requests_of() const noexcept {
  const ClientAddress& client = request_.arrival.client;
  const bool unknown =
      std::all_of(std::begin(client.bytes), std::end(client.bytes), [](std::uint8_t b) { return b == 0; });
  const bool is_proxy =
      request_.arrival.trusted
          ? std::equal(std::begin(client.bytes), std::end(client.bytes), request_.arrival.peer.bytes)
          : request_.comes_through_unknown_proxies();
  if (unknown || is_proxy) return 0;
  for (const Field& f : request_.head.fields) {
    if (f.known != Known::other || f.value.empty() || !iequals(f.name, "user-agent")) continue;
    const std::uint64_t address =
        hash_text({reinterpret_cast<const char*>(client.bytes), sizeof client.bytes});
    return (hash_text(f.value) * 0x9e3779b97f4a7c15ULL ^ address) + request_.pool->number + 1;
  }
  return 0;
}

/// Applies `per_client.new_sessions_per_second`. False: 429, and no table gets an entry.
bool Placement::may_begin_session() {
  if (session_.served.begun || !connection_.listener->config.per_client.new_sessions_per_second) return true;
  if (request_.arrival.client.is_unknown()) return true;
  reply_.retry_after =
      connection_.listener->shared->limits.new_session(request_.arrival.client, request_.began);
  if (reply_.retry_after == 0) return true;
  connection_.refuse(Refusal::new_sessions, request_.arrival.client,
                     "more a second than per_client.new_sessions_per_second allows");
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
  lookup_.counts().count(session_.recognised.cause);
  if (session_.recognised.what == What::lost) return lose_session();
  if (session_.recognised.what == What::unbound && session_.recognised.lookup.reject_unknown)
    return lose_session();
  if (session_.recognised.learned && session_.recognised.what == What::session)
    session_.bound_key = session_.recognised.key;
  // A session that expired by our clock is gone, even if the app still has it.
  if (session_.recognised.what == What::nothing && session_.recognised.learned)
    worker_.memory->learned.forget(session_.recognised.key, session_.recognised.binding.id);
  return true;
}

}  // namespace remora
