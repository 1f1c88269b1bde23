// Where a session is served: at its backend, at the one that it moves to, or at a new one's.

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "proxy/exchange.h"
#include "util/hash.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using What = Recognised::What;
using Family = Affinity::Family;

bool Exchange::choose_member(const Failure& before) {
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
             serve_at(balancer().pick(attempt_.tried, Purpose::request));
    case What::nothing:
    case What::lost:
      break;
  }
  return place_new();
}

bool Exchange::serve_at(const Member* member) noexcept {
  if (member != nullptr) attempt_.member = member;
  return member != nullptr;
}

const Member* Exchange::usable_bound(std::uint64_t backend) const noexcept {
  const Member* const m = request_.pool->snapshot->find(backend);
  return m != nullptr && m->accepts_bound() && !attempt_.tried.contains(m->backend.get()) ? m : nullptr;
}

/// Where the client has a connection of its own: the next leg of its authentication belongs there.
const Member* Exchange::place_of_own_connection() const noexcept {
  if (own_connections() == nullptr) return nullptr;
  const BoundConnections::Place at = own_connections()->place_in(request_.pool->config.name);
  const Member* const m = at.backend != nullptr ? usable_bound(at.backend->hash) : nullptr;
  return m != nullptr && (at.leg_due || m->accepts_new()) ? m : nullptr;
}

/// Past its backend's drain deadline a session moves with its next request: a bounded number per second, and
/// only if somebody else can take it.
bool Exchange::should_leave() const noexcept {
  constexpr double moves_per_second = 100;
  return attempt_.member->leaving && target_of_move(Reason::drain) != nullptr &&
         request_.pool->counters->drain.allow(moves_per_second, request_.began);
}

bool Exchange::choose_for_session(const Failure& before) {
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
        why == Reason::none && keeps_state() &&
        worker_.memory->handed.pending(session_.served.binding.id, session_.served.binding.epoch);
    session_.bound = why == Reason::none;
    return session_.bound || move_session(why);
  }
  if (session_.bound && !attempt_.tried.contains(attempt_.member->backend.get())) return true;
  return move_session(before.kind == Kind::queue_full ? Reason::overload : Reason::failover);
}

/// An id of the app that nothing is known of: the server that the id itself names, else the rendezvous choice
/// of its key, which is the same on every worker and replica.
bool Exchange::choose_for_unbound() {
  const Lookup& lookup = session_.recognised.lookup;
  const Member* to = lookup.route != 0 ? usable_bound(lookup.route) : nullptr;
  if (to == nullptr) to = rendezvous(lookup.key.hash(), *request_.pool->snapshot, attempt_.tried);
  if (!may_begin_session() || !serve_at(to)) return false;
  begin_session(id_from_key(lookup.key), Reason::new_);
  return true;
}

