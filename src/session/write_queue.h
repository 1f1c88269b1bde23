// What waits to be told to the store: one job per session, bounded, the most valuable first.
//
// A later job for a session takes the place of an earlier one. Ends (logouts, ids that were replaced) have
// room of their own and go out first: a flood of new sessions while the store is away must not bring back
// sessions that were ended. Of the rest, when it is full, the least valuable goes: first refreshed stamps,
// which the next request repeats, then new sessions, then moves and states. Among equals the newcomer goes.
// Threading: one thread.
#pragma once

#include <array>
#include <list>
#include <optional>
#include <unordered_map>

#include "remora/config.h"
#include "remora/store_counts.h"
#include "session/record.h"

namespace remora {

struct StoreJob {
  struct Save {
    Seal seal;
    std::size_t bytes = 0;  // what it holds on to
    std::uint64_t seen = 0;
    SaveTimes times{};
    bool deletes = false;
  };
  SessionKey key;
  Record record;  // `ended`: the session is over; `replaced`: it goes on under another name
  config::Session lifetimes;
  bool only_if_there = false;  // no record is made for it
  std::optional<Save> save;
  bool late = false;  // it failed once
  std::uint16_t pool = 0;
  bool returning = false;  // StoreCall's
};

class WriteQueue {
 public:
  struct Limits {
    std::size_t jobs = 20000, ends = 50000, state_bytes = 16U << 20;
  };
  explicit WriteQueue(StoreCounts& counts) : WriteQueue(counts, Limits()) {}
  WriteQueue(StoreCounts& counts, Limits limits) : counts_(counts), limits_(limits) {}

  void put(StoreJob job);
  /// It failed; meanwhile there may be a later one for its session.
  void put_back(StoreJob job);
  /// The most valuable, and of those the oldest, whose session is not being told of already. The session is
  /// under way until done().
  std::optional<StoreJob> take();
  void done(const SessionKey& key) { under_way_.erase(key); }
  bool empty() const noexcept { return jobs_.empty(); }
  std::size_t size() const noexcept { return jobs_.size(); }

 private:
  enum class Rank : std::uint8_t { refresh, birth, change, end, count_ };
  struct HashKey {
    std::size_t operator()(const SessionKey& k) const noexcept { return k.hash(); }
  };
  using Order = std::list<SessionKey>;
  struct Waiting {
    StoreJob job;
    Rank rank;
    Order::iterator at;  // in the order of its rank
  };
  using Jobs = std::unordered_map<SessionKey, Waiting, HashKey>;

  static Rank rank_of(const StoreJob& job) noexcept;
  Order& order_of(Rank rank) noexcept { return orders_[static_cast<std::size_t>(rank)]; }
  void insert(StoreJob job, Rank rank);
  void replace(Waiting& old, StoreJob job);
  bool make_room_for(Rank rank);
  StoreJob remove(Jobs::iterator at);
  void drop(const StoreJob& job) noexcept;

  StoreCounts& counts_;
  const Limits limits_;
  Jobs jobs_;
  std::array<Order, static_cast<std::size_t>(Rank::count_)> orders_;
  std::unordered_map<SessionKey, bool, HashKey> under_way_;
  std::size_t bytes_ = 0;
};

}  // namespace remora
