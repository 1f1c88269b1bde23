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
  switch (recognised_.what) {
    case What::session:
      return choose_for_session(before);
    case What::unbound:
      return choose_for_unbound();
    case What::derived:
      return serve_at(
          rendezvous(recognised_.derived.hash, *pool_->snapshot, tried_, recognised_.derived.bounded_load));
    case What::detached:
      return serve_at(usable_bound(recognised_.binding.backend)) || serve_at(place_of_own_connection()) ||
             serve_at(balancer().pick(tried_, Purpose::request));
    case What::nothing:
    case What::lost:
      break;
  }
  return place_new();
}

bool Exchange::serve_at(const Member* member) noexcept {
  if (member != nullptr) member_ = member;
  return member != nullptr;
}

const Member* Exchange::usable_bound(std::uint64_t backend) const noexcept {
  const Member* const m = pool_->snapshot->find(backend);
  return m != nullptr && m->accepts_bound() && !tried_.contains(m->backend.get()) ? m : nullptr;
}

/// Where the client has a connection of its own: the next leg of its authentication belongs there.
const Member* Exchange::place_of_own_connection() const noexcept {
  if (held_ == nullptr) return nullptr;
  const BoundConnections::Place at = held_->place_in(pool_->config.name);
  const Member* const m = at.backend != nullptr ? usable_bound(at.backend->hash) : nullptr;
  return m != nullptr && (at.leg_due || m->accepts_new()) ? m : nullptr;
}

/// Past its backend's drain deadline a session moves with its next request: a bounded number per second, and
/// only if somebody else can take it.
bool Exchange::should_leave() const noexcept {
  constexpr double moves_per_second = 100;
  return member_->leaving && target_of_move(Reason::drain) != nullptr &&
         pool_->counters->drain.allow(moves_per_second, head_at_);
}

bool Exchange::choose_for_session(const Failure& before) {
  if (!before) {
    served_.binding = recognised_.binding;
    served_.refresh = recognised_.old_key || recognised_.stamp_is_old;
    served_.changed = recognised_.behind || recognised_.stamp_is_late;
    served_.came_by_cookie = recognised_.came_by_cookie;
    // The client's token is from before a move: for it, this is the request that moved.
    served_.reason = recognised_.moved_for == Reason::none ? Reason::sticky : recognised_.moved_for;
    member_ = pool_->snapshot->find(served_.binding.backend);
    Reason why = reason_to_move(member_, served_.binding);
    if (why == Reason::none && should_leave()) why = Reason::drain;
    if (why == Reason::none && wants_rebalance()) why = Reason::rebalance;
    // What may as well wait is no reason to leave a server that serves, with nobody to take it.
    const bool may_wait = why == Reason::drain || why == Reason::rebalance || why == Reason::overload;
    if (may_wait && member_->accepts_bound() && target_of_move(why) == nullptr) why = Reason::none;
    // Another request moved it here, and the backend may not have heard of it yet.
    agree_ = why == Reason::none && keeps_state() &&
             worker_.memory->handed.pending(served_.binding.id, served_.binding.epoch);
    bound_ = why == Reason::none;
    return bound_ || move_session(why);
  }
  if (bound_ && !tried_.contains(member_->backend.get())) return true;
  return move_session(before.kind == Kind::queue_full ? Reason::overload : Reason::failover);
}

/// An id of the app that nothing is known of: the server that the id itself names, else the rendezvous choice
/// of its key, which is the same on every worker and replica.
bool Exchange::choose_for_unbound() {
  const Lookup& lookup = recognised_.lookup;
  const Member* to = lookup.route != 0 ? usable_bound(lookup.route) : nullptr;
  if (to == nullptr) to = rendezvous(lookup.key.hash(), *pool_->snapshot, tried_);
  if (!may_begin_session() || !serve_at(to)) return false;
  begin_session(id_from_key(lookup.key), Reason::new_);
  return true;
}

