#include "proxy/session_lookup.h"

#include <algorithm>

#include "proxy/decide.h"

namespace remora {

using What = Recognized::What;

RequestView SessionLookup::view() const noexcept {
  RequestView v = view_for_affinity(request().head, request().arrival,
                                    memory().passed.empty() ? nullptr : &memory().passed);
  v.scope = &scope_;
  return v;
}

Recognized SessionLookup::recognize_in(const PoolView& pool) {
  if (pool.affinity.empty() || !request().route->config.affinity) return {};
  return recognize(pool.affinity, view(), *worker().memory, pool.config.session, worker().scratch,
                   turn().clock_reading());
}

void SessionLookup::look_up(bool asked_store) {
  if (request().route->targets.size() > 1) return find_session_in_split(asked_store);
  const std::size_t pool = request().route->targets.front().pool;
  settle_in(pool, recognize_in(*request().snapshot->shared->pools[pool]));
}

void SessionLookup::use_timeouts() {
  request().timeouts = request().pool->config.timeouts;
  const config::RouteTimeouts& own = request().route->config.timeouts;
  request().timeouts.connect = own.connect.value_or(request().timeouts.connect);
  request().timeouts.response = own.response.value_or(request().timeouts.response);
  request().timeouts.read = own.read.value_or(request().timeouts.read);
  request().timeouts.write = own.write.value_or(request().timeouts.write);
  request().timeouts.queue = own.queue.value_or(request().timeouts.queue);
  const config::Failover& rules = request().pool->config.failover;
  attempt().same_backend_left = rules.bound_same_backend;
  request().suspect_after = config::Millis(0);
  // Without probes a hung backend cannot be detected.
  if (request().pool->config.probe.kind == config::ProbeKind::off) return;
  request().suspect_after = rules.suspect_after.value_or(
      std::min(config::Millis(1000), std::max(request().timeouts.response / 3, config::Millis(1))));
}

void SessionLookup::accept_session() {
  for (const auto& kind : request().pool->affinity) kind->conceal(view(), memory().request_edits);
  request().snapshot->shared->foreign_tokens[request().pool_index].conceal(view(), memory().request_edits);
  // Only a response that may be rewritten must come whole and uncompressed.
  if (memory().request_edits.identity_coding)
    memory().request_edits.identity_coding =
        request().has_sessions() && may_be_issued(session().recognized, request().pool->affinity);
  memory().response_edits.no_ranges = memory().request_edits.identity_coding;
  use_timeouts();
}

SessionCounts& SessionLookup::counts() const noexcept {
  return request().pool->counters->sessions[worker().index];
}

/// False: this instance's session follows the stored one, which the store does not know to be over.
bool SessionLookup::adopt_stored(const PoolView& pool, const SessionKey& key, const Record& stored) {
  if (records_.is_known_to_be_over(stored)) return false;
  LocalTable& table = worker().memory->learned;
  table.adopt(key, stored, pool.number, pool.config.session, turn().clock_reading());
  const auto stands = table.find_now(key, turn().clock_reading(), false);
  return !stands || stands->binding.id == stored.binding.id;
}

Task<void> SessionLookup::ask_store() {
  const Snapshot& shared = *request().snapshot->shared;
  SessionMemory& memory = *worker().memory;
  for (const auto& target : request().route->targets) {
    const PoolView& pool = *shared.pools[target.pool];
    const Recognized found = recognize_in(pool);
    if (!found.stale) continue;
    StoreCounts::add(memory.store.lookups);
    const StoreCall call = records_.store_call(worker().store_timeout);
    Result<std::optional<Record>> stored = co_await worker().sessions->find(found.key, call);
    memory.store.count(outcome_of(stored));
    for (std::size_t i = 0; i < found.also_count && stored && !*stored; ++i) {
      const StoreCall next = records_.store_call(worker().store_timeout);
      const Result<std::optional<Record>> other = co_await worker().sessions->find(found.also[i], next);
      memory.store.count(outcome_of(other));
      if (other && *other)
        memory.learned.adopt(found.also[i], **other, pool.number, pool.config.session,
                             turn().clock_reading());
      if (!other || *other) break;
    }
    if (stored && *stored && adopt_stored(pool, found.key, **stored)) continue;
    memory.learned.trust(found.key, turn().clock_reading());
    if (!stored || found.what != What::session) continue;
    // The store has lost a session that is alive here (it restarted empty, for example), or has not received
    // it and has the one before: write it again.
    StoreWriter::Job job;
    if (*stored) job.over.push_back((*stored)->binding.id);
    job.key = found.key;
    job.record.binding = found.binding;
    job.lifetimes = pool.config.session;
    job.pool = pool.number;
    job.returning = true;
    worker().writer->later(std::move(job));
  }
  look_up(true);
}

}  // namespace remora
