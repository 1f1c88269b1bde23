// Everything that one process remembers about sessions. Shared by its workers; outlives reloads.
#pragma once

#include "remora/store_counts.h"
#include "session/active.h"
#include "session/first_requests.h"
#include "session/local_table.h"
#include "session/memory_store.h"
#include "session/moves.h"
#include "session/recent_moves.h"
#include "session/steering.h"

namespace remora {

/// Sessions that are moving to another backend. Until that backend has answered once at this epoch, every
/// request carries the state, because any of several may arrive first. Threading: any thread; usually empty.
class HandedOver {
 public:
  explicit HandedOver(std::size_t capacity) : table_(capacity) {}
  void begin(const SessionId& id, std::uint32_t epoch, ClockReading now) {
    const Entry fresh{epoch, Ticks::at(now.steady) + Ticks::of(std::chrono::minutes(10))};
    table_.put(id, fresh, [&](Entry& e) {
      if (e.epoch <= epoch) e = fresh;
    });
  }
  bool pending(const SessionId& id, std::uint32_t epoch) {
    if (table_.size() == 0) return false;
    const auto e = table_.peek(id);
    return e && e->epoch == epoch;
  }
  void answered(const SessionId& id, std::uint32_t epoch) {
    if (table_.size() > 0) table_.erase_if(id, [&](const Entry& e) { return e.epoch <= epoch; });
  }
  void sweep(ClockReading now) {
    if (table_.size() > 0)
      table_.sweep([&](const SessionId&, const Entry& e) { return e.expires > Ticks::at(now.steady); });
  }

 private:
  struct Entry {
    std::uint32_t epoch, expires;
  };
  ShardedTable<SessionId, Entry> table_;
};

struct SessionMemory {
  explicit SessionMemory(std::size_t capacity)
      : learned(capacity), moves(capacity), active(capacity), handed(capacity), steered(capacity) {
    values = std::make_shared<MemoryValues>(config::Store{}.memory_bytes);
  }
  explicit SessionMemory(const config::Store& store)
      : learned(store.capacity, store.shared() ? std::optional(store.cache_ttl) : std::nullopt),
        moves(store.capacity),
        active(store.capacity),
        handed(store.capacity),
        steered(store.capacity) {
    if (!store.shared()) values = std::make_shared<MemoryValues>(store.memory_bytes);
  }
  LocalTable learned;
  MoveMemory moves;
  ActiveSessions active;
  RecentMoves recent;
  HandedOver handed;
  SteeredSessions steered;
  FirstRequests first;
  std::shared_ptr<MemoryValues> values;  // used with `kind: memory`
  StoreCounts store;

  /// Drops expired entries. Called by the control thread from time to time.
  void sweep(ClockReading now) {
    learned.count(now, [](std::uint16_t, std::uint64_t) {});
    moves.sweep(now);
    active.count(now, [](std::uint16_t, std::uint64_t) {});
    handed.sweep(now);
    steered.sweep(now);
    if (values) values->sweep(now.steady);
  }
  std::uint64_t evicted() const noexcept { return learned.evicted() + moves.evicted() + active.evicted(); }
};

}  // namespace remora
