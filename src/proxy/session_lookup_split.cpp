// Pools of a split: which one begins a session, and where a session continues that has moved between them.

#include "proxy/session_lookup.h"

#include <algorithm>

#include "affinity/kinds.h"
#include "balance/rendezvous.h"
#include "proxy/split.h"
#include "util/text.h"

namespace remora {

using What = Recognised::What;
using Family = Affinity::Family;

void SessionLookup::settle_in(std::size_t pool, const Recognised& found) {
  session_.bound_key.reset();
  request_.pool_index = pool;
  request_.pool = request_.snapshot->shared->pools[pool].get();
  session_.recognised = found;
  session_.left_pool = nullptr;
}

/// Finds the session's pool; else draws one by weight, of those with a backend in service.
void SessionLookup::find_session_in_split(bool asked_store) {
  const Snapshot& shared = *request_.snapshot->shared;
  const auto serves = [&](std::size_t pool) { return in_service(*shared.pools[pool]->snapshot); };
  const std::uint64_t key = worker_.random.next();
  auto drawn = draw_target(*request_.route, key, serves);
  if (!drawn) drawn = draw_target(*request_.route, key, [](std::size_t) { return true; });
  Recognised found_there, moved_away;
  std::size_t former = 0, present = 0;
  for (std::size_t i = 0; i < request_.route->targets.size(); ++i) {
    const std::size_t pool = request_.route->targets[i].pool;
    const Recognised found = recognise_in(*shared.pools[pool]);
    if (i == drawn.value_or(0)) found_there = found;
    if (found.what != What::session) continue;
    // The session is known here but has moved to another pool: that pool's own knowledge comes first.
    const auto lives_in = [&](std::size_t p) {
      return shared.pools[p]->snapshot->find(found.binding.backend);
    };
    const auto home = std::find_if(request_.route->targets.begin(), request_.route->targets.end(),
                                   [&](const auto& t) { return lives_in(t.pool) != nullptr; });
    if (lives_in(pool) != nullptr || home == request_.route->targets.end()) return settle_in(pool, found);
    if (moved_away.what == What::session && found.binding.epoch <= moved_away.binding.epoch) continue;
    moved_away = found;
    former = pool;
    present = home->pool;
  }
  if (moved_away.what != What::session)
    return settle_in(request_.route->targets[drawn.value_or(0)].pool, found_there);
  const Recognised there = recognise_in(*shared.pools[present]);
  if (there.learned && there.cause == Cause::ended && there.binding.id == moved_away.binding.id)
    return settle_in(present, there);
  settle_in(former, moved_away);
  go_on_in(present, moved_away.binding, !asked_store);
  if (!session_.bound_key) return;
  Record found;
  found.binding = moved_away.binding;
  found.binding.last_seen = turn_.wall_now();
  found.reason = session_.recognised.moved_for;
  records_.write_behind(found);
}

void SessionLookup::go_on_in(std::size_t pool, const Binding& binding, bool ask_first) {
  const bool was_learned = session_.recognised.learned;
  session_.bound_key.reset();  // a key of the former pool
  session_.left_pool = request_.pool;
  request_.pool_index = pool;
  request_.pool = request_.snapshot->shared->pools[pool].get();
  const auto& kinds = request_.pool->affinity;
  if (kinds.empty()) return settle_in(pool, {});  // a reload removed them
  const auto issued = std::find_if(kinds.begin(), kinds.end(),
                                   [](const auto& kind) { return kind->family() == Family::issued; });
  session_.recognised.kind = issued == kinds.end() ? 0 : static_cast<std::size_t>(issued - kinds.begin());
  session_.recognised.learned = session_.recognised.old_key = session_.recognised.stale = false;
  session_.recognised.came_by_cookie = false;
  session_.recognised.behind = true;
  if (session_.recognised.moved_for == Reason::none) session_.recognised.moved_for = Reason::failover;
  if (was_learned || issued == kinds.end())
    learn_in_new_pool(recognise_in(*request_.pool), binding, ask_first);
}

/// Binds the app's id in the new pool too, so that its requests find the session there and keep it alive.
void SessionLookup::learn_in_new_pool(const Recognised& there, const Binding& binding, bool ask_first) {
  if (!there.learned || !there.lookup.stored) return;
  // `own`: the session was here before.
  const bool own = there.what != What::unbound && there.binding.id == binding.id;
  // It has ended here; or the id names another session.
  if (own ? there.cause == Cause::ended : there.what == What::session) return;
  if (ask_first && there.stale) {
    session_.recognised.stale = true;
    return;
  }
  LocalTable& table = worker_.memory->learned;
  const config::Session& rules = request_.pool->config.session;
  Record present;
  present.binding = binding;
  present.binding.last_seen = turn_.wall_now();
  present.reason = session_.recognised.moved_for;
  if (own) {
    table.adopt(there.key, present, request_.pool->number, rules, turn_.moment());
  } else {
    const Standing stands = table.bind(there.key, binding, request_.pool->number, rules, turn_.moment());
    if (!(stands.binding.id == binding.id)) return;  // another request was faster, with another session
  }
  session_.recognised.kind = there.kind;
  session_.recognised.learned = true;
  session_.recognised.key = there.key;
  session_.recognised.lookup = there.lookup;
  session_.bound_key = there.key;
}

void SessionLookup::end_in_sisters(const Binding& over, bool leaves_mark) {
  if (request_.route->targets.size() < 2) return;
  const Snapshot& shared = *request_.snapshot->shared;
  for (const auto& target : request_.route->targets) {
    if (target.pool == request_.pool_index) continue;
    const PoolView& pool = *shared.pools[target.pool];
    const Recognised there = recognise_in(pool);
    const bool named = there.learned && there.lookup.stored;
    if (named && leaves_mark) worker_.memory->learned.end(there.key, over.id);
    if (named && !leaves_mark) worker_.memory->learned.forget(there.key, over.id);
    const PoolStore* const keeper = shared.pool_stores[target.pool].get();
    if (keeper == nullptr) continue;
    StoreWriter::Job job;
    job.record.binding = over;
    job.record.ended = true;
    job.lifetimes = pool.config.session;
    job.pool = pool.number;
    job.returning = !session_.served.begun;
    job.only_if_there = true;
    job.key = there.key;
    if (named && keeper->keeps_bindings()) worker_.writer->later(job);
    job.key = keeper->name(over.id, worker_.scratch);
    worker_.writer->later(std::move(job));
  }
}

}  // namespace remora
