#include "proxy/session_records.h"

#include "util/text.h"

namespace remora {

const PoolStore* SessionRecords::pool_store() const noexcept {
  return request().snapshot->shared->pool_stores[request().pool_index].get();
}

bool SessionRecords::keeps_state() const noexcept {
  const PoolStore* const keeper = pool_store();
  return keeper != nullptr && keeper->keeps_state();
}

bool SessionRecords::is_named() const noexcept {
  return (session().bound_key || session().recognized.learned) && pool_store()->keeps_bindings();
}

SessionKey SessionRecords::name_of_session() const noexcept {
  return session().bound_key ? *session().bound_key : session().recognized.key;
}

SessionKey SessionRecords::own_record() const {
  return pool_store()->name(session().served.binding.id, worker().scratch);
}

Record SessionRecords::record() const {
  Record r;
  r.binding = session().served.binding;
  r.binding.last_seen = turn().wall_now();
  r.reason = session().served.reason == Reason::sticky ? Reason::none : session().served.reason;
  return r;
}

StoreCall SessionRecords::store_call(std::chrono::milliseconds timeout) noexcept {
  if (request().pool == nullptr) return {turn().wake(), turn().now() + timeout};
  return {turn().wake(), turn().now() + timeout, request().pool->number, !session().served.begun};
}

void SessionRecords::write_behind(const Record& wanted, bool only_if_there) {
  const PoolStore* const keeper = pool_store();
  if (keeper == nullptr) return;
  StoreWriter::Job job;
  job.record = wanted;
  job.lifetimes = request().pool->config.session;
  job.pool = request().pool->number;
  job.returning = !session().served.begun;
  if (is_named()) {
    job.key = name_of_session();
    job.only_if_there = only_if_there;
    worker().writer->later(job);
    if (!keeper->keeps_state()) return;
    only_if_there = true;
  }
  job.key = keeper->name(wanted.binding.id, worker().scratch);
  // An end mark is written even without a record: with state, late writes must find it.
  const bool mark = wanted.ended && keeper->keeps_state();
  job.only_if_there = !mark && (only_if_there || !keeper->keeps_bindings());
  worker().writer->later(std::move(job));
}

void SessionRecords::mark_ended(const Binding& over) {
  Record mark;
  mark.binding = over;
  mark.ended = true;
  write_behind(mark);
}

void SessionRecords::on_state_header(const SessionFields& fields, bool may_wait) {
  if (fields.state_fields == 0 || !keeps_state()) return;
  const config::State& rules = *request().pool->config.session.state;
  StoreCounts& counts = worker().memory->store;
  if (fields.state_fields > 1) return counts.count(StateEvent::malformed);
  if (fields.state.size() > (rules.max_bytes + 2) / 3 * 4) return counts.count(StateEvent::too_large);
  auto plain = base64_decode(fields.state);
  if (!plain) return counts.count(StateEvent::malformed);
  if (plain->size() > rules.max_bytes) return counts.count(StateEvent::too_large);
  StoreWriter::Job job;
  job.key = own_record();
  job.record = record();
  job.lifetimes = request().pool->config.session;
  job.pool = request().pool->number;
  job.returning = !session().served.begun;
  StoreWriter::Save save;
  save.bytes = plain->size();
  save.seen = fields.state_version;
  save.times = {session().announced_at, turn().wall_now()};
  save.deletes = plain->empty();
  save.seal = [keeper = request().snapshot->shared->pool_stores[request().pool_index],
               &scratch = worker().scratch, key = job.key,
               plain = std::move(*plain)](std::uint32_t epoch, std::uint64_t version) {
    return plain.empty() ? plain : keeper->seal(plain, key, epoch, version, scratch);
  };
  job.save = std::move(save);
  if (!may_wait || rules.save != config::SaveMode::sync) return worker().writer->later(std::move(job));
  session().kept().save = std::move(job);
}

Task<void> SessionRecords::keep_session() {
  if (session().kept().bind) co_await keep_name();
  if (session().kept().renewed) co_await move_state(*session().kept().renewed);
  if (session().kept().save) co_await keep_state();
}

bool SessionRecords::is_known_to_be_over(const Record& stored) {
  if (stored.ended) return false;
  const auto known = worker().memory->moves.find(stored.binding.id, turn().clock_reading());
  return known && known->kind == Move::Kind::ended;
}

/// The session whose name this request begins again.
std::vector<SessionId> SessionRecords::former_sessions() const {
  const Recognized& found = session().recognized;
  if (!session().served.begun || !found.learned || found.cause != Cause::ended) return {};
  return {found.binding.id};
}

/// Publishes the record under the app's id for all instances.
Task<void> SessionRecords::keep_name() {
  const config::Session& rules = request().pool->config.session;
  const Record fresh = record();
  const SessionKey key = name_of_session();
  const bool renames = session().kept().renames;
  const std::vector<SessionId> over = former_sessions();
  SessionStore::Rule rule = [fresh, renames, &over, &rules](const std::optional<Record>& now) {
    if (!renames && now && gives_way(*now, fresh, over, rules)) return std::optional<Record>(fresh);
    return renames ? rename_rule(now, fresh) : bind_rule(now, fresh);
  };
  const StoreCall call = store_call(worker().store_timeout);
  const Result<SessionStore::Outcome> outcome =
      co_await worker().sessions->change(key, std::move(rule), rules, !renames, call);
  worker().memory->store.count(outcome_of(outcome));
  StoreWriter::Job job;
  job.lifetimes = rules;
  job.pool = request().pool->number;
  job.returning = !session().served.begun;
  job.record = fresh;
  if (!outcome || is_known_to_be_over(*outcome->record)) {
    StoreWriter::Job again = job;
    again.key = key;
    again.over = over;
    if (outcome) again.over.push_back(outcome->record->binding.id);
    worker().writer->later(std::move(again));
  } else if (!outcome->changed && session().bound_key) {
    worker().memory->learned.adopt(*session().bound_key, *outcome->record, request().pool->number, rules,
                                   turn().clock_reading());
  }
  if (!session().kept().former_name) co_return;
  // Requests that still carry the former id are served at the same backend.
  job.key = *session().kept().former_name;
  job.record.replaced = true;
  worker().writer->later(std::move(job));
}

/// Copies the state in the record `from`, if any, to this session's own record. A deletion is copied too,
/// because late responses must find it.
Task<Copied> SessionRecords::copy_state(const PoolStore& keeper, SessionKey from) {
  const config::Session& rules = request().pool->config.session;
  const SessionKey to = own_record();
  const StoreCall reading = store_call(worker().store_timeout);
  const Result<std::optional<Record>> old = co_await worker().sessions->find(from, reading);
  worker().memory->store.count(outcome_of(old));
  if (!old) co_return Copied::failed;
  if (!*old || (*old)->state.version == 0) co_return Copied::done;
  const KeptState kept = (*old)->state;
  Record fresh = record();
  fresh.state = kept;
  if (!kept.sealed.empty()) {
    const auto plain = keeper.open(kept, from, worker().scratch);
    if (!plain) co_return Copied::unreadable;
    fresh.state.epoch = fresh.binding.epoch;
    fresh.state.sealed = pool_store()->seal(*plain, to, fresh.state.epoch, kept.version, worker().scratch);
  }
  SessionStore::Rule rule = [fresh, writer = kept.epoch](const std::optional<Record>& now) {
    return bring_rule(now, fresh, writer);
  };
  const StoreCall writing = store_call(worker().store_timeout);
  const Result<SessionStore::Outcome> outcome =
      co_await worker().sessions->change(to, std::move(rule), rules, true, writing);
  worker().memory->store.count(outcome_of(outcome));
  if (outcome) co_return Copied::done;
  worker().memory->store.count(StateEvent::unsaved);
  co_return Copied::failed;
}

/// Moves the state to a renewed id. It stays under the former id only if the copy failed.
Task<void> SessionRecords::move_state(SessionId former) {
  const SessionKey from = pool_store()->name(former, worker().scratch);
  const Copied copied = co_await copy_state(*pool_store(), from);
  if (copied != Copied::done) co_return;
  StoreWriter::Job job;  // even without a state: a late response under the former id must find its end
  job.key = from;
  job.record = record();
  job.record.binding.id = former;
  job.record.ended = true;
  job.lifetimes = request().pool->config.session;
  job.pool = request().pool->number;
  worker().writer->later(std::move(job));
}

Task<Copied> SessionRecords::copy_state() {
  const Snapshot& shared = *request().snapshot->shared;
  for (const auto& target : request().route->targets) {
    const PoolStore* const keeper = shared.pool_stores[target.pool].get();
    if (shared.pools[target.pool].get() != session().left_pool || keeper == nullptr || !keeper->keeps_state())
      continue;
    const SessionKey from = keeper->name(session().served.binding.id, worker().scratch);
    co_return co_await copy_state(*keeper, from);
  }
  co_return Copied::done;
}

/// `save: sync`: stores the state before the head is sent. If the store does not answer, the write is queued.
Task<void> SessionRecords::keep_state() {
  StoreCounts& counts = worker().memory->store;
  session().kept().save->record.binding = session().served.binding;
  Saved saved = Saved::saved;
  const StoreWriter::Job& job = *session().kept().save;
  SessionStore::Rule rule = [&job, &saved](const std::optional<Record>& now) {
    return apply(job, now, saved);
  };
  const StoreCall call = store_call(worker().store_timeout);
  const Result<SessionStore::Outcome> outcome = co_await worker().sessions->change(
      job.key, std::move(rule), request().pool->config.session, false, call);
  counts.count(outcome_of(outcome));
  if (!outcome) {
    worker().writer->later(std::move(*session().kept().save));
    co_return;
  }
  counts.count(event_of(saved));
}

}  // namespace remora
