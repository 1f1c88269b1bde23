// What an exchange asks the store, and tells it: learned sessions that other instances know, moves that all
// agree on, the app's state. None of it happens on a sticky hit within the cache's time.

#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using What = Recognised::What;

const PoolStore* Exchange::pool_store() const noexcept {
  return snapshot_->shared->pool_stores[pool_index_].get();
}

bool Exchange::keeps_state() const noexcept {
  const PoolStore* const keeper = pool_store();
  return keeper != nullptr && keeper->keeps_state();
}

/// Where the session's record is: under the app's id if it has one, else under ours.
SessionKey Exchange::record_key() const {
  if (bound_key_) return *bound_key_;
  if (recognised_.learned) return recognised_.key;
  return pool_store()->name(served_.binding.id, worker_.scratch);
}

Record Exchange::record() const {
  Record r;
  r.binding = served_.binding;
  r.binding.last_seen = worker_.clock.wall_now();
  r.reason = served_.reason == Reason::sticky ? Reason::none : served_.reason;
  return r;
}

StoreCall Exchange::store_call(std::chrono::milliseconds timeout) noexcept {
  return {wake_, now() + timeout};
}

// Revoked tokens ------------------------------------------------------------------------------------

Task<bool> Exchange::check_revocation() {
  for (std::size_t i = 0; i < passed_.size();) {
    const JwtVerifier& verifier = passed_.verifier(i);
    JwtOutcome outcome = JwtOutcome::fine;
    if (!verifier.rules.revocation_claims.empty())
      outcome = co_await look_for_revoked(verifier, passed_.claims(i));
    if (outcome == JwtOutcome::fine) {
      ++i;
      continue;
    }
    (*verifier.counts)[worker_.index].count(outcome);
    const auto& verifiers = snapshot_->shared->verifiers;
    if (route_->auth < verifiers.size() && verifiers[route_->auth].get() == &verifier) {
      const auto refused = refusal(verifier, outcome, true);
      answer_status_ = refused->status;
      challenge_ = refused->value;
      co_return false;
    }
    passed_.drop(i);
  }
  co_return true;
}

