// Jobs waiting to be written to the store: one per session, bounded, most valuable first.
//
// A later job for a session is merged into the earlier one. Ends (logouts, replaced ids) have room of their
// own and are written first: a flood of new sessions while the store is down must not bring back ended
// sessions. When the rest is full, the least valuable job is dropped: first refreshed stamps, which the next
// request repeats, then new sessions, then moves and states. Among equals the newcomer is dropped.
// Threading: one thread.
#pragma once

#include <array>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "remora/config.h"
#include "remora/store_counts.h"
#include "session/record.h"

namespace remora {

struct StoreJob {
  struct Save {
    Seal seal;
    std::size_t bytes = 0;  // size of the state kept in memory
    std::uint64_t seen = 0;
    SaveTimes times{};
    bool deletes = false;
  };
  SessionKey key;
  Record record;  // `ended`: the session is over; `replaced`: it continues under another name
  config::Session lifetimes;
  std::vector<SessionId> over;  // former sessions of this name: they give way (gives_way)
  bool only_if_there = false;   // does not create a record
  std::optional<Save> save;
  bool late = false;  // it has failed once
  std::uint16_t pool = 0;
  bool returning = false;  // as in StoreCall
};

class WriteQueue {
 public:
  struct Limits {
    std::size_t jobs = 20000, ends = 50000, state_bytes = 16U << 20;
  };
  explicit WriteQueue(StoreCounts& counts) : WriteQueue(counts, Limits()) {}
  WriteQueue(StoreCounts& counts, Limits limits) : counts_(counts), limits_(limits) {}

  void put(StoreJob job);
  /// Puts back a job that failed. By now a later job of its session may be queued.
  void put_back(StoreJob job);
  /// The most valuable job, and of those the oldest, whose session has no write in progress. The session
  /// counts as in progress until done().
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
    Order::iterator at;  // position in the list of its rank
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
