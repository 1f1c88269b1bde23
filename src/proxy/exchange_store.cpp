// What an exchange asks the store, and tells it: learned sessions that other instances know, moves that all
// agree on, the app's state. None of it happens on a sticky hit within the cache's time.

#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using What = Recognised::What;

const PoolStore* Exchange::pool_store() const noexcept {
  return request_.snapshot->shared->pool_stores[request_.pool_index].get();
}

bool Exchange::keeps_state() const noexcept {
  const PoolStore* const keeper = pool_store();
  return keeper != nullptr && keeper->keeps_state();
}

/// The app's id names a record that other instances find.
bool Exchange::is_named() const noexcept {
  return (session_.bound_key || session_.recognised.learned) && pool_store()->keeps_bindings();
}

SessionKey Exchange::name_of_session() const noexcept {
  return session_.bound_key ? *session_.bound_key : session_.recognised.key;
}

/// Under our own id: the app's state, and the moves of sessions that have no other record.
SessionKey Exchange::own_record() const {
  return pool_store()->name(session_.served.binding.id, worker_.scratch);
}

Record Exchange::record() const {
  Record r;
  r.binding = session_.served.binding;
  r.binding.last_seen = turn_.wall_now();
  r.reason = session_.served.reason == Reason::sticky ? Reason::none : session_.served.reason;
  return r;
}

StoreCall Exchange::store_call(std::chrono::milliseconds timeout) noexcept {
  if (request_.pool == nullptr) return {turn_.wake(), turn_.now() + timeout};
  return {turn_.wake(), turn_.now() + timeout, request_.pool->number, !session_.served.begun};
}

// Revoked tokens ------------------------------------------------------------------------------------

Task<bool> Exchange::check_revocation() {
  for (std::size_t i = 0; i < memory_.passed.size();) {
    const JwtVerifier& verifier = memory_.passed.verifier(i);
    JwtOutcome outcome = JwtOutcome::fine;
    if (!verifier.rules.revocation_claims.empty())
      outcome = co_await look_for_revoked(verifier, memory_.passed.claims(i));
    if (outcome == JwtOutcome::fine) {
      ++i;
      continue;
    }
    (*verifier.counts)[worker_.index].count(outcome);
    const auto& verifiers = request_.snapshot->shared->verifiers;
    if (request_.route->auth < verifiers.size() && verifiers[request_.route->auth].get() == &verifier) {
      const auto refused = refusal(verifier, outcome, true);
      reply_.status = refused->status;
      reply_.challenge = refused->value;
      co_return false;
    }
    memory_.passed.drop(i);
  }
  co_return true;
}

Task<JwtOutcome> Exchange::look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims) {
  bool any = false;
  for (const std::string& claim : verifier.rules.revocation_claims) {
    const auto text = claims.texts.find(claim);
    if (text == claims.texts.end()) continue;
    any = true;
    if (const auto known = worker_.revocations.find(text->second, turn_.now())) {
      if (*known) co_return JwtOutcome::revoked;
      continue;
    }
    const StoreCall call = store_call(worker_.store_timeout);
    const Result<bool> said = co_await worker_.sessions->revoked(text->second, call);
    worker_.memory->store.count(outcome_of(said));
    if (said.has_value()) {
      worker_.revocations.put(text->second, *said, turn_.now());
      if (*said) co_return JwtOutcome::revoked;
    } else if (verifier.rules.revocation_denies_on_error) {
      co_return JwtOutcome::unchecked;
    }
  }
  co_return any ? JwtOutcome::fine : JwtOutcome::claims;  // what has no such claim could never be taken back
}

// Before a backend is chosen ------------------------------------------------------------------------

