// Carries out session moves: records them, lets the store confirm them, and hands the state over.

#include "proxy/placement.h"

#include "util/text.h"

namespace remora {

using What = Recognized::What;

/// Gives the session another backend, or rejects it. False: no backend can take it, or the local reply is
/// set.
bool Placement::move_session(const Decision& decision) {
  const bool was_bound = std::exchange(session().bound, false);
  if (decision.action == Decision::Action::reject) {
    session().served.reason = decision.reason;
    return lose_session();
  }
  const SettledMove settled =
      adopt_move(session().served.binding, decision.member, decision.reason, situation(),
                 [&](const Binding& wanted) { return record_move(wanted, decision.reason); });
  const bool stood = settled.binding.epoch == session().served.binding.epoch;
  session().served.binding = settled.binding;
  if (settled.member == nullptr) {
    session().bound = was_bound && stood;  // it has not moved
    return false;
  }
  session().served.reason = decision.reason;
  session().served.changed = true;
  session().agree = records_.keeps_state();
  if (settled.own) {
    worker().memory->steered.moved(settled.binding.id);
    list_move(settled.member->backend->id, decision.reason);
    hand_over();
  }
  return serve_at(settled.member);
}

/// Records the move in the tables. Returns the binding that now holds, which may be another request's move.
Binding Placement::record_move(const Binding& wanted, Reason why) {
  SessionMemory& memory = *worker().memory;
  const config::Session& lifetimes = request().pool->config.session;
  const ClockReading at = turn().clock_reading();
  Binding standing = wanted;
  if (session().recognized.learned)
    standing =
        standing_in_table(wanted, memory.learned.move(session().recognized.key, wanted.epoch - 1, wanted, why,
                                                      request().pool->number, lifetimes, at));
  return standing_in_memory(
      standing, memory.moves.moved(wanted.id, standing.epoch, standing.backend, why, lifetimes, at));
}

/// For the list of recent moves. Call it while the session's former pool is the request's.
void Placement::list_move(const std::string& to, Reason why) {
  const Member* const from = request().pool->snapshot->find(session().recognized.binding.backend);
  worker().memory->recent.add({request().pool->config.name, from != nullptr ? from->backend->id : "removed",
                               to, why, turn().wall_now()});
}

/// This request has moved the session: the store confirms it, and the backend is told and gets the state.
void Placement::hand_over() {
  session().agree = records_.pool_store() != nullptr;
  if (records_.keeps_state())
    worker().memory->handed.begin(session().served.binding.id, session().served.binding.epoch,
                                  turn().clock_reading());
}

/// `on_lost: reject`, `on_unknown: reject`: the app prefers an error to another backend. Ends the session for
/// good, clears the client's token and sets the local reply. Always false.
bool Placement::lose_session() {
  if (session().recognized.what == What::session) {
    const Binding& b = session().served.binding;
    // Once per session: a concurrent request may have lost it already.
    const auto known = worker().memory->moves.find(b.id, turn().clock_reading());
    if (!known || known->kind != Move::Kind::ended) lookup_.counts().count(SessionEvent::lost);
    worker().memory->moves.ended(b.id, b.epoch, session().served.reason, request().pool->config.session,
                                 turn().clock_reading());
    if (session().recognized.learned) worker().memory->learned.end(session().recognized.key, b.id);
    worker().memory->active.gone(b.id);
    records_.mark_ended(b);
    lookup_.end_in_other_pools(b);
  }
  reply().status = request().pool->config.session.reject_status;
  reply().body = request().pool->config.session.reject_body;
  session().clears_tokens = true;
  return false;
}

/// No backend of this pool is left: another pool of the split serves the request and its session. Tried once
/// per request. False: no pool can, or the local reply is set.
bool Placement::go_to_other_pool() {
  if (request().route->targets.size() < 2 || std::exchange(session().tried_other_pool, true)) return false;
  const bool bound = session().recognized.what == What::session;
  const std::uint64_t key = bound ? move_key(session().served.binding) : worker().random.next();
  const Snapshot& shared = *request().snapshot->shared;
  const auto other_pool =
      decide_other_pool(shared, *request().route, request().pool_index, bound, key, attempt().tried);
  if (!other_pool) return false;
  if (other_pool->member != nullptr) return move_to_other_pool(*other_pool);
  lookup_.settle_in(other_pool->pool, lookup_.recognize_in(*shared.pools[other_pool->pool]));
  lookup_.use_timeouts();
  if (!request().has_sessions()) session().served = {};
  session().bound = false;
  return admit_session() && choose_member({});
}

/// Moves a bound session to another pool. As with any move, the tables decide which of concurrent moves wins.
bool Placement::move_to_other_pool(const OtherPoolDecision& other_pool) {
  const Snapshot& shared = *request().snapshot->shared;
  session().served.binding =
      record_move(moved(session().served.binding, *other_pool.member->backend), Reason::failover);
  session().served.changed = true;
  Record record = records_.record();
  record.reason = Reason::failover;
  records_.write_behind(record);
  const Home home = home_of(shared, *request().route, session().served.binding.backend, attempt().tried);
  if (home.member == nullptr) return false;  // another request moved it first, to a backend that cannot serve
  session().served.reason = Reason::failover;
  list_move(shared.pools[home.pool]->config.name + "/" + home.member->backend->id, Reason::failover);
  if (home.pool != request().pool_index) lookup_.go_on_in(home.pool, session().served.binding, false);
  lookup_.use_timeouts();
  session().bound = false;
  hand_over();
  return serve_at(home.member);
}

Task<bool> Placement::confirm_move() {
  session().agree = false;
  session().state.clear();
  session().state_note.clear();
  const bool arrives = session().left_pool != nullptr;  // the session comes from another pool of the split
  Copied brought = Copied::done;
  if (arrives && records_.keeps_state()) brought = co_await records_.copy_state();
  if (brought == Copied::failed) {
    records_.write_behind(records_.record());
    co_return go_on_without_state();
  }
  const bool lost = brought == Copied::unreadable;
  constexpr int max_rounds = 4;
  for (int round = 0; round < max_rounds; ++round) {
    const Record wanted = records_.record();
    const SessionKey key = records_.is_named() ? records_.name_of_session() : records_.own_record();
    const Result<SessionStore::Outcome> outcome = co_await cas_move(key, wanted);
    if (!outcome) {
      records_.write_behind(wanted);
      co_return go_on_without_state();
    }
    const Record stands = *outcome->record;
    if (stands.ended) co_return begin_anew(stands);
    if (stands.binding.epoch == wanted.binding.epoch && stands.binding.backend == wanted.binding.backend) {
      if (records_.is_named() && records_.keeps_state()) {
        const Result<SessionStore::Outcome> kept = co_await cas_move(records_.own_record(), wanted);
        if (!kept) co_return go_on_without_state();
        take_state(*kept->record, lost);
      } else {
        take_state(stands, lost);
      }
      co_return true;
    }
    // Another instance was faster: its choice holds, unless that backend cannot serve.
    adopt_remote_move(stands);
    const std::uint64_t there = session().served.binding.backend;
    if (!serve_at(usable_bound(*request().pool->snapshot, there, attempt().tried)) &&
        !move_session(decide_move(session().served.binding, Reason::failover, situation())))
      break;
    session().agree = false;
  }
  attempt().failure = {};
  attempt().fail(Failure::Side::self, Failure::Kind::no_backend);
  co_return false;
}

Task<Result<SessionStore::Outcome>> Placement::cas_move(SessionKey key, Record wanted) {
  const config::Session& rules = request().pool->config.session;
  // In the pool where the session just arrived, its key may hold the record of an ended session.
  const bool arrives = session().left_pool != nullptr;
  SessionStore::Rule rule = [wanted, arrives](const std::optional<Record>& now) {
    auto next = move_rule(now, wanted);
    return next || !arrives ? next : bind_rule(now, wanted);
  };
  const StoreCall call =
      records_.store_call(rules.state ? rules.state->fetch_timeout : worker().store_timeout);
  Result<SessionStore::Outcome> outcome =
      co_await worker().sessions->change(key, std::move(rule), rules, false, call);
  worker().memory->store.count(outcome_of(outcome));
  co_return outcome;
}

/// Another instance ended the session meanwhile: this request is placed like one without a session.
bool Placement::begin_anew(const Record& over) {
  SessionMemory& memory = *worker().memory;
  const SessionId id = session().served.binding.id;
  memory.moves.ended(id, over.binding.epoch, Reason::none, request().pool->config.session,
                     turn().clock_reading());
  if (session().recognized.learned) memory.learned.end(session().recognized.key, id);
  lookup_.end_in_other_pools(session().served.binding);
  session().recognized.what = What::nothing;
  session().recognized.cause = Cause::ended;
  session().bound = false;
  session().served = {};
  return choose_backend();
}

/// Takes over a move that another instance decided.
void Placement::adopt_remote_move(const Record& stands) {
  SessionMemory& memory = *worker().memory;
  const config::Session& rules = request().pool->config.session;
  session().served.binding = stands.binding;
  session().served.changed = true;
  if (session().recognized.learned)
    memory.learned.adopt(session().recognized.key, stands, request().pool->number, rules,
                         turn().clock_reading());
  memory.moves.moved(stands.binding.id, stands.binding.epoch, stands.binding.backend, stands.reason, rules,
                     turn().clock_reading());
  if (records_.keeps_state())
    memory.handed.begin(stands.binding.id, stands.binding.epoch, turn().clock_reading());
}

/// Opens the stored state for the backend. Remora-Session gets `state=none` if there is no state, and
/// `state=unavailable` if it cannot be read or could not be copied (`lost`).
void Placement::take_state(const Record& stands, bool lost) {
  if (!records_.keeps_state()) return;
  StoreCounts& counts = worker().memory->store;
  if (lost && !stands.state.is_there(turn().wall_now())) {
    session().state_note = ";state=unavailable";
    counts.count(StateEvent::unreadable);
    return;
  }
  if (!stands.state.is_there(turn().wall_now())) {
    session().state_note = ";state=none";
    counts.count(StateEvent::none);
    return;
  }
  const auto plain = records_.pool_store()->open(stands.state, records_.own_record(), worker().scratch);
  if (!plain) {
    session().state_note = ";state=unavailable";
    counts.count(StateEvent::unreadable);
    return;
  }
  session().state = base64_encode(*plain);
  session().state_note = ";version=";
  append_decimal(session().state_note, stands.state.version);
  counts.count(StateEvent::replayed);
}

/// The store did not answer. False: `on_missing: reject`, and the local reply (503) is set.
bool Placement::go_on_without_state() {
  if (!records_.keeps_state()) return true;
  worker().memory->store.count(StateEvent::unavailable);
  if (request().pool->config.session.state->on_missing == config::OnMissing::reject) {
    reply().status = 503;
    return false;
  }
  session().state_note = ";state=unavailable";
  return true;
}

}  // namespace remora
