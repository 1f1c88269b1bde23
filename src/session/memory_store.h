// The Store of one process, bounded in bytes.
//
// When it is full, sessions whose client never came back are evicted first, oldest first; then the least
// recently used (2Q). Pools share it equally, so that a flood of new sessions from one client does not evict
// what others have. The rule is ShardedTable's, in bytes.
//
// Values have the same form as in every other store, so `kind: memory` takes the same code path. One
// MemoryValues per process, one MemoryStore per worker. Threading: MemoryValues: any thread (one mutex per
// shard); MemoryStore: its worker's thread. Nothing here waits.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "session/sharded_table.h"
#include "session/store.h"

namespace remora {

/// The fields of StoreCall that do not concern waiting.
struct StoreUse {
  std::uint16_t pool = 0;
  bool returning = false;
};

class MemoryValues {
 public:
  explicit MemoryValues(std::size_t max_bytes) : per_shard_(max_bytes / shard_count) {}

  using Use = StoreUse;
  std::optional<Store::Found> get(const std::string& key, Clock::Steady now, Use use = {});
  /// Nothing: the entry is larger than a shard may be.
  std::optional<Store::Swapped> swap(const std::string& key, std::uint64_t expected, std::string value,
                                     std::chrono::milliseconds ttl, Clock::Steady now, Use use = {});
  /// Calls `f(key, value, expires, use)` for each.
  template <class F>
  void for_each(F f) {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      for (const Group& group : shard.groups)
        for (const Entries& list : group.lists)
          for (const Entry& e : list) f(e.key, e.value, e.expires, e.use);
    }
  }
  /// Restores a value of the old process, unless the value here is at least as new.
  void restore(const std::string& key, std::string value, Clock::Steady expires, Clock::Steady now, Use use);
  /// Restores a value of the log, whatever is here.
  void replay(const std::string& key, std::string value, Clock::Steady expires, Clock::Steady now, Use use);
  /// One stored value, as its watchers see it.
  struct Stored {
    const std::string& key;
    const std::string* before;  // the former value; null: none
    const std::string& value;
    Clock::Steady expires;
    Use use;
  };
  /// From now on, `f(context, stored)` is called for each stored value, under the shard's lock. Each watcher
  /// has one.
  using Watch = void (*)(void* context, const Stored& stored);
  /// Once this returns, the previous watch of this watcher is no longer called.
  void watch(Watcher watcher, Watch f, void* context);
  static constexpr std::size_t shard_count = 16;
  /// Calls `f(key, value, expires, use)` for each value of one shard, the least recently used first.
  template <class F>
  void for_each_in_shard(std::size_t number, F f) {
    Shard& shard = shards_[number];
    const std::lock_guard lock(shard.mutex);
    for (const Group& group : shard.groups)
      for (const Entries& list : group.lists)
        for (auto e = list.rbegin(); e != list.rend(); ++e) f(e->key, e->value, e->expires, e->use);
  }
  /// Drops the values for which `f(use)` returns false.
  template <class F>
  void retain(F f) {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      for (Group& group : shard.groups)
        for (Entries& list : group.lists)
          for (auto at = list.begin(); at != list.end();) {
            const auto next = std::next(at);
            if (!f(at->use)) erase(shard, at);
            at = next;
          }
    }
  }
  /// Drops expired values.
  void sweep(Clock::Steady now);
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t evicted() const noexcept { return evicted_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t overhead = 160;  // bytes per entry beside its key and value
  struct Entry {
    std::string key, value;
    std::uint64_t token;
    Clock::Steady expires;
    Use use;
  };
  using Entries = std::list<Entry>;  // the most recently used first
  struct Group {
    Entries lists[2];  // [0]: seen once; [1]: returning
    std::size_t bytes[2] = {};
    std::size_t total() const noexcept { return bytes[0] + bytes[1]; }
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::vector<Group> groups;  // by pool; all fields are guarded by mutex
    std::unordered_map<std::string_view, Entries::iterator> index;
    std::size_t bytes = 0;
  };
  static std::size_t size_of(const Entry& e) noexcept { return e.key.size() + e.value.size() + overhead; }
  Shard& shard_of(const std::string& key) { return shards_[std::hash<std::string>{}(key) % shard_count]; }
  void take_out(Shard& shard, Entries::iterator at, Entries& into);
  void erase(Shard& shard, Entries::iterator at);
  /// The unexpired entry, now the most recently used one; nothing: there is none.
  std::optional<Entries::iterator> find(Shard& shard, const std::string& key, Clock::Steady now, Use use);
  Entries::iterator victim(Shard& shard, std::size_t own) const;

  struct Watching {
    std::atomic<Watch> call{nullptr};
    void* context = nullptr;  // set before `call`
  };
  std::array<Watching, watcher_count> watching_;
  const std::size_t per_shard_;
  std::array<Shard, shard_count> shards_;
  std::atomic<std::uint64_t> tokens_{0}, evicted_{0};
  std::atomic<std::size_t> bytes_{0};
};

class MemoryStore final : public Store {
 public:
  MemoryStore(std::shared_ptr<MemoryValues> values, const Clock& clock)
      : values_(std::move(values)), clock_(clock) {}
  Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) override;
  Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                             std::chrono::milliseconds ttl, StoreCall call) override;
  bool available() const noexcept override { return true; }
  std::string problem() const override { return {}; }
  void stop() noexcept override {}

 private:
  const std::shared_ptr<MemoryValues> values_;
  const Clock& clock_;
};

}  // namespace remora