/// The app's id is new here, or what is known of it has not been confirmed for a while.
Task<void> Exchange::ask_store() {
  const Snapshot& shared = *request_.snapshot->shared;
  SessionMemory& memory = *worker_.memory;
  for (const auto& target : request_.route->targets) {
    const PoolView& pool = *shared.pools[target.pool];
    const Recognised found = recognise_in(pool);
    if (!found.stale) continue;
    StoreCounts::add(memory.store.lookups);
    const StoreCall call = store_call(worker_.store_timeout);
    Result<std::optional<Record>> said = co_await worker_.sessions->find(found.key, call);
    memory.store.count(outcome_of(said));
    for (std::size_t i = 0; i < found.also_count && said && !*said; ++i) {
      const StoreCall next = store_call(worker_.store_timeout);
      const Result<std::optional<Record>> other = co_await worker_.sessions->find(found.also[i], next);
      memory.store.count(outcome_of(other));
      if (other && *other)
        memory.learned.adopt(found.also[i], **other, pool.number, pool.config.session, turn_.moment());
      if (!other || *other) break;
    }
    if (said && *said) {
      memory.learned.adopt(found.key, **said, pool.number, pool.config.session, turn_.moment());
      continue;
    }
    memory.learned.trust(found.key, turn_.moment());
    if (!said || found.what != What::session) continue;
    // The store has lost what is alive here (it began empty, say): it is told again.
    StoreWriter::Job job;
    job.key = found.key;
    job.record.binding = found.binding;
    job.lifetimes = pool.config.session;
    job.pool = pool.number;
    job.returning = true;
    worker_.writer->later(std::move(job));
  }
  find_session(true);
}

// A move --------------------------------------------------------------------------------------------

/// The session moved here: the store decides whether that stands, shuts out its previous owner, and gives the
/// state for the new one. False: this request is answered here.
Task<bool> Exchange::agree_on_move() {
  session_.agree = false;
  session_.state.clear();
  session_.state_note.clear();
  const bool arrives = session_.left_pool != nullptr;  // from another pool of a split
  Copied brought = Copied::done;
  if (arrives && keeps_state()) brought = co_await bring_state();
  if (brought == Copied::failed) {
    tell_later(record());
    co_return go_on_without_state();
  }
  const bool lost = brought == Copied::unreadable;
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Record wanted = record();
    const SessionKey key = is_named() ? name_of_session() : own_record();
    const Result<SessionStore::Standing> said = co_await settle_move(key, wanted);
    if (!said) {
      tell_later(wanted);
      co_return go_on_without_state();
    }
    const Record stands = *said->record;
    if (stands.ended) co_return begin_anew(stands);
    if (stands.binding.epoch == wanted.binding.epoch && stands.binding.backend == wanted.binding.backend) {
      if (is_named() && keeps_state()) {
        const Result<SessionStore::Standing> kept = co_await settle_move(own_record(), wanted);
        if (!kept) co_return go_on_without_state();
        take_state(*kept->record, lost);
      } else {
        take_state(stands, lost);
      }
      co_return true;
    }
    follow(stands);  // another instance was faster: its choice counts, unless nobody is there
    if (!serve_at(usable_bound(session_.served.binding.backend)) && !move_session(Reason::failover)) break;
    session_.agree = false;
  }
  attempt_.failure = {};
  fail(Failure::Side::self, Failure::Kind::no_backend);
  co_return false;
}

Task<Result<SessionStore::Standing>> Exchange::settle_move(SessionKey key, Record wanted) {
  const config::Session& rules = request_.pool->config.session;
  // Where the session has just arrived, its name may stand for one that ended there.
  const bool arrives = session_.left_pool != nullptr;
  SessionStore::Rule rule = [wanted, arrives](const std::optional<Record>& now) {
    auto next = move_rule(now, wanted);
    return next || !arrives ? next : bind_rule(now, wanted);
  };
  const StoreCall call = store_call(rules.state ? rules.state->fetch_timeout : worker_.store_timeout);
  Result<SessionStore::Standing> said =
      co_await worker_.sessions->change(key, std::move(rule), rules, false, call);
  worker_.memory->store.count(outcome_of(said));
  co_return said;
}

/// Ended elsewhere meanwhile: this request has no session.
bool Exchange::begin_anew(const Record& over) {
  SessionMemory& memory = *worker_.memory;
  const SessionId id = session_.served.binding.id;
  memory.moves.ended(id, over.binding.epoch, Reason::none, request_.pool->config.session, turn_.moment());
  if (session_.recognised.learned) memory.learned.end(session_.recognised.key, id);
  end_in_sisters(session_.served.binding);
  session_.recognised.what = What::nothing;
  session_.recognised.cause = Cause::ended;
  session_.bound = false;
  session_.served = {};
  return choose_backend();
}

/// What another instance decided becomes what this one knows.
void Exchange::follow(const Record& stands) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& rules = request_.pool->config.session;
  session_.served.binding = stands.binding;
  session_.served.changed = true;
  if (session_.recognised.learned)
    memory.learned.adopt(session_.recognised.key, stands, request_.pool->number, rules, turn_.moment());
  memory.moves.moved(stands.binding.id, stands.binding.epoch, stands.binding.backend, stands.reason, rules,
                     turn_.moment());
  if (keeps_state()) memory.handed.begin(stands.binding.id, stands.binding.epoch, turn_.moment());
}