Task<JwtOutcome> Exchange::look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims) {
  bool any = false;
  for (const std::string& claim : verifier.rules.revocation_claims) {
    const auto text = claims.texts.find(claim);
    if (text == claims.texts.end()) continue;
    any = true;
    if (const auto known = worker_.revocations.find(text->second, now())) {
      if (*known) co_return JwtOutcome::revoked;
      continue;
    }
    const StoreCall call = store_call(worker_.store_timeout);
    const Result<bool> said = co_await worker_.sessions->revoked(text->second, call);
    worker_.memory->store.count(said.has_value() ? StoreOutcome::done : outcome_of(said.error()));
    if (said.has_value()) {
      worker_.revocations.put(text->second, *said, now());
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
  const Snapshot& shared = *snapshot_->shared;
  SessionMemory& memory = *worker_.memory;
  for (const auto& target : route_->targets) {
    const PoolView& pool = *shared.pools[target.pool];
    const Recognised found = recognise_in(pool);
    if (!found.stale) continue;
    StoreCounts::add(memory.store.lookups);
    const StoreCall call = store_call(worker_.store_timeout);
    const Result<std::optional<Record>> said = co_await worker_.sessions->find(found.key, call);
    memory.store.count(said ? StoreOutcome::done : outcome_of(said.error()));
    if (said && *said) {
      memory.learned.adopt(found.key, **said, pool.number, pool.config.session, moment());
      continue;
    }
    memory.learned.trust(found.key, moment());
    if (!said || found.what != What::session) continue;
    // The store has lost what is alive here (it began empty, say): it is told again.
    StoreWriter::Job job;
    job.key = found.key;
    job.record.binding = found.binding;
    job.lifetimes = pool.config.session;
    worker_.writer->later(std::move(job));
  }
  find_session();
}

// A move --------------------------------------------------------------------------------------------

/// The session moved here: the store decides whether that stands, shuts out its previous owner, and gives the
/// state for the new one, in one step. False: this request is answered here.
Task<bool> Exchange::agree_on_move() {
  agree_ = false;
  state_.clear();
  state_note_ = {};
  const config::Session& rules = pool_->config.session;
  SessionMemory& memory = *worker_.memory;
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    const Record wanted = record();
    const SessionKey key = record_key();
    SessionStore::Rule rule = [wanted](const std::optional<Record>& now) { return move_rule(now, wanted); };
    const StoreCall call = store_call(rules.state ? rules.state->fetch_timeout : worker_.store_timeout);
    const Result<SessionStore::Standing> said =
        co_await worker_.sessions->change(key, std::move(rule), rules, false, call);
    memory.store.count(said ? StoreOutcome::done : outcome_of(said.error()));
    if (!said) {
      tell_later(wanted);
      co_return go_on_without_state();
    }
    const Record& stands = *said->record;
    if (stands.ended) {
      memory.moves.ended(wanted.binding.id, stands.binding.epoch, Reason::none, rules, moment());
      if (recognised_.learned) memory.learned.end(recognised_.key, wanted.binding.id);
      recognised_.what = What::nothing;
      recognised_.cause = Cause::ended;
      bound_ = false;
      served_ = {};
      co_return choose_backend();
    }
    take_state(stands, key);
    if (stands.binding.epoch == wanted.binding.epoch && stands.binding.backend == wanted.binding.backend)
      co_return true;
    // Another instance was faster: its choice is followed, unless it cannot be.
    follow(stands);
    if (serve_at(usable_bound(served_.binding.backend))) co_return true;
    if (!move_session(Reason::failover)) break;
    agree_ = false;
  }
  failure_ = {};
  fail(Failure::Side::self, Failure::Kind::no_backend);
  co_return false;
}

/// What another instance decided becomes what this one knows.
void Exchange::follow(const Record& stands) {
  SessionMemory& memory = *worker_.memory;
  const config::Session& rules = pool_->config.session;
  served_.binding = stands.binding;
  served_.changed = true;
  if (recognised_.learned) memory.learned.adopt(recognised_.key, stands, pool_->number, rules, moment());
  memory.moves.moved(stands.binding.id, stands.binding.epoch, stands.binding.backend, stands.reason, rules,
                     moment());
  if (keeps_state()) memory.handed.begin(stands.binding.id, stands.binding.epoch, moment());
}

void Exchange::take_state(const Record& stands, const SessionKey& key) {
  if (!keeps_state()) return;
  StoreCounts& counts = worker_.memory->store;
  if (stands.state.version == 0 || stands.state.sealed.empty()) {
    state_note_ = ";state=none";
    return counts.count(StateEvent::none);
  }
  const auto plain = pool_store()->open(stands.state, key, worker_.scratch);
  if (!plain) {
    state_note_ = ";state=unavailable";
    return counts.count(StateEvent::unreadable);
  }
  state_ = base64_encode(*plain);
  state_note_ = ";version=";
  append_decimal(state_note_, stands.state.version);
  counts.count(StateEvent::replayed);
}

bool Exchange::go_on_without_state() {
  if (!keeps_state()) return true;
  worker_.memory->store.count(StateEvent::unavailable);
  if (pool_->config.session.state->on_missing == config::OnMissing::reject) {
    answer_status_ = 503;
    return false;
  }
  state_note_ = ";state=unavailable";
  return true;
}

// After the response head ---------------------------------------------------------------------------

/// No request waits for it.
void Exchange::tell_later(const Record& wanted, bool only_if_there) {
  if (pool_store() == nullptr) return;
  StoreWriter::Job job;
  job.key = record_key();
  job.record = wanted;
  job.lifetimes = pool_->config.session;
  job.only_if_there = only_if_there || !pool_store()->keeps_bindings();
  worker_.writer->later(std::move(job));
}

/// The session is over: what stands in the store is replaced by a mark.
void Exchange::tell_end(const Binding& over) {
  if (pool_store() == nullptr) return;
  Record mark;
  mark.binding = over;
  mark.ended = true;
  tell_later(mark);
}

/// What the app wants kept with its session, from a head or from trailers.
void Exchange::hear_state(const SessionFields& said, bool may_wait) {
  if (said.state_fields == 0 || !keeps_state()) return;
  const config::State& rules = *pool_->config.session.state;
  StoreCounts& counts = worker_.memory->store;
  if (said.state_fields > 1) return counts.count(StateEvent::malformed);
  if (said.state.size() > (rules.max_bytes + 2) / 3 * 4) return counts.count(StateEvent::too_large);
  auto plain = base64_decode(said.state);
  if (!plain) return counts.count(StateEvent::malformed);
  if (plain->size() > rules.max_bytes) return counts.count(StateEvent::too_large);
  StoreWriter::Job job;
  job.key = record_key();
  job.record = record();
  job.lifetimes = pool_->config.session;
  StoreWriter::Save save;
  save.bytes = plain->size();
  save.seen = said.state_version;
  save.seal = [keeper = snapshot_->shared->pool_stores[pool_index_], &scratch = worker_.scratch,
               key = job.key, plain = std::move(*plain)](std::uint32_t epoch, std::uint64_t version) {
    return plain.empty() ? plain : keeper->seal(plain, key, epoch, version, scratch);
  };
  job.save = std::move(save);
  if (may_wait && rules.save == config::SaveMode::sync)
    keep_.save = std::move(job);
  else
    worker_.writer->later(std::move(job));
}

/// The head waits: another instance must find the session that it begins, and a state that the app was told
/// is kept (`save: sync`) must be.
Task<void> Exchange::keep_session() {
  StoreCounts& counts = worker_.memory->store;
  const config::Session& rules = pool_->config.session;
  if (keep_.bind || keep_.from) {
    Record fresh = record();
    const SessionKey key = record_key();
    if (keep_.from && keeps_state()) {  // login or renewal: the state goes along
      const StoreCall call = store_call(worker_.store_timeout);
      const Result<std::optional<Record>> old = co_await worker_.sessions->find(*keep_.from, call);
      if (old && *old && (*old)->state.version != 0) {
        const KeptState& kept = (*old)->state;
        const auto plain = pool_store()->open(kept, *keep_.from, worker_.scratch);
        if (plain) {
          fresh.state.epoch = fresh.binding.epoch;
          fresh.state.version = kept.version;
          fresh.state.sealed =
              pool_store()->seal(*plain, key, fresh.state.epoch, kept.version, worker_.scratch);
        }
      }
    }
    const bool renames = keep_.renames;
    const bool needed = pool_store()->keeps_bindings() || fresh.state.version != 0;
    SessionStore::Rule rule = [fresh, renames,
                               needed](const std::optional<Record>& now) -> std::optional<Record> {
      if (!now && !needed) return std::nullopt;
      return renames ? rename_rule(now, fresh) : bind_rule(now, fresh);
    };
    const StoreCall call = store_call(worker_.store_timeout);
    const Result<SessionStore::Standing> said =
        co_await worker_.sessions->change(key, std::move(rule), rules, !renames, call);
    counts.count(said ? StoreOutcome::done : outcome_of(said.error()));
    if (!said)
      tell_later(fresh);
    else if (!said->changed && said->record && bound_key_ && pool_store()->keeps_bindings())
      worker_.memory->learned.adopt(*bound_key_, *said->record, pool_->number, rules, moment());
    if (keep_.from) {
      StoreWriter::Job job;
      job.key = *keep_.from;
      job.record = record();
      job.record.binding.id = keep_.former;
      job.record.replaced = true;
      job.record.ended = !recognised_.learned;  // an id of the app's may still be on its way, and is served
      job.only_if_there = !pool_store()->keeps_bindings();
      job.lifetimes = rules;
      worker_.writer->later(std::move(job));
    }
  }
  if (!keep_.save) co_return;
  keep_.save->record.binding = served_.binding;
  Saved saved = Saved::saved;
  const StoreWriter::Job& job = *keep_.save;
  SessionStore::Rule rule = [&job, &saved](const std::optional<Record>& now) {
    return apply(job, now, saved);
  };
  const StoreCall call = store_call(worker_.store_timeout);
  const Result<SessionStore::Standing> said =
      co_await worker_.sessions->change(job.key, std::move(rule), rules, false, call);
  counts.count(said ? StoreOutcome::done : outcome_of(said.error()));
  if (!said) {
    worker_.writer->later(std::move(*keep_.save));
    co_return;
  }
  counts.count(saved == Saved::saved      ? StateEvent::saved
               : saved == Saved::conflict ? StateEvent::conflict
                                          : StateEvent::outdated);
}

}  // namespace remora