bool Exchange::place_new() {
  const bool begins = has_sessions() && !view().preflight &&
                      std::any_of(pool_->affinity.begin(), pool_->affinity.end(),
                                  [](const auto& kind) { return kind->family() != Family::derived; });
  const Member* const own = place_of_own_connection();
  if (!begins) return serve_at(own != nullptr ? own : balancer().pick(tried_, Purpose::request));
  if (!may_begin_session()) return false;
  const bool over = recognised_.cause == Cause::idle || recognised_.cause == Cause::too_old;
  if (over && place_successor()) return true;
  const std::uint64_t client = own != nullptr ? 0 : first_requests_of();
  const Member* picked = own != nullptr ? own : place_of_first_requests(client);
  if (picked == nullptr) {
    picked = balancer().pick(tried_, Purpose::session);
    if (client != 0 && picked != nullptr) {
      const std::uint64_t stands = worker_.memory->first.settle(client, picked->backend->hash, head_at_);
      const Member* const same = usable_new(stands);
      if (same == nullptr) worker_.memory->first.replace(client, picked->backend->hash, head_at_);
      if (same != nullptr) picked = same;
    }
  }
  if (!serve_at(picked)) return false;
  if (first_placed_.backend != picked->backend->hash || first_placed_.pool != pool_index_)
    first_placed_ = {picked->backend->hash, pool_index_, head_at_};
  begin_session(served_.begun ? served_.binding.id : new_session_id(), over ? Reason::expired : Reason::new_);
  return true;
}

/// The session of this request has just expired: those that come beside it begin the same one, on every
/// worker and replica. False: that one is over too, and a new one is to begin.
bool Exchange::place_successor() {
  const SessionId id = served_.begun ? served_.binding.id : successor(recognised_.binding.id, wall_now());
  if (recognised_.learned) {
    // Where those go that come later, when nothing is known of the app's id any more.
    const SessionId later = id_from_key(recognised_.key);
    if (!serve_at(rendezvous(recognised_.key.hash(), *pool_->snapshot, tried_))) return false;
    begin_session(later == recognised_.binding.id ? id : later, Reason::expired);
    return true;
  }
  const auto known = worker_.memory->moves.find(id, moment());
  if (known && (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed)) return false;
  const bool went_on = known && known->kind == Move::Kind::moved;
  const Member* to = went_on ? usable_bound(known->backend) : nullptr;
  const bool follows = to != nullptr;
  if (!follows)
    to = rendezvous_if(id.hash(), *pool_->snapshot,
                       [&](const Member& m) { return !tried_.contains(m.backend.get()); });
  if (!serve_at(to)) return false;
  begin_session(id, Reason::expired);
  if (went_on) served_.binding.epoch = follows ? known->epoch : known->epoch + 1;
  return true;
}

/// A browser's first requests come in parallel and without a session: for a second those of one connection
/// share a backend, and those of one client with one User-Agent, so that what one of them begins, the others
/// find. A connection through a proxy is many clients'.
const Member* Exchange::place_of_first_requests(std::uint64_t client) noexcept {
  if (first_placed_.backend != 0 && first_placed_.pool == pool_index_ &&
      head_at_ - first_placed_.at <= FirstRequests::together && !arrival_.trusted &&
      !comes_through_strangers())
    return usable_new(first_placed_.backend);
  if (client == 0) return nullptr;
  const auto shared = worker_.memory->first.find(client, head_at_);
  return shared ? usable_new(*shared) : nullptr;
}

const Member* Exchange::usable_new(std::uint64_t backend) const noexcept {
  const Member* const m = pool_->snapshot->find(backend);
  return m != nullptr && m->accepts_new() && !tried_.contains(m->backend.get()) ? m : nullptr;
}

/// Proxies that nobody declared: the address is theirs, and stands for many.
bool Exchange::comes_through_strangers() const noexcept {
  return std::any_of(request_.fields.begin(), request_.fields.end(), [](const Field& f) {
    return f.known == Known::via || f.known == Known::forwarded || f.known == Known::x_forwarded_for ||
           f.known == Known::x_forwarded_host || f.known == Known::x_forwarded_proto;
  });
}

/// Whose first request this is; 0: nobody can tell. Programs that do not say what they are share nothing.
std::uint64_t Exchange::first_requests_of() const noexcept {
  const ClientAddress& client = arrival_.client;
  const bool unknown =
      std::all_of(std::begin(client.bytes), std::end(client.bytes), [](std::uint8_t b) { return b == 0; });
  const bool is_proxy =
      arrival_.trusted ? std::equal(std::begin(client.bytes), std::end(client.bytes), arrival_.peer.bytes)
                       : comes_through_strangers();
  if (unknown || is_proxy) return 0;
  for (const Field& f : request_.fields) {
    if (f.known != Known::other || f.value.empty() || !iequals(f.name, "user-agent")) continue;
    const std::uint64_t address =
        hash_text({reinterpret_cast<const char*>(client.bytes), sizeof client.bytes});
    return (hash_text(f.value) * 0x9e3779b97f4a7c15ULL ^ address) + pool_->number + 1;
  }
  return 0;
}

