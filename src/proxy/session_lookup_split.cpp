// Pools of a split: carries out what was decided about them (decide_pool.h).

#include "proxy/session_lookup.h"

#include "proxy/decide_pool.h"

namespace remora {

using Family = Affinity::Family;

void SessionLookup::settle_in(std::size_t pool, const Recognized& found) {
  session().bound_key.reset();
  request().pool_index = pool;
  request().pool = request().snapshot->shared->pools[pool].get();
  session().recognized = found;
  session().left_pool = nullptr;
}

void SessionLookup::find_session_in_split(bool asked_store) {
  const Snapshot& shared = *request().snapshot->shared;
  const PoolDecision d = decide_pool(shared, *request().route, worker().random.next(),
                                     [this](const PoolView& pool) { return recognize_in(pool); });
  settle_in(d.left.value_or(d.pool), d.found);
  if (!d.left) return;
  go_on_in(d.pool, d.found.binding, !asked_store);
  if (!session().bound_key) return;
  Record found;
  found.binding = d.found.binding;
  found.binding.last_seen = turn().wall_now();
  found.reason = session().recognized.moved_for;
  records_.write_behind(found);
}

void SessionLookup::go_on_in(std::size_t pool, const Binding& binding, bool ask_first) {
  const bool was_learned = session().recognized.learned;
  session().bound_key.reset();  // a key of the former pool
  session().left_pool = request().pool;
  request().pool_index = pool;
  request().pool = request().snapshot->shared->pools[pool].get();
  const auto& kinds = request().pool->affinity;
  if (kinds.empty()) return settle_in(pool, {});  // a reload removed them
  carry_over(session().recognized, kinds);
  const bool has_issued = kinds[session().recognized.kind]->family() == Family::issued;
  if (was_learned || !has_issued) learn_in_new_pool(recognize_in(*request().pool), binding, ask_first);
}

/// Binds the app's id in the new pool too, so that its requests find the session there and keep it alive.
void SessionLookup::learn_in_new_pool(const Recognized& there, const Binding& binding, bool ask_first) {
  const Learning learning = decide_learning(there, binding, ask_first);
  if (learning == Learning::none) return;
  if (learning == Learning::ask_store) {
    session().recognized.stale = true;
    return;
  }
  LocalTable& table = worker().memory->learned;
  const config::Session& rules = request().pool->config.session;
  Record present;
  present.binding = binding;
  present.binding.last_seen = turn().wall_now();
  present.reason = session().recognized.moved_for;
  if (learning == Learning::adopt) {
    table.adopt(there.key, present, request().pool->number, rules, turn().clock_reading());
  } else {
    const Standing stands =
        table.bind(there.key, binding, request().pool->number, rules, turn().clock_reading());
    if (!(stands.binding.id == binding.id)) return;  // another request was faster, with another session
  }
  session().recognized.kind = there.kind;
  session().recognized.learned = true;
  session().recognized.key = there.key;
  session().recognized.lookup = there.lookup;
  session().bound_key = there.key;
}

void SessionLookup::end_in_other_pools(const Binding& over, bool leaves_mark) {
  if (request().route->targets.size() < 2) return;
  const Snapshot& shared = *request().snapshot->shared;
  for (const auto& target : request().route->targets) {
    if (target.pool == request().pool_index) continue;
    const PoolView& pool = *shared.pools[target.pool];
    const Recognized there = recognize_in(pool);
    const bool named = there.learned && there.lookup.stored;
    if (named && leaves_mark) worker().memory->learned.end(there.key, over.id);
    if (named && !leaves_mark) worker().memory->learned.forget(there.key, over.id);
    const PoolStore* const keeper = shared.pool_stores[target.pool].get();
    if (keeper == nullptr) continue;
    StoreWriter::Job job;
    job.record.binding = over;
    job.record.ended = true;
    job.lifetimes = pool.config.session;
    job.pool = pool.number;
    job.returning = !session().served.begun;
    job.only_if_there = true;
    job.key = there.key;
    if (named && keeper->keeps_bindings()) worker().writer->later(job);
    job.key = keeper->name(over.id, worker().scratch);
    worker().writer->later(std::move(job));
  }
}

}  // namespace remora
