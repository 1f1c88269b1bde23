// ShardedTable: a bounded hash table for facts about sessions, shared by all workers.
//
// Entries live in chunks and are linked by index, so that a million of them cost little more than their own
// bytes: 8 bytes of links, and 8 bytes per slot of an open-addressing index that is never more than 3/4 full.
// When a shard is full, entries that were seen only once are evicted first, then the least recently used (of
// lookups only the first counts): a flood of one-time sessions cannot evict those that come back (2Q, Johnson
// and Shasha 1994, with two lists). Values with a `pool` share the table: no pool can push another below an
// equal share.
//
// Threading: any thread; each shard has a mutex that is held for one operation. Lifetime: values are copied
// in and out. Key and Value: trivially copyable; Key has hash() and ==.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <vector>

namespace remora {

/// Who may watch the changes of a table: a hot restart's successor, and the log of sessions.
enum class Watcher : std::uint8_t { successor, log };
inline constexpr std::size_t watcher_count = 2;

template <class Key, class Value>
class ShardedTable {
  static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);

 public:
  static constexpr std::size_t shard_count = 64;

  /// `capacity`: entries kept, at least one per shard.
  explicit ShardedTable(std::size_t capacity)
      : per_shard_(static_cast<std::uint32_t>((capacity + shard_count - 1) / shard_count)) {
    if (per_shard_ == 0) per_shard_ = 1;
  }

