// Session moves: their target, which of several concurrent moves wins, and confirmation by the store.

#include "proxy/placement.h"

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "proxy/split.h"
#include "util/text.h"

namespace remora {

using What = Recognised::What;

namespace {
std::string backend_name(const PoolSnapshot& pool, std::uint64_t hash) {
  const Member* const m = pool.find(hash);
  return m != nullptr ? m->backend->id : "removed";
}
}  // namespace

/// True: the backend's drain deadline has passed, so the session moves with this request. Only a bounded
/// number per second, and only if another backend can take it.
bool Placement::should_leave() const noexcept {
  constexpr double moves_per_second = 100;
  return attempt_.member->leaving && target_of_move(Reason::drain) != nullptr &&
         request_.pool->counters->drain.allow(moves_per_second, request_.began);
}

/// Gives the session another backend. The tables decide: of concurrent requests that move it, the first wins
/// and the others follow. False: no backend can take it, or `on_lost: reject` rejects it (local reply set).
bool Placement::move_session(Reason why) {
  const bool was_bound = std::exchange(session_.bound, false);
  if (request_.pool->config.session.on_lost == config::OnLost::reject && why != Reason::overload &&
      why != Reason::rebalance) {
    session_.served.reason = why;
    return lose_session();
  }
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Member* const to = target_of_move(why);
    if (to == nullptr) {
      session_.bound = was_bound && round == 0;  // it has not moved
      return false;
    }
    const Binding wanted = moved(session_.served.binding, *to->backend);
    const Binding standing = record_move(wanted, why);
    session_.served.binding = standing;
    session_.served.reason = why;
    session_.served.changed = true;
    if (standing.epoch == wanted.epoch && standing.backend == wanted.backend) {
      worker_.memory->recent.add({request_.pool->config.name,
                                  backend_name(*request_.pool->snapshot, session_.recognised.binding.backend),
                                  to->backend->id, why, turn_.wall_now()});
      session_.agree = records_.pool_store() != nullptr;
      if (records_.keeps_state()) worker_.memory->handed.begin(standing.id, standing.epoch, turn_.moment());
      return serve_at(to);
    }
    if (serve_at(usable_bound(standing.backend))) {
      session_.agree = records_.keeps_state();
      return true;
    }
  }
  return false;
}

const Member* Placement::target_of_move(Reason why) const noexcept {
  const std::uint64_t key = move_key(session_.served.binding), from = session_.served.binding.backend;
  const auto other = [&](const Member& m) {
    // After a restart the same backend may be chosen again; otherwise not.
    const bool same = m.backend->hash == from && why != Reason::restart;
    return !same && !attempt_.tried.contains(m.backend.get());
  };
  if (why != Reason::rebalance) return rendezvous_if(key, *request_.pool->snapshot, other);
  const double mean = mean_load();
  return rendezvous_if(key, *request_.pool->snapshot, [&](const Member& m) {
    return other(m) && expected_load(*m.backend, request_.began) / m.weight < mean;
  });
}