bool Exchange::place_new() {
  const bool begins = has_sessions() && !view().preflight &&
                      std::any_of(request_.pool->affinity.begin(), request_.pool->affinity.end(),
                                  [](const auto& kind) { return kind->family() != Family::derived; });
  const Member* const own = place_of_own_connection();
  if (!begins) return serve_at(own != nullptr ? own : balancer().pick(attempt_.tried, Purpose::request));
  if (!may_begin_session()) return false;
  const bool over = session_.recognised.cause == Cause::idle || session_.recognised.cause == Cause::too_old;
  if (over && place_successor()) return true;
  const std::uint64_t client = own != nullptr ? 0 : first_requests_of();
  const Member* picked = own != nullptr ? own : place_of_first_requests(client);
  if (picked == nullptr) {
    picked = balancer().pick(attempt_.tried, Purpose::session);
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
bool Exchange::place_successor() {
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
const Member* Exchange::place_of_first_requests(std::uint64_t client) noexcept {
  if (connection_.first_placed.backend != 0 && connection_.first_placed.pool == request_.pool_index &&
      request_.began - connection_.first_placed.at <= FirstRequests::together && !request_.arrival.trusted &&
      !comes_through_strangers())
    return usable_new(connection_.first_placed.backend);
  if (client == 0) return nullptr;
  const auto shared = worker_.memory->first.find(client, request_.began);
  return shared ? usable_new(*shared) : nullptr;
}

const Member* Exchange::usable_new(std::uint64_t backend) const noexcept {
  const Member* const m = request_.pool->snapshot->find(backend);
  return m != nullptr && m->accepts_new() && !attempt_.tried.contains(m->backend.get()) ? m : nullptr;
}

/// Proxies that nobody declared: the address is theirs, and stands for many.
bool Exchange::comes_through_strangers() const noexcept {
  return std::any_of(request_.head.fields.begin(), request_.head.fields.end(), [](const Field& f) {
    return f.known == Known::via || f.known == Known::forwarded || f.known == Known::x_forwarded_for ||
           f.known == Known::x_forwarded_host || f.known == Known::x_forwarded_proto;
  });
}

/// Whose first request this is; 0: nobody can tell. Programs that do not say what they are share nothing.
std::uint64_t Exchange::first_requests_of() const noexcept {
  const ClientAddress& client = request_.arrival.client;
  const bool unknown =
      std::all_of(std::begin(client.bytes), std::end(client.bytes), [](std::uint8_t b) { return b == 0; });
  const bool is_proxy =
      request_.arrival.trusted
          ? std::equal(std::begin(client.bytes), std::end(client.bytes), request_.arrival.peer.bytes)
          : comes_through_strangers();
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
bool Exchange::may_begin_session() {
  if (session_.served.begun || !connection_.listener->config.per_client.new_sessions_per_second) return true;
  if (request_.arrival.client.is_unknown()) return true;
  reply_.retry_after =
      connection_.listener->shared->limits.new_session(request_.arrival.client, request_.began);
  if (reply_.retry_after == 0) return true;
  refuse(Refusal::new_sessions, "more a second than per_client.new_sessions_per_second allows");
  reply_.status = 429;
  return false;
}

void Exchange::begin_session(const SessionId& id, Reason reason) {
  session_.served.binding = born(id, *attempt_.member->backend, turn_.wall_now());
  session_.served.begun = true;
  session_.served.reason = reason;
}

namespace {
std::string backend_name(const PoolSnapshot& pool, std::uint64_t hash) {
  const Member* const m = pool.find(hash);
  return m != nullptr ? m->backend->id : "removed";
}
}  // namespace

/// Gives the session another backend. The tables have the last word: of parallel requests that move it, the
/// first decides and the others follow.
bool Exchange::move_session(Reason why) {
  session_.bound = false;
  if (request_.pool->config.session.on_lost == config::OnLost::reject && why != Reason::overload &&
      why != Reason::rebalance) {
    session_.served.reason = why;
    return lose_session();
  }
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Member* const to = target_of_move(why);
    if (to == nullptr) return false;
    const Binding wanted = moved(session_.served.binding, *to->backend);
    const Binding standing = record_move(wanted, why);
    session_.served.binding = standing;
    session_.served.reason = why;
    session_.served.changed = true;
    if (standing.epoch == wanted.epoch && standing.backend == wanted.backend) {
      worker_.memory->recent.add({request_.pool->config.name,
                                  backend_name(*request_.pool->snapshot, session_.recognised.binding.backend),
                                  to->backend->id, why, turn_.wall_now()});
      session_.agree = pool_store() != nullptr;
      if (keeps_state()) worker_.memory->handed.begin(standing.id, standing.epoch, turn_.moment());
      return serve_at(to);
    }
    if (serve_at(usable_bound(standing.backend))) {
      session_.agree = keeps_state();
      return true;
    }
  }
  return false;
}

const Member* Exchange::target_of_move(Reason why) const noexcept {
  const std::uint64_t key = move_key(session_.served.binding), from = session_.served.binding.backend;
  const auto other = [&](const Member& m) {
    // A restarted process is as good as any other; one that wants to be rid of the session is not.
    const bool same = m.backend->hash == from && why != Reason::restart;
    return !same && !attempt_.tried.contains(m.backend.get());
  };
  if (why != Reason::rebalance) return rendezvous_if(key, *request_.pool->snapshot, other);
  const double mean = mean_load();
  return rendezvous_if(key, *request_.pool->snapshot, [&](const Member& m) {
    return other(m) && expected_load(*m.backend, request_.began) / m.weight < mean;
  });
}

/// Returns what now stands, which may be another's move.
Binding Exchange::record_move(const Binding& wanted, Reason why) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& lifetimes = request_.pool->config.session;
  const Moment at = turn_.moment();
  Binding standing = wanted;
  if (session_.recognised.learned) {
    const Standing s = memory.learned.move(session_.recognised.key, wanted.epoch - 1, wanted, why,
                                           request_.pool->number, lifetimes, at);
    if (!s.ended && s.binding.id == wanted.id) standing = s.binding;
  }
  const Move move = memory.moves.moved(wanted.id, standing.epoch, standing.backend, why, lifetimes, at);
  if (move.kind == Move::Kind::moved && move.epoch >= standing.epoch) {
    standing.epoch = move.epoch;
    standing.backend = move.backend;
  }
  if (standing.backend != wanted.backend) standing.generation = 0;
  return standing;
}

/// The app would rather see an error than another server (`on_lost: reject`, `on_unknown: reject`): the
/// client forgets its token, and this session does not come back.
bool Exchange::lose_session() {
  if (session_.recognised.what == What::session) {
    const Binding& b = session_.served.binding;
    worker_.memory->moves.ended(b.id, b.epoch, session_.served.reason, request_.pool->config.session,
                                turn_.moment());
    if (session_.recognised.learned) worker_.memory->learned.end(session_.recognised.key, b.id);
    worker_.memory->active.gone(b.id);
    tell_end(b);
    end_in_sisters(b);
  }
  counts().count(SessionEvent::lost);
  reply_.status = request_.pool->config.session.reject_status;
  reply_.body = request_.pool->config.session.reject_body;
  session_.clears_tokens = true;
  return false;
}

// Rebalance -----------------------------------------------------------------------------------------

double Exchange::mean_load() const noexcept {
  double load = 0, weights = 0;
  for (const Member& m : request_.pool->snapshot->members) {
    if (!m.accepts_new() || m.backup) continue;
    load += expected_load(*m.backend, request_.began);
    weights += m.weight;
  }
  return weights > 0 ? load / weights : 0;
}

/// Only a session that has been idle, with nothing open, on a backend with more than its share, and only so
/// many per second.
bool Exchange::wants_rebalance() {
  const auto& rules = request_.pool->config.session.rebalance;
  if (!rules) return false;
  const auto idle = worker_.memory->active.begin(session_.served.binding, request_.pool->number,
                                                 request_.pool->config.session, turn_.moment());
  session_.open = OpenSession(worker_.memory->active, session_.served.binding.id, turn_.moment());
  if (!idle || *idle < rules->min_idle || attempt_.member->weight == 0) return false;
  const double mean = mean_load();
  if (expected_load(*attempt_.member->backend, request_.began) / attempt_.member->weight <=
      rules->threshold * mean)
    return false;
  return request_.pool->counters->rebalance.allow(rules->moves_per_second, request_.began);
}

}  // namespace remora
