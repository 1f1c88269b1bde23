#include "session/memory_store.h"

#include "session/record.h"

namespace remora {

void MemoryValues::take_out(Shard& shard, Entries::iterator at, Entries& into) {
  const std::size_t size = size_of(*at);
  Group& group = shard.groups[at->use.pool];
  shard.bytes -= size;
  group.bytes[at->use.returning] -= size;
  bytes_.fetch_sub(size, std::memory_order_relaxed);
  shard.index.erase(at->key);
  into.splice(into.begin(), group.lists[at->use.returning], at);
}

void MemoryValues::erase(Shard& shard, Entries::iterator at) {
  Entries former;
  take_out(shard, at, former);
}

std::optional<MemoryValues::Entries::iterator> MemoryValues::find(Shard& shard, const std::string& key,
                                                                  Clock::Steady now, Use use) {
  const auto known = shard.index.find(key);
  if (known == shard.index.end()) return std::nullopt;
  const auto at = known->second;
  if (at->expires <= now) {
    erase(shard, at);
    return std::nullopt;
  }
  Group& group = shard.groups[at->use.pool];
  Entries& from = group.lists[at->use.returning];
  group.bytes[at->use.returning] -= size_of(*at);
  at->use.returning = at->use.returning || use.returning;
  group.bytes[at->use.returning] += size_of(*at);
  Entries& to = group.lists[at->use.returning];
  to.splice(to.begin(), from, at);
  return at;
}

/// The same rule as ShardedTable's.
MemoryValues::Entries::iterator MemoryValues::victim(Shard& shard, std::size_t own) const {
  std::size_t present = shard.groups[own].total() > 0 ? 0 : 1;
  for (const Group& g : shard.groups) present += g.total() > 0 ? 1 : 0;
  Group *once = nullptr, *largest = nullptr;
  for (std::size_t i = 0; i < shard.groups.size(); ++i) {
    Group& g = shard.groups[i];
    if (g.bytes[0] > 0 && (i == own || g.total() > per_shard_ / present) &&
        (once == nullptr || g.bytes[0] > once->bytes[0]))
      once = &g;
    if (largest == nullptr || g.total() > largest->total() || (i == own && g.total() == largest->total()))
      largest = &g;
  }
  Entries& list = once != nullptr              ? once->lists[0]
                  : !largest->lists[0].empty() ? largest->lists[0]
                                               : largest->lists[1];
  return std::prev(list.end());
}

std::optional<Store::Found> MemoryValues::get(const std::string& key, Clock::Steady now, Use use) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto at = find(shard, key, now, use);
  if (!at) return std::nullopt;
  return Store::Found{(*at)->value, (*at)->token};
}

std::optional<Store::Swapped> MemoryValues::swap(const std::string& key, std::uint64_t expected,
                                                 std::string value, std::chrono::milliseconds ttl,
                                                 Clock::Steady now, Use use) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto at = find(shard, key, now, use);
  Store::Swapped result;
  if (at ? (*at)->token != expected : expected != 0) {
    if (at) result.standing = Store::Found{(*at)->value, (*at)->token};
    return result;
  }
  if (at) use = (*at)->use;
  Entry fresh{key, std::move(value), tokens_.fetch_add(1, std::memory_order_relaxed) + 1, now + ttl, use};
  const std::size_t size = size_of(fresh);
  if (size > per_shard_) return std::nullopt;
  Entries former;  // outlives the calls of watchers
  if (at) take_out(shard, *at, former);
  if (use.pool >= shard.groups.size()) shard.groups.resize(std::size_t{use.pool} + 1);
  while (shard.bytes + size > per_shard_) {
    erase(shard, victim(shard, use.pool));
    evicted_.fetch_add(1, std::memory_order_relaxed);
  }
  Group& group = shard.groups[use.pool];
  Entries& list = group.lists[use.returning];
  list.push_front(std::move(fresh));
  shard.index.emplace(list.front().key, list.begin());
  shard.bytes += size;
  group.bytes[use.returning] += size;
  bytes_.fetch_add(size, std::memory_order_relaxed);
  const Entry& stored = list.front();
  for (const Watching& w : watching_)
    if (const Watch f = w.call.load(std::memory_order_acquire))
      f(w.context, {stored.key, former.empty() ? nullptr : &former.front().value, stored.value,
                    stored.expires, stored.use});
  result.done = true;
  return result;
}

void MemoryValues::watch(Watcher watcher, Watch f, void* context) {
  Watching& w = watching_[static_cast<std::size_t>(watcher)];
  w.call.store(nullptr, std::memory_order_release);
  for (Shard& shard : shards_) const std::lock_guard lock(shard.mutex);  // waits for calls in progress
  w.context = context;
  w.call.store(f, std::memory_order_release);
}

void MemoryValues::replay(const std::string& key, std::string value, Clock::Steady expires, Clock::Steady now,
                          Use use) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(expires - now);
  if (left.count() <= 0) return;
  const auto standing = get(key, now, use);
  static_cast<void>(swap(key, standing ? standing->token : 0, std::move(value), left, now, use));
}

void MemoryValues::restore(const std::string& key, std::string value, Clock::Steady expires,
                           Clock::Steady now, Use use) {
  if (expires <= now) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(expires - now);
  if (left.count() == 0) return;  // lifetimes are counted in milliseconds: it would be stored as expired
  const auto standing = get(key, now, use);
  if (standing) {
    const auto here = decode(standing->value), there = decode(value);
    if (here && (!there || here->ended || here->binding.epoch > there->binding.epoch ||
                 (here->binding.epoch == there->binding.epoch && !there->ended &&
                  here->state.version >= there->state.version)))
      return;
  }
  static_cast<void>(swap(key, standing ? standing->token : 0, std::move(value), left, now, use));
}

void MemoryValues::sweep(Clock::Steady now) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (Group& group : shard.groups)
      for (Entries& list : group.lists)
        for (auto at = list.begin(); at != list.end();) {
          const auto next = std::next(at);
          if (at->expires <= now) erase(shard, at);
          at = next;
        }
  }
}

Task<Result<std::optional<Store::Found>>> MemoryStore::get(std::string key, StoreCall call) {
  const MemoryValues::Use use{call.pool, call.returning};
  co_return values_->get(key, clock_.steady_now(), use);
}

Task<Result<Store::Swapped>> MemoryStore::swap(std::string key, std::uint64_t expected, std::string value,
                                               std::chrono::milliseconds ttl, StoreCall call) {
  const MemoryValues::Use use{call.pool, call.returning};
  auto swapped = values_->swap(key, expected, std::move(value), ttl, clock_.steady_now(), use);
  if (!swapped) co_return error_code(StoreErrc::full);
  co_return std::move(*swapped);
}

}  // namespace remora
