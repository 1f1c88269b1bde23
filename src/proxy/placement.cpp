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
    worker_.idle.expect(*attempt_.member->backend);
    return true;
  }
  if (reply_.status != 0) return false;  // a lost session has its own answer
  if (std::exchange(attempt_.stale, false)) {
    // Only a connection was dead, perhaps not its backend: with nobody else left, once more over a fresh one.
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

/// Where the client has a connection of its own: the next leg of its authentication belongs there.
const Member* Placement::place_of_own_connection() const noexcept {
  if (connection_.own() == nullptr) return nullptr;
  const BoundConnections::Place at = connection_.own()->place_in(request_.pool->config.name);
  const Member* const m = at.backend != nullptr ? usable_bound(at.backend->hash) : nullptr;
  return m != nullptr && (at.leg_due || m->accepts_new()) ? m : nullptr;
}

bool Placement::choose_for_session(const Failure& before) {
  if (!before) {
    session_.served.binding = session_.recognised.binding;
    session_.served.refresh = session_.recognised.old_key || session_.recognised.stamp_is_old;
    session_.served.changed = session_.recognised.behind || session_.recognised.stamp_is_late;
    session_.served.came_by_cookie = session_.recognised.came_by_cookie;
    // The client's token is from before a move: for it, this is the request that moved.
    session_.served.reason =
        session_.recognised.moved_for == Reason::none ? Reason::sticky : session_.recognised.moved_for;
    attempt_.member = request_.pool->snapshot->find(session_.served.binding.backend);
    Reason why = reason_to_move(attempt_.member, session_.served.binding);
    if (why == Reason::none && should_leave()) why = Reason::drain;
    if (why == Reason::none && wants_rebalance()) why = Reason::rebalance;
    // What may as well wait is no reason to leave a server that serves, with nobody to take it.
    const bool may_wait = why == Reason::drain || why == Reason::rebalance || why == Reason::overload;
    if (may_wait && attempt_.member->accepts_bound() && target_of_move(why) == nullptr) why = Reason::none;
    // Another request moved it here, and the backend may not have heard of it yet.
    session_.agree =
        why == Reason::none && records_.keeps_state() &&
        worker_.memory->handed.pending(session_.served.binding.id, session_.served.binding.epoch);
    session_.bound = why == Reason::none;
    return session_.bound || move_session(why);
  }
  if (session_.bound && !attempt_.tried.contains(attempt_.member->backend.get())) return true;
  return move_session(before.kind == Kind::queue_full ? Reason::overload : Reason::failover);
}

/// An id of the app that nothing is known of: the server that the id itself names, else the rendezvous choice
/// of its key, which is the same on every worker and replica.
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
  begin_session(session_.served.begun ? session_.served.binding.id : new_session_id(),
                over ? Reason::expired : Reason::new_);
  return true;
}

/// The session of this request has just expired: those that come beside it begin the same one, on every
/// worker and replica. False: that one is over too, and a new one is to begin.
bool Placement::place_successor() {
  const SessionId id = session_.served.begun ? session_.served.binding.id
                                             : successor(session_.recognised.binding.id, turn_.wall_now());
  if (session_.recognised.learned) {
    // Where those go that come later, when nothing is known of the app's id any more.
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
  begin_session(id, Reason::expired);
  if (went_on) session_.served.binding.epoch = follows ? known->epoch : known->epoch + 1;
  return true;
}

/// A browser's first requests come in parallel and without a session: for a second those of one connection
/// share a backend, and those of one client with one User-Agent, so that what one of them begins, the others
/// find. A connection through a proxy is many clients'.
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

/// Whose first request this is; 0: nobody can tell. Programs that do not say what they are share nothing.
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

/// `per_client.new_sessions_per_second`. Whoever may not gets a 429, and keeps no place in any table.
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
  // What has expired by our clock is gone, whatever the app thinks of it.
  if (session_.recognised.what == What::nothing && session_.recognised.learned)
    worker_.memory->learned.forget(session_.recognised.key, session_.recognised.binding.id);
  return true;
}

}  // namespace remora
