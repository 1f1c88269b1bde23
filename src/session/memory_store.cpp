#include "session/memory_store.h"

#include "session/record.h"

namespace remora {

void MemoryValues::erase(Shard& shard, Entries::iterator at) {
  shard.bytes -= size_of(*at);
  bytes_.fetch_sub(size_of(*at), std::memory_order_relaxed);
  shard.index.erase(at->key);
  shard.entries.erase(at);
}

MemoryValues::Entries::iterator MemoryValues::find(Shard& shard, const std::string& key, Clock::Steady now) {
  const auto known = shard.index.find(key);
  if (known == shard.index.end()) return shard.entries.end();
  const auto at = known->second;
  if (at->expires <= now) {
    erase(shard, at);
    return shard.entries.end();
  }
  shard.entries.splice(shard.entries.begin(), shard.entries, at);
  return at;
}

std::optional<Store::Found> MemoryValues::get(const std::string& key, Clock::Steady now) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto at = find(shard, key, now);
  if (at == shard.entries.end()) return std::nullopt;
  return Store::Found{at->value, at->token};
}

std::optional<Store::Swapped> MemoryValues::swap(const std::string& key, std::uint64_t expected,
                                                 std::string value, std::chrono::milliseconds ttl,
                                                 Clock::Steady now) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto at = find(shard, key, now);
  const bool stands = at != shard.entries.end();
  Store::Swapped result;
  if (stands ? at->token != expected : expected != 0) {
    if (stands) result.standing = Store::Found{at->value, at->token};
    return result;
  }
  Entry fresh{key, std::move(value), tokens_.fetch_add(1, std::memory_order_relaxed) + 1, now + ttl};
  const std::size_t size = size_of(fresh);
  if (size > per_shard_) return std::nullopt;
  if (stands) erase(shard, at);
  while (shard.bytes + size > per_shard_) {
    erase(shard, std::prev(shard.entries.end()));
    evicted_.fetch_add(1, std::memory_order_relaxed);
  }
  shard.entries.push_front(std::move(fresh));
  shard.index.emplace(shard.entries.front().key, shard.entries.begin());
  shard.bytes += size;
  bytes_.fetch_add(size, std::memory_order_relaxed);
  if (const Watch f = watch_.load(std::memory_order_acquire)) {
    const Entry& e = shard.entries.front();
    f(watch_context_, e.key, e.value, e.expires);
  }
  result.done = true;
  return result;
}

void MemoryValues::watch(Watch f, void* context) {
  watch_.store(nullptr, std::memory_order_release);
  for (Shard& shard : shards_) const std::lock_guard lock(shard.mutex);  // who is telling has finished
  watch_context_ = context;
  watch_.store(f, std::memory_order_release);
}

void MemoryValues::restore(const std::string& key, std::string value, Clock::Steady expires,
                           Clock::Steady now) {
  if (expires <= now) return;
  const auto standing = get(key, now);
  if (standing) {
    const auto here = decode(standing->value), there = decode(value);
    if (here && (!there || here->ended || here->binding.epoch > there->binding.epoch ||
                 (here->binding.epoch == there->binding.epoch && !there->ended &&
                  here->state.version >= there->state.version)))
      return;
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(expires - now);
  static_cast<void>(swap(key, standing ? standing->token : 0, std::move(value), left, now));
}

void MemoryValues::sweep(Clock::Steady now) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto at = shard.entries.begin(); at != shard.entries.end();) {
      const auto next = std::next(at);
      if (at->expires <= now) erase(shard, at);
      at = next;
    }
  }
}

Task<Result<std::optional<Store::Found>>> MemoryStore::get(std::string key, StoreCall) {
  co_return values_->get(key, clock_.steady_now());
}

Task<Result<Store::Swapped>> MemoryStore::swap(std::string key, std::uint64_t expected, std::string value,
                                               std::chrono::milliseconds ttl, StoreCall) {
  auto swapped = values_->swap(key, expected, std::move(value), ttl, clock_.steady_now());
  if (!swapped) co_return error_code(StoreErrc::full);
  co_return std::move(*swapped);
}

}  // namespace remora