  /// Looks up `key`. The first lookup after insertion protects the entry from the next flood.
  std::optional<Value> find(const Key& key) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const std::uint32_t at = shard.find(key);
    if (at == none) return std::nullopt;
    Entry& e = shard.entry(at);
    if (!e.proven) shard.promote(at);
    return e.value;
  }

  /// Like find(), but leaves the entry's recency unchanged (explanations).
  std::optional<Value> peek(const Key& key) const {
    const Shard& shard = shards_[index_of(key)];
    const std::lock_guard lock(shard.mutex);
    const std::uint32_t at = shard.find(key);
    if (at == none) return std::nullopt;
    return shard.entry(at).value;
  }

  /// Calls `f(Value&)` on an existing entry and makes it the most recently used. False: there is none.
  template <class F>
  bool update(const Key& key, F f) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const std::uint32_t at = shard.find(key);
    if (at == none) return false;
    change(shard, at, f);
    return true;
  }

  /// Inserts `fresh`, or calls `f(Value&)` on the existing entry. Returns the value that now stands.
  template <class F>
  Value put(const Key& key, const Value& fresh, F f) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (const std::uint32_t at = shard.find(key); at != none) {
      change(shard, at, f);
      return shard.entry(at).value;
    }
    if (shard.count >= per_shard_) {
      shard.erase(shard.victim(group_of(fresh), per_shard_));
      evicted_.fetch_add(1, std::memory_order_relaxed);
      size_.fetch_sub(1, std::memory_order_relaxed);
    }
    insert(shard, key, fresh);
    return fresh;
  }

  /// Like put(), but evicts nothing. False: the shard is full.
  template <class F>
  bool put_if_room(const Key& key, const Value& fresh, F f) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (const std::uint32_t at = shard.find(key); at != none) {
      change(shard, at, f);
      return true;
    }
    if (shard.count >= per_shard_) return false;
    insert(shard, key, fresh);
    return true;
  }

  /// Reports an entry to the watch as if it had been put; for entries that are stored elsewhere instead.
  void tell_watch(const Key& key, const Value& value) {
    const std::lock_guard lock(shard_of(key).mutex);
    tell(key, nullptr, &value);
  }

  bool erase(const Key& key) {
    return erase_if(key, [](const Value&) { return true; });
  }

  /// Erases the entry if `f(const Value&)` says so, in one step.
  template <class F>
  bool erase_if(const Key& key, F f) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const std::uint32_t at = shard.find(key);
    if (at == none || !f(static_cast<const Value&>(shard.entry(at).value))) return false;
    const Value before = shard.entry(at).value;
    shard.erase(at);
    tell(key, &before, nullptr);
    size_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }

  /// Calls `f(const Key&, const Value&)` for each entry, shard by shard. Erases the entries for which it
  /// returns false.
  template <class F>
  void sweep(F f) {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      for (Group& group : shard.groups)
        for (const Ends& list : group.ends)
          for (std::uint32_t at = list.newest; at != none;) {
            const std::uint32_t next = shard.entry(at).older;
            if (!f(static_cast<const Key&>(shard.entry(at).key),
                   static_cast<const Value&>(shard.entry(at).value))) {
              shard.erase(at);
              size_.fetch_sub(1, std::memory_order_relaxed);
            }
            at = next;
          }
    }
  }

  /// Calls `f(const Key&, const Value&, bool proven)` for each entry of one shard (0 to shard_count - 1), in
  /// an order in which inserting them again evicts the same entries first.
  template <class F>
  void for_each_in_shard(std::size_t number, F f) const {
    const Shard& shard = shards_[number];
    const std::lock_guard lock(shard.mutex);
    for (const Group& group : shard.groups)
      for (std::size_t list = 0; list < 2; ++list)
        for (std::uint32_t at = group.ends[list].oldest; at != none;) {
          const Entry& e = shard.entry(at);
          f(e.key, e.value, list == 1);
          at = e.newer != no_newer ? e.newer : none;
        }
  }

  /// From now on, `f(context, key, before, value)` is called for each entry that is put or changed (`before`
  /// is null if it is new), and with a null `value` for each that erase() or erase_if() removes. It runs
  /// under the lock of the entry's shard, so it must be short. Each watcher has one.
  using Watch = void (*)(void* context, const Key&, const Value* before, const Value* value);
  /// Once this returns, the previous watch of this watcher is no longer called.
  void watch(Watcher watcher, Watch f, void* context) {
    Watching& w = watching_[static_cast<std::size_t>(watcher)];
    w.call.store(nullptr, std::memory_order_release);
    for (Shard& shard : shards_) const std::lock_guard lock(shard.mutex);  // waits for calls in progress
    w.context = context;
    w.call.store(f, std::memory_order_release);
  }

  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  std::size_t capacity() const noexcept { return std::size_t{per_shard_} * shard_count; }
  /// Entries that were evicted because their shard was full.
  std::uint64_t evicted() const noexcept { return evicted_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::uint32_t chunk_entries = 256;

  struct Entry {
    Key key;
    Value value;
    std::uint32_t newer : 31, proven : 1;
    std::uint32_t older;
  };
  static constexpr std::uint32_t no_newer = none >> 1;

  /// `tag`: the low half of the hash, so that most misses are detected without touching an entry.
  struct Slot {
    std::uint32_t tag, at;
  };
  struct Ends {
    std::uint32_t newest = none, oldest = none, count = 0;
  };
  struct Group {
    Ends ends[2];  // [0]: seen once; [1]: seen again
    std::uint32_t count() const noexcept { return ends[0].count + ends[1].count; }
  };
  /// Values with a `pool` are grouped by it; all others are one group.
  static std::size_t group_of(const Value& value) noexcept {
    if constexpr (requires { value.pool; })
      return value.pool;
    else
      return 0;
  }

  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;  // all fields are guarded by mutex
    std::vector<std::unique_ptr<Entry[]>> chunks;
    std::uint32_t count = 0, used = 0, free_list = none;
    std::vector<Group> groups;  // by pool

    Entry& entry(std::uint32_t at) const noexcept { return chunks[at / chunk_entries][at % chunk_entries]; }
    static std::uint32_t tag_of(const Key& key) noexcept { return static_cast<std::uint32_t>(key.hash()); }
    std::size_t home(std::uint32_t tag) const noexcept { return tag & (slots.size() - 1); }

    std::uint32_t find(const Key& key) const noexcept {
      if (slots.empty()) return none;
      const std::uint32_t tag = tag_of(key);
      for (std::size_t i = home(tag);; i = (i + 1) & (slots.size() - 1)) {
        if (slots[i].at == none) return none;
        if (slots[i].tag == tag && entry(slots[i].at).key == key) return slots[i].at;
      }
    }

    void insert(const Key& key, const Value& value) {
      if ((std::size_t{count} + 1) * 4 > slots.size() * 3) grow();
      std::uint32_t at = free_list;
      if (at != none) {
        free_list = entry(at).older;
      } else {
        at = used++;
        if (at / chunk_entries == chunks.size()) chunks.push_back(std::make_unique<Entry[]>(chunk_entries));
      }
      Entry& e = entry(at);
      e.key = key;
      e.value = value;
      e.proven = 0;
      link(at);
      place({tag_of(key), at});
      ++count;
    }

    void erase(std::uint32_t at) noexcept {
      unlink(at);
      std::size_t hole = home(tag_of(entry(at).key));
      while (slots[hole].at != at) hole = (hole + 1) & (slots.size() - 1);
      // Later slots move into the hole if lookups would otherwise miss them (Knuth 6.4, algorithm R).
      for (std::size_t i = hole;;) {
        slots[hole].at = none;
        for (;;) {
          i = (i + 1) & (slots.size() - 1);
          if (slots[i].at == none) {
            entry(at).older = free_list;
            free_list = at;
            --count;
            return;
          }
          const std::size_t ideal = home(slots[i].tag);
          const bool stays = hole <= i ? hole < ideal && ideal <= i : hole < ideal || ideal <= i;
          if (!stays) break;
        }
        slots[hole] = slots[i];
        hole = i;
      }
    }

    void promote(std::uint32_t at) {
      change(at, [](Value&) {});
    }
    template <class F>
    void change(std::uint32_t at, F&& f) {
      unlink(at);
      f(entry(at).value);
      entry(at).proven = 1;
      link(at);
    }

    /// The entry that a newcomer of group `own` evicts. Entries seen once go first: from the newcomer's own
    /// group or from a group above its share, whichever has most of them. Otherwise the largest group loses
    /// its least recently used entry. So no group falls below an equal share because of others.
    std::uint32_t victim(std::size_t own, std::uint32_t capacity) const noexcept {
      std::uint32_t present = own < groups.size() && groups[own].count() > 0 ? 0 : 1;
      for (const Group& g : groups) present += g.count() > 0 ? 1 : 0;
      const Group *once = nullptr, *largest = nullptr;
      for (std::size_t i = 0; i < groups.size(); ++i) {
        const Group& g = groups[i];
        const bool is_own = i == own;
        if (g.ends[0].count > 0 && (is_own || g.count() > capacity / present) &&
            (once == nullptr || g.ends[0].count > once->ends[0].count))
          once = &g;
        if (largest == nullptr || g.count() > largest->count() || (is_own && g.count() == largest->count()))
          largest = &g;
      }
      if (once != nullptr) return once->ends[0].oldest;
      return largest->ends[0].oldest != none ? largest->ends[0].oldest : largest->ends[1].oldest;
    }

   private:
    void place(Slot slot) noexcept {
      std::size_t i = home(slot.tag);
      while (slots[i].at != none) i = (i + 1) & (slots.size() - 1);
      slots[i] = slot;
    }
    void grow() {
      std::vector<Slot> old = std::move(slots);
      slots.assign(old.empty() ? 16 : old.size() * 2, Slot{0, none});
      for (const Slot& s : old)
        if (s.at != none) place(s);
    }
    void link(std::uint32_t at) {
      Entry& e = entry(at);
      const std::size_t group = group_of(e.value);
      if (group >= groups.size()) groups.resize(group + 1);
      Ends& list = groups[group].ends[e.proven];
      ++list.count;
      e.newer = no_newer;
      e.older = list.newest;
      if (list.newest != none)
        entry(list.newest).newer = at & no_newer;
      else
        list.oldest = at;
      list.newest = at;
    }
    void unlink(std::uint32_t at) noexcept {
      const Entry& e = entry(at);
      Ends& list = groups[group_of(e.value)].ends[e.proven];
      --list.count;
      if (e.newer != no_newer)
        entry(e.newer).older = e.older;
      else
        list.newest = e.older;
      if (e.older != none)
        entry(e.older).newer = e.newer;
      else
        list.oldest = e.newer == no_newer ? none : e.newer;
    }
  };

  // The high bits of the hash choose the shard, the low bits the slot.
  static std::size_t index_of(const Key& key) noexcept { return key.hash() >> 58; }
  Shard& shard_of(const Key& key) noexcept { return shards_[index_of(key)]; }

  void insert(Shard& shard, const Key& key, const Value& fresh) {
    shard.insert(key, fresh);
    tell(key, nullptr, &fresh);
    size_.fetch_add(1, std::memory_order_relaxed);
  }

  template <class F>
  void change(Shard& shard, std::uint32_t at, F& f) {
    Entry& e = shard.entry(at);
    const Value before = e.value;
    shard.change(at, f);
    tell(e.key, &before, &e.value);
  }

  void tell(const Key& key, const Value* before, const Value* value) const {
    for (const Watching& w : watching_)
      if (const Watch f = w.call.load(std::memory_order_acquire)) f(w.context, key, before, value);
  }

  struct Watching {
    std::atomic<Watch> call{nullptr};
    void* context = nullptr;  // set before `call`
  };
  std::array<Watching, watcher_count> watching_;
  std::uint32_t per_shard_;
  std::array<Shard, shard_count> shards_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> evicted_{0};
};

}  // namespace remora
