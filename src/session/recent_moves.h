// The most recent session moves, for display: pool, old and new backend, reason, time.
//
// Threading: any thread; a mutex is enough, because moves are rare compared with requests. Bounded.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "remora/affinity.h"

namespace remora {

struct RecentMove {
  std::string pool, from, to;
  Reason reason = Reason::none;
  Clock::Wall when{};
};

class RecentMoves {
 public:
  static constexpr std::size_t most = 100;

  void add(RecentMove move) {
    const std::lock_guard lock(mutex_);
    moves_.push_front(std::move(move));
    if (moves_.size() > most) moves_.pop_back();
  }
  /// Newest first.
  std::vector<RecentMove> list() const {
    const std::lock_guard lock(mutex_);
    return {moves_.begin(), moves_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::deque<RecentMove> moves_;  // guarded by mutex_
};

}  // namespace remora