/// Records the move in the tables. Returns the binding that now holds, which may be another request's move.
Binding Placement::record_move(const Binding& wanted, Reason why) {
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

/// `on_lost: reject`, `on_unknown: reject`: the app prefers an error to another backend. Ends the session for
/// good, clears the client's token and sets the local reply. Always false.
bool Placement::lose_session() {
  if (session_.recognised.what == What::session) {
    const Binding& b = session_.served.binding;
    worker_.memory->moves.ended(b.id, b.epoch, session_.served.reason, request_.pool->config.session,
                                turn_.moment());
    if (session_.recognised.learned) worker_.memory->learned.end(session_.recognised.key, b.id);
    worker_.memory->active.gone(b.id);
    records_.mark_ended(b);
    lookup_.end_in_sisters(b);
  }
  lookup_.counts().count(SessionEvent::lost);
  reply_.status = request_.pool->config.session.reject_status;
  reply_.body = request_.pool->config.session.reject_body;
  session_.clears_tokens = true;
  return false;
}

double Placement::mean_load() const noexcept {
  double load = 0, weights = 0;
  for (const Member& m : request_.pool->snapshot->members) {
    if (!m.accepts_new() || m.backup) continue;
    load += expected_load(*m.backend, request_.began);
    weights += m.weight;
  }
  return weights > 0 ? load / weights : 0;
}

/// True: rebalancing should move this session. Only if it was idle with no open request, its backend has more
/// than its share of the load, and the rate limit allows it.
bool Placement::wants_rebalance() {
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

/// No backend of this pool is left: another pool of the split serves the request and its session. Tried once
/// per request. False: no pool can, or the local reply is set.
bool Placement::go_to_sister() {
  if (request_.route->targets.size() < 2 || std::exchange(session_.asked_sister, true)) return false;
  const bool bound = session_.recognised.what == What::session;
  const std::uint64_t key = bound ? move_key(session_.served.binding) : worker_.random.next();
  const auto& pools = request_.snapshot->shared->pools;
  const auto drawn = draw_target(*request_.route, key, [&](std::size_t pool) {
    return pool != request_.pool_index && in_service(*pools[pool]->snapshot);
  });
  if (!drawn) return false;
  const std::size_t pool = request_.route->targets[*drawn].pool;
  if (bound && !pools[pool]->affinity.empty()) return move_to_sister(pool, key);
  lookup_.settle_in(pool, lookup_.recognise_in(*pools[pool]));
  lookup_.use_timeouts();
  if (!request_.has_sessions()) session_.served = {};
  session_.bound = false;
  return admit_session() && choose_member({});
}

/// Moves a bound session to `pool`. As with any move, the tables decide which of concurrent moves wins.
bool Placement::move_to_sister(std::size_t pool, std::uint64_t key) {
  const auto& pools = request_.snapshot->shared->pools;
  const auto untried = [&](const Member& m) { return !attempt_.tried.contains(m.backend.get()); };
  const Member* to = rendezvous_if(key, *pools[pool]->snapshot, untried);
  if (to == nullptr) return false;
  session_.served.binding = record_move(moved(session_.served.binding, *to->backend), Reason::failover);
  session_.served.reason = Reason::failover;
  session_.served.changed = true;
  records_.write_behind(records_.record());
  const auto home =
      std::find_if(request_.route->targets.begin(), request_.route->targets.end(), [&](const auto& target) {
        to = pools[target.pool]->snapshot->find(session_.served.binding.backend);
        return to != nullptr && to->accepts_bound() && untried(*to);
      });
  if (home == request_.route->targets.end())
    return false;  // another request moved it first, to a backend that cannot serve
  pool = home->pool;
  const Member* const from = request_.pool->snapshot->find(session_.recognised.binding.backend);
  worker_.memory->recent.add({request_.pool->config.name, from != nullptr ? from->backend->id : "removed",
                              pools[pool]->config.name + "/" + to->backend->id, Reason::failover,
                              turn_.wall_now()});
  if (pool != request_.pool_index) lookup_.go_on_in(pool, session_.served.binding, false);
  lookup_.use_timeouts();
  session_.bound = false;
  session_.agree = records_.pool_store() != nullptr;
  if (records_.keeps_state())
    worker_.memory->handed.begin(session_.served.binding.id, session_.served.binding.epoch, turn_.moment());
  return serve_at(to);
}

Task<bool> Placement::confirm_move() {
  session_.agree = false;
  session_.state.clear();
  session_.state_note.clear();
  const bool arrives = session_.left_pool != nullptr;  // the session comes from another pool of the split
  Copied brought = Copied::done;
  if (arrives && records_.keeps_state()) brought = co_await records_.bring_state();
  if (brought == Copied::failed) {
    records_.write_behind(records_.record());
    co_return go_on_without_state();
  }
  const bool lost = brought == Copied::unreadable;
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Record wanted = records_.record();
    const SessionKey key = records_.is_named() ? records_.name_of_session() : records_.own_record();
    const Result<SessionStore::Standing> said = co_await cas_move(key, wanted);
    if (!said) {
      records_.write_behind(wanted);
      co_return go_on_without_state();
    }
    const Record stands = *said->record;
    if (stands.ended) co_return begin_anew(stands);
    if (stands.binding.epoch == wanted.binding.epoch && stands.binding.backend == wanted.binding.backend) {
      if (records_.is_named() && records_.keeps_state()) {
        const Result<SessionStore::Standing> kept = co_await cas_move(records_.own_record(), wanted);
        if (!kept) co_return go_on_without_state();
        take_state(*kept->record, lost);
      } else {
        take_state(stands, lost);
      }
      co_return true;
    }
    // Another instance was faster: its choice holds, unless that backend cannot serve.
    adopt_remote_move(stands);
    if (!serve_at(usable_bound(session_.served.binding.backend)) && !move_session(Reason::failover)) break;
    session_.agree = false;
  }
  attempt_.failure = {};
  attempt_.fail(Failure::Side::self, Failure::Kind::no_backend);
  co_return false;
}

Task<Result<SessionStore::Standing>> Placement::cas_move(SessionKey key, Record wanted) {
  const config::Session& rules = request_.pool->config.session;
  // In the pool where the session just arrived, its key may hold the record of an ended session.
  const bool arrives = session_.left_pool != nullptr;
  SessionStore::Rule rule = [wanted, arrives](const std::optional<Record>& now) {
    auto next = move_rule(now, wanted);
    return next || !arrives ? next : bind_rule(now, wanted);
  };
  const StoreCall call =
      records_.store_call(rules.state ? rules.state->fetch_timeout : worker_.store_timeout);
  Result<SessionStore::Standing> said =
      co_await worker_.sessions->change(key, std::move(rule), rules, false, call);
  worker_.memory->store.count(outcome_of(said));
  co_return said;
}

/// Another instance ended the session meanwhile: this request is placed like one without a session.
bool Placement::begin_anew(const Record& over) {
  SessionMemory& memory = *worker_.memory;
  const SessionId id = session_.served.binding.id;
  memory.moves.ended(id, over.binding.epoch, Reason::none, request_.pool->config.session, turn_.moment());
  if (session_.recognised.learned) memory.learned.end(session_.recognised.key, id);
  lookup_.end_in_sisters(session_.served.binding);
  session_.recognised.what = What::nothing;
  session_.recognised.cause = Cause::ended;
  session_.bound = false;
  session_.served = {};
  return choose_backend();
}

/// Takes over a move that another instance decided.
void Placement::adopt_remote_move(const Record& stands) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& rules = request_.pool->config.session;
  session_.served.binding = stands.binding;
  session_.served.changed = true;
  if (session_.recognised.learned)
    memory.learned.adopt(session_.recognised.key, stands, request_.pool->number, rules, turn_.moment());
  memory.moves.moved(stands.binding.id, stands.binding.epoch, stands.binding.backend, stands.reason, rules,
                     turn_.moment());
  if (records_.keeps_state()) memory.handed.begin(stands.binding.id, stands.binding.epoch, turn_.moment());
}