/// Without a state the backend is told that there is none; `lost`: that there was one.
void Exchange::take_state(const Record& stands, bool lost) {
  if (!keeps_state()) return;
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
  const auto plain = pool_store()->open(stands.state, own_record(), worker_.scratch);
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

bool Exchange::go_on_without_state() {
  if (!keeps_state()) return true;
  worker_.memory->store.count(StateEvent::unavailable);
  if (request_.pool->config.session.state->on_missing == config::OnMissing::reject) {
    reply_.status = 503;
    return false;
  }
  session_.state_note = ";state=unavailable";
  return true;
}

// After the response head ---------------------------------------------------------------------------

/// No request waits for it. `only_if_there`: what has no record gets none.
void Exchange::tell_later(const Record& wanted, bool only_if_there) {
  const PoolStore* const keeper = pool_store();
  if (keeper == nullptr) return;
  StoreWriter::Job job;
  job.record = wanted;
  job.lifetimes = request_.pool->config.session;
  job.pool = request_.pool->number;
  job.returning = !session_.served.begun;
  if (is_named()) {
    job.key = name_of_session();
    job.only_if_there = only_if_there;
    worker_.writer->later(job);
    if (!keeper->keeps_state()) return;
    only_if_there = true;
  }
  job.key = keeper->name(wanted.binding.id, worker_.scratch);
  // Nobody begins with an end, but what comes late must find it.
  const bool mark = wanted.ended && keeper->keeps_state();
  job.only_if_there = !mark && (only_if_there || !keeper->keeps_bindings());
  worker_.writer->later(std::move(job));
}

/// The session is over: what stands in the store is replaced by a mark.
void Exchange::tell_end(const Binding& over) {
  Record mark;
  mark.binding = over;
  mark.ended = true;
  tell_later(mark);
}

/// What the app wants kept with its session, from a head or from trailers.
void Exchange::hear_state(const SessionFields& said, bool may_wait) {
  if (said.state_fields == 0 || !keeps_state()) return;
  const config::State& rules = *request_.pool->config.session.state;
  StoreCounts& counts = worker_.memory->store;
  if (said.state_fields > 1) return counts.count(StateEvent::malformed);
  if (said.state.size() > (rules.max_bytes + 2) / 3 * 4) return counts.count(StateEvent::too_large);
  auto plain = base64_decode(said.state);
  if (!plain) return counts.count(StateEvent::malformed);
  if (plain->size() > rules.max_bytes) return counts.count(StateEvent::too_large);
  StoreWriter::Job job;
  job.key = own_record();
  job.record = record();
  job.lifetimes = request_.pool->config.session;
  job.pool = request_.pool->number;
  job.returning = !session_.served.begun;
  StoreWriter::Save save;
  save.bytes = plain->size();
  save.seen = said.state_version;
  save.times = {session_.announced_at, turn_.wall_now()};
  save.deletes = plain->empty();
  save.seal = [keeper = request_.snapshot->shared->pool_stores[request_.pool_index],
               &scratch = worker_.scratch, key = job.key,
               plain = std::move(*plain)](std::uint32_t epoch, std::uint64_t version) {
    return plain.empty() ? plain : keeper->seal(plain, key, epoch, version, scratch);
  };
  job.save = std::move(save);
  if (!may_wait || rules.save != config::SaveMode::sync) return worker_.writer->later(std::move(job));
  session_.kept().save = std::move(job);
}

/// The head waits: another instance must find the session that it begins, and a state that the app was told
/// is kept (`save: sync`) must be.
Task<void> Exchange::keep_session() {
  if (session_.kept().bind) co_await keep_name();
  if (session_.kept().renewed) co_await carry_state(*session_.kept().renewed);
  if (session_.kept().save) co_await keep_state();
}

/// The app's id, for all instances.
Task<void> Exchange::keep_name() {
  const config::Session& rules = request_.pool->config.session;
  const Record fresh = record();
  const SessionKey key = name_of_session();
  const bool renames = session_.kept().renames;
  SessionStore::Rule rule = [fresh, renames](const std::optional<Record>& now) {
    return renames ? rename_rule(now, fresh) : bind_rule(now, fresh);
  };
  const StoreCall call = store_call(worker_.store_timeout);
  const Result<SessionStore::Standing> said =
      co_await worker_.sessions->change(key, std::move(rule), rules, !renames, call);
  worker_.memory->store.count(outcome_of(said));
  StoreWriter::Job job;
  job.lifetimes = rules;
  job.pool = request_.pool->number;
  job.returning = !session_.served.begun;
  job.record = fresh;
  if (!said) {
    job.key = key;
    worker_.writer->later(job);
  } else if (!said->changed && session_.bound_key) {
    worker_.memory->learned.adopt(*session_.bound_key, *said->record, request_.pool->number, rules,
                                  turn_.moment());
  }
  if (!session_.kept().former_name) co_return;
  job.key = *session_.kept().former_name;  // requests that still carry it are served where it was
  job.record.replaced = true;
  worker_.writer->later(std::move(job));
}

/// What `keeper` keeps there, if anything, becomes the state of this session, here. So does a deletion, which
/// late answers must find.
Task<Exchange::Copied> Exchange::copy_state(const PoolStore& keeper, SessionKey from) {
  const config::Session& rules = request_.pool->config.session;
  const SessionKey to = own_record();
  const StoreCall reading = store_call(worker_.store_timeout);
  const Result<std::optional<Record>> old = co_await worker_.sessions->find(from, reading);
  worker_.memory->store.count(outcome_of(old));
  if (!old) co_return Copied::failed;
  if (!*old || (*old)->state.version == 0) co_return Copied::done;
  const KeptState kept = (*old)->state;
  Record fresh = record();
  fresh.state = kept;
  if (!kept.sealed.empty()) {
    const auto plain = keeper.open(kept, from, worker_.scratch);
    if (!plain) co_return Copied::unreadable;
    fresh.state.epoch = fresh.binding.epoch;
    fresh.state.sealed = pool_store()->seal(*plain, to, fresh.state.epoch, kept.version, worker_.scratch);
  }
  SessionStore::Rule rule = [fresh, writer = kept.epoch](const std::optional<Record>& now) {
    return bring_rule(now, fresh, writer);
  };
  const StoreCall writing = store_call(worker_.store_timeout);
  const Result<SessionStore::Standing> said =
      co_await worker_.sessions->change(to, std::move(rule), rules, true, writing);
  worker_.memory->store.count(outcome_of(said));
  if (said) co_return Copied::done;
  worker_.memory->store.count(StateEvent::unsaved);
  co_return Copied::failed;
}

/// A renewed id takes the state along; nothing of it stays under the old one, unless it did not arrive.
Task<void> Exchange::carry_state(SessionId former) {
  const SessionKey from = pool_store()->name(former, worker_.scratch);
  const Copied copied = co_await copy_state(*pool_store(), from);
  if (copied != Copied::done) co_return;
  StoreWriter::Job job;  // also when nothing was kept: a late answer under the former id finds its end
  job.key = from;
  job.record = record();
  job.record.binding.id = former;
  job.record.ended = true;
  job.lifetimes = request_.pool->config.session;
  job.pool = request_.pool->number;
  worker_.writer->later(std::move(job));
}

/// The session comes from another pool of a split, and what that one kept for it comes along.
Task<Exchange::Copied> Exchange::bring_state() {
  const Snapshot& shared = *request_.snapshot->shared;
  for (const auto& target : request_.route->targets) {
    const PoolStore* const keeper = shared.pool_stores[target.pool].get();
    if (shared.pools[target.pool].get() != session_.left_pool || keeper == nullptr || !keeper->keeps_state())
      continue;
    const SessionKey from = keeper->name(session_.served.binding.id, worker_.scratch);
    co_return co_await copy_state(*keeper, from);
  }
  co_return Copied::done;
}

/// `save: sync`.
Task<void> Exchange::keep_state() {
  StoreCounts& counts = worker_.memory->store;
  session_.kept().save->record.binding = session_.served.binding;
  Saved saved = Saved::saved;
  const StoreWriter::Job& job = *session_.kept().save;
  SessionStore::Rule rule = [&job, &saved](const std::optional<Record>& now) {
    return apply(job, now, saved);
  };
  const StoreCall call = store_call(worker_.store_timeout);
  const Result<SessionStore::Standing> said =
      co_await worker_.sessions->change(job.key, std::move(rule), request_.pool->config.session, false, call);
  counts.count(outcome_of(said));
  if (!said) {
    worker_.writer->later(std::move(*session_.kept().save));
    co_return;
  }
  counts.count(event_of(saved));
}

}  // namespace remora
