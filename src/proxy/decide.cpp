#include "proxy/decide.h"

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "proxy/preflight.h"
#include "util/text.h"

namespace remora {

namespace {

using What = Recognized::What;
using Action = Decision::Action;
using By = Decision::By;
using Family = Affinity::Family;

double mean_load(const Situation& at) noexcept {
  double load = 0, weights = 0;
  for (const Member& m : at.pool.snapshot->members) {
    if (!m.accepts_new() || m.backup) continue;
    load += expected_load(*m.backend, at.began);
    weights += m.weight;
  }
  return weights > 0 ? load / weights : 0;
}

/// Moves prefer the rendezvous choice of the session's next epoch. Null: no other backend can take it.
const Member* target_of_move(const Binding& b, Reason why, const Situation& at) noexcept {
  const auto other = [&](const Member& m) {
    // After a restart the same backend may be chosen again; otherwise not.
    const bool same = m.backend->hash == b.backend && why != Reason::restart;
    return !same && !at.tried.contains(m.backend.get());
  };
  // Where the app wants to be rid of the session, any other backend will do.
  if (why != Reason::rebalance || b.leave) return rendezvous_if(move_key(b), *at.pool.snapshot, other);
  const double mean = mean_load(at);
  return rendezvous_if(move_key(b), *at.pool.snapshot, [&](const Member& m) {
    return other(m) && expected_load(*m.backend, at.began) / m.weight < mean;
  });
}

/// Rebalancing moves a session that was idle, if its backend has more than its share of the load.
bool has_excess(const Member& member, const Binding& b, const Situation& at, DecisionInputs& in) {
  const auto& rules = at.pool.config.session.rebalance;
  if (!rules) return false;
  const auto idle = in.idle_time(b);
  if (!idle || *idle < rules->min_idle || member.weight == 0) return false;
  return expected_load(*member.backend, at.began) / member.weight > rules->threshold * mean_load(at);
}

/// Notes a move that does not happen now.
void keep(Decision& d, Reason wanted, Decision::Kept why) noexcept {
  d.wanted = wanted;
  d.kept = why;
}

/// Why the session has to leave `member`, or should. `none`: it stays.
Reason why_to_move(const Member* member, const Binding& b, const Situation& at, DecisionInputs& in,
                   Decision& d) {
  const Reason must = reason_to_move(member, b);
  const bool can_serve = member != nullptr && member->accepts_bound();
  if (can_serve && in.find_steering(b.id).wish == Steering::Wish::stay) return Reason::none;
  if (must != Reason::none) return must;
  if (member->leaving) {
    if (target_of_move(b, Reason::drain, at) == nullptr)
      keep(d, Reason::drain, Decision::Kept::nobody_else);
    else if (in.allows_drain())
      return Reason::drain;
    else
      keep(d, Reason::drain, Decision::Kept::rate);
  }
  if (!has_excess(*member, b, at, in)) return Reason::none;
  if (in.allows_rebalance()) return Reason::rebalance;
  keep(d, Reason::rebalance, Decision::Kept::rate);
  return Reason::none;
}

/// The session is to move to another backend, and that can take it. Nothing: it is where it was to go, or
/// must wait.
std::optional<Decision> decide_steered(const Binding& b, const Steering& steering, const Situation& at) {
  if (steering.wish != Steering::Wish::move || steering.backend == b.backend) return std::nullopt;
  Binding leaving = b;
  leaving.leave = true;
  const Member* const to = steering.backend != 0 ? usable_new(*at.pool.snapshot, steering.backend, at.tried)
                                                 : target_of_move(leaving, Reason::rebalance, at);
  return to != nullptr ? std::optional(steered_move(b, *to)) : std::nullopt;
}

Decision decide_session(const Recognized& found, const Situation& at, DecisionInputs& in) {
  const Binding& b = found.binding;
  if (const auto steered = decide_steered(b, in.find_steering(b.id), at)) return *steered;
  Decision d;
  d.member = at.pool.snapshot->find(b.backend);
  const Reason why = why_to_move(d.member, b, at, in, d);
  if (why != Reason::none) {
    const bool may_wait = why == Reason::drain || why == Reason::rebalance;
    const Decision leaves = decide_move(b, why, at);
    // A move that can wait is dropped if no other backend can take the session.
    if (!may_wait || leaves.action == Action::reject || leaves.member != nullptr) return leaves;
    keep(d, why, Decision::Kept::nobody_else);
  }
  d.action = Action::stay;
  // If the client's token is older than a move, this request counts as the one that moved.
  d.reason = found.moved_for == Reason::none ? Reason::sticky : found.moved_for;
  d.epoch = b.epoch;
  return d;
}

/// The id of the session that begins under a key that the client never changes: the same on every worker and
/// replica, but not that of a session that is over.
SessionId next_id(const Recognized& found, const Situation& at, DecisionInputs& in) {
  if (at.begun != nullptr) return at.begun->id;
  const Clock::Wall now = in.wall_now();
  SessionId id = id_from_key(found.key, at.pool.config.session, now);
  const bool follows = found.what != What::unbound;
  if (follows && (found.cause == Cause::ended || id == found.binding.id))
    id = successor(found.binding.id, now);
  constexpr int max_rounds = 8;
  for (int round = 0; round < max_rounds; ++round) {
    const auto known = in.find_move(id);
    if (!known || known->kind == Move::Kind::active) return id;
    id = successor(id, now);
  }
  return new_session_id();
}

/// For an unknown id of the app: the backend that the id itself names, else the rendezvous choice of its key,
/// which is the same on every worker and replica.
Decision decide_unbound(const Recognized& found, const Situation& at, DecisionInputs& in) {
  const Lookup& lookup = found.lookup;
  Decision d;
  d.by = By::name_in_id;
  d.member = lookup.route != 0 ? usable_bound(*at.pool.snapshot, lookup.route, at.tried) : nullptr;
  if (d.member == nullptr) {
    d.by = By::id_hash;
    d.member = rendezvous(lookup.key.hash(), *at.pool.snapshot, at.tried);
  }
  if (!begins_session(at)) {
    d.action = Action::forward;
    return d;
  }
  d.action = Action::begin;
  d.reason = Reason::new_;
  d.id = lookup.adopt ? next_id(found, at, in) : id_from_key(lookup.key);
  return d;
}

/// The session of a key that the client never changes is over: the key begins another one, on the backend
/// where any instance that does not know the key would begin it. Nothing: no backend can take it.
std::optional<Decision> decide_next_life(const Recognized& found, const Situation& at, DecisionInputs& in,
                                         Reason reason) {
  Decision d;
  d.by = By::id_hash;
  d.member = rendezvous(found.key.hash(), *at.pool.snapshot, at.tried);
  if (d.member == nullptr) return std::nullopt;
  d.action = Action::begin;
  d.reason = reason;
  d.id = next_id(found, at, in);
  return d;
}

/// The request's session has just expired: concurrent requests begin the same successor, on every worker and
/// replica. Nothing: the successor is over too, or no backend can take it.
std::optional<Decision> decide_successor(const Recognized& found, const Situation& at, DecisionInputs& in) {
  const PoolSnapshot& pool = *at.pool.snapshot;
  Decision d;
  d.action = Action::begin;
  d.reason = Reason::expired;
  d.id = at.begun != nullptr ? at.begun->id : successor(found.binding.id, in.wall_now());
  if (found.learned) {
    // The same id and backend as for later requests, which come when the app's id is forgotten here.
    const SessionId later = id_from_key(found.key);
    if (!(later == found.binding.id)) d.id = later;
    d.by = By::id_hash;
    d.member = rendezvous(found.key.hash(), pool, at.tried);
  } else {
    const auto known = in.find_move(d.id);
    if (known && (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed))
      return std::nullopt;
    const bool went_on = known && known->kind == Move::Kind::moved;
    d.by = By::moved_successor;
    d.member = went_on ? usable_bound(pool, known->backend, at.tried) : nullptr;
    const std::uint32_t failed = at.begun != nullptr ? at.begun->epoch : 0;
    d.epoch = d.member != nullptr ? known->epoch : std::max(failed, went_on ? known->epoch : 0) + 1;
    if (d.member == nullptr) {
      d.by = By::hash_of_successor;
      d.member = rendezvous_if(d.id.hash(), pool,
                               [&](const Member& m) { return !at.tried.contains(m.backend.get()); });
    }
  }
  return d.member != nullptr ? std::optional(d) : std::nullopt;
}

Decision decide_new(const Recognized& found, const Situation& at, DecisionInputs& in) {
  Decision d;
  if (!begins_session(at)) return d;
  const bool over = found.cause == Cause::idle || found.cause == Cause::too_old;
  const Reason reason = over ? Reason::expired : Reason::new_;
  if (found.learned && found.lookup.adopt)
    if (const auto next = decide_next_life(found, at, in, reason)) return *next;
  if (over)
    if (const auto next = decide_successor(found, at, in)) return *next;
  d.action = Action::place;
  d.reason = reason;
  return d;
}

}  // namespace

Decision decide(const Recognized& found, const Situation& at, DecisionInputs& in) {
  Decision d;
  switch (found.what) {
    case What::session:
      return decide_session(found, at, in);
    case What::unbound:
      return decide_unbound(found, at, in);
    case What::derived:
      d.action = Action::forward;
      d.by = By::hash;
      d.member = rendezvous(found.derived.hash, *at.pool.snapshot, at.tried, found.derived.bounded_load);
      return d;
    case What::detached:
      d.by = By::former_session;
      d.member = usable_bound(*at.pool.snapshot, found.binding.backend, at.tried);
      d.action = d.member != nullptr ? Action::forward : Action::balance;
      return d;
    case What::nothing:
    case What::lost:
      break;
  }
  return decide_new(found, at, in);
}

Decision decide_move(const Binding& binding, Reason why, const Situation& at) {
  Decision d;
  d.reason = why;
  d.epoch = binding.epoch;
  const bool wanted_by_us = why == Reason::overload || why == Reason::rebalance;
  if (at.pool.config.session.on_lost == config::OnLost::reject && !wanted_by_us) {
    d.action = Action::reject;
    return d;
  }
  d.action = Action::move;
  d.member = target_of_move(binding, why, at);
  return d;
}

Decision steered_move(const Binding& binding, const Member& to) noexcept {
  Decision d;
  d.action = Action::move;
  d.by = By::steering;
  d.reason = Reason::rebalance;
  d.epoch = binding.epoch;
  d.member = &to;
  return d;
}

bool is_rejected(const Recognized& found) noexcept {
  return found.what == What::lost || (found.what == What::unbound && found.lookup.reject_unknown);
}

bool begins_session(const Situation& at) noexcept {
  return at.has_sessions() && !is_cors_preflight(at.head) &&
         std::any_of(at.pool.affinity.begin(), at.pool.affinity.end(),
                     [](const auto& kind) { return kind->family() != Family::derived; });
}

Binding standing_in_table(const Binding& wanted, const Standing& in_table) noexcept {
  Binding standing = wanted;
  if (!in_table.ended && in_table.binding.id == wanted.id) standing = in_table.binding;
  if (standing.backend != wanted.backend) standing.generation = 0;
  return standing;
}

Binding standing_in_memory(const Binding& in_table, const Move& in_memory) noexcept {
  Binding standing = in_table;
  if (in_memory.kind != Move::Kind::moved || in_memory.epoch < in_table.epoch) return standing;
  standing.epoch = in_memory.epoch;
  standing.backend = in_memory.backend;
  if (standing.backend != in_table.backend) standing.generation = 0;
  return standing;
}

const Member* usable_bound(const PoolSnapshot& pool, std::uint64_t backend, const Tried& tried) noexcept {
  const Member* const m = pool.find(backend);
  return m != nullptr && m->accepts_bound() && !tried.contains(m->backend.get()) ? m : nullptr;
}

const Member* usable_new(const PoolSnapshot& pool, std::uint64_t backend, const Tried& tried) noexcept {
  const Member* const m = pool.find(backend);
  return m != nullptr && m->accepts_new() && !tried.contains(m->backend.get()) ? m : nullptr;
}

std::uint64_t first_requests_key(const RequestHead& head, const Arrival& arrival,
                                 std::uint16_t pool_number) noexcept {
  const ClientAddress& client = arrival.client;
  const bool is_proxy = arrival.trusted
                            ? std::equal(std::begin(client.bytes), std::end(client.bytes), arrival.peer.bytes)
                            : through_unknown_proxies(head.fields);
  if (client.is_unknown() || is_proxy) return 0;
  for (const Field& f : head.fields) {
    if (f.known != Known::other || f.value.empty() || !iequals(f.name, "user-agent")) continue;
    const std::uint64_t address =
        hash_text({reinterpret_cast<const char*>(client.bytes), sizeof client.bytes});
    return (hash_text(f.value) * 0x9e3779b97f4a7c15ULL ^ address) + pool_number + 1;
  }
  return 0;
}

bool through_unknown_proxies(std::span<const Field> fields) noexcept {
  return std::any_of(fields.begin(), fields.end(), [](const Field& f) {
    return f.known == Known::via || f.known == Known::forwarded || f.known == Known::x_forwarded_for ||
           f.known == Known::x_forwarded_host || f.known == Known::x_forwarded_proto;
  });
}

RequestView view_for_affinity(const RequestHead& head, const Arrival& arrival,
                              const VerifiedClaims* claims) noexcept {
  RequestView v;
  v.method = head.method;
  v.target = head.target;
  v.host = head.host;
  v.path = head.path;
  v.fields = head.fields;
  v.client = arrival.client;
  v.secure = arrival.secure;
  v.preflight = head.method == Method::options && is_cors_preflight(head);
  v.claims = claims;
  return v;
}

}  // namespace remora