/// Opens the stored state for the backend. Remora-Session gets `state=none` if there is no state, and
/// `state=unavailable` if it cannot be read or could not be copied (`lost`).
void Placement::take_state(const Record& stands, bool lost) {
  if (!records_.keeps_state()) return;
  StoreCounts& counts = worker_.memory->store;
  if (lost && !stands.state.is_there(turn_.wall_now())) {
    session_.state_note = ";state=unavailable";
    counts.count(StateEvent::unreadable);
    return;
  }
  if (!stands.state.is_there(turn_.wall_now())) {
    session_.state_note = ";state=none";
    counts.count(StateEvent::none);
    return;
  }
  const auto plain = records_.pool_store()->open(stands.state, records_.own_record(), worker_.scratch);
  if (!plain) {
    session_.state_note = ";state=unavailable";
    counts.count(StateEvent::unreadable);
    return;
  }
  session_.state = base64_encode(*plain);
  session_.state_note = ";version=";
  append_decimal(session_.state_note, stands.state.version);
  counts.count(StateEvent::replayed);
}

/// The store did not answer. False: `on_missing: reject`, and the local reply (503) is set.
bool Placement::go_on_without_state() {
  if (!records_.keeps_state()) return true;
  worker_.memory->store.count(StateEvent::unavailable);
  if (request_.pool->config.session.state->on_missing == config::OnMissing::reject) {
    reply_.status = 503;
    return false;
  }
  session_.state_note = ";state=unavailable";
  return true;
}

}  // namespace remora