/// `per_client.new_sessions_per_second`. Whoever may not gets a 429, and keeps no place in any table.
bool Exchange::may_begin_session() {
  if (served_.begun || !listener_->config.per_client.new_sessions_per_second) return true;
  if (arrival_.client.is_unknown()) return true;
  retry_after_ = listener_->shared->limits.new_session(arrival_.client, head_at_);
  if (retry_after_ == 0) return true;
  refuse(Refusal::new_sessions, "more a second than per_client.new_sessions_per_second allows");
  answer_status_ = 429;
  return false;
}

void Exchange::begin_session(const SessionId& id, Reason reason) {
  served_.binding = born(id, *member_->backend, wall_now());
  served_.begun = true;
  served_.reason = reason;
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
  bound_ = false;
  if (pool_->config.session.on_lost == config::OnLost::reject && why != Reason::overload &&
      why != Reason::rebalance) {
    served_.reason = why;
    return lose_session();
  }
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Member* const to = target_of_move(why);
    if (to == nullptr) return false;
    const Binding wanted = moved(served_.binding, *to->backend);
    const Binding standing = record_move(wanted, why);
    served_.binding = standing;
    served_.reason = why;
    served_.changed = true;
    if (standing.epoch == wanted.epoch && standing.backend == wanted.backend) {
      worker_.memory->recent.add({pool_->config.name,
                                  backend_name(*pool_->snapshot, recognised_.binding.backend),
                                  to->backend->id, why, wall_now()});
      agree_ = pool_store() != nullptr;
      if (keeps_state()) worker_.memory->handed.begin(standing.id, standing.epoch, moment());
      return serve_at(to);
    }
    if (serve_at(usable_bound(standing.backend))) {
      agree_ = keeps_state();
      return true;
    }
  }
  return false;
}

const Member* Exchange::target_of_move(Reason why) const noexcept {
  const std::uint64_t key = move_key(served_.binding), from = served_.binding.backend;
  const auto other = [&](const Member& m) {
    // A restarted process is as good as any other; one that wants to be rid of the session is not.
    const bool same = m.backend->hash == from && why != Reason::restart;
    return !same && !tried_.contains(m.backend.get());
  };
  if (why != Reason::rebalance) return rendezvous_if(key, *pool_->snapshot, other);
  const double mean = mean_load();
  return rendezvous_if(key, *pool_->snapshot, [&](const Member& m) {
    return other(m) && expected_load(*m.backend, head_at_) / m.weight < mean;
  });
}

/// Returns what now stands, which may be another's move.
Binding Exchange::record_move(const Binding& wanted, Reason why) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& lifetimes = pool_->config.session;
  const Moment at = moment();
  Binding standing = wanted;
  if (recognised_.learned) {
    const Standing s =
        memory.learned.move(recognised_.key, wanted.epoch - 1, wanted, why, pool_->number, lifetimes, at);
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
  if (recognised_.what == What::session) {
    const Binding& b = served_.binding;
    worker_.memory->moves.ended(b.id, b.epoch, served_.reason, pool_->config.session, moment());
    if (recognised_.learned) worker_.memory->learned.end(recognised_.key, b.id);
    worker_.memory->active.gone(b.id);
    tell_end(b);
    end_in_sisters(b);
  }
  counts().count(SessionEvent::lost);
  answer_status_ = pool_->config.session.reject_status;
  answer_body_ = pool_->config.session.reject_body;
  clear_session_ = true;
  return false;
}

// Rebalance -----------------------------------------------------------------------------------------

double Exchange::mean_load() const noexcept {
  double load = 0, weights = 0;
  for (const Member& m : pool_->snapshot->members) {
    if (!m.accepts_new() || m.backup) continue;
    load += expected_load(*m.backend, head_at_);
    weights += m.weight;
  }
  return weights > 0 ? load / weights : 0;
}

/// Only a session that has been idle, with nothing open, on a backend with more than its share, and only so
/// many per second.
bool Exchange::wants_rebalance() {
  const auto& rules = pool_->config.session.rebalance;
  if (!rules) return false;
  const auto idle =
      worker_.memory->active.begin(served_.binding, pool_->number, pool_->config.session, moment());
  open_session_ = OpenSession(worker_.memory->active, served_.binding.id, moment());
  if (!idle || *idle < rules->min_idle || member_->weight == 0) return false;
  const double mean = mean_load();
  if (expected_load(*member_->backend, head_at_) / member_->weight <= rules->threshold * mean) return false;
  return pool_->counters->rebalance.allow(rules->moves_per_second, head_at_);
}

}  // namespace remora
