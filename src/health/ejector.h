// Ejection: what live traffic showed, as decisions over reports and `now`. Pure; control thread.
//
// Workers count failures in a row per backend (FailureStreaks) and report each full streak. An ejection ends
// by time, not by a check; each further one is twice as long, until the backend has stayed in service for
// longer than its last ejection. Never more than `max_share` of a pool at once.
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

class Ejector {
 public:
  /// A streak of `how` failures ended at the configured length. Returns how long the backend is ejected, or
  /// nothing: it is already, or the pool's share is used up. `members`: of its pool.
  std::optional<std::chrono::milliseconds> report(const std::shared_ptr<Backend>& backend, Ejected how,
                                                  const config::Eject& rules, std::size_t members,
                                                  Clock::Steady now);
  Ejected state(const Backend& backend) const;
  /// It begins anew.
  void forgive(const Backend& backend) { entries_.erase(&backend); }
  /// Ends what is over; returns who came back.
  std::vector<std::shared_ptr<Backend>> expire(Clock::Steady now);
  /// When the next ejection ends; nothing is ejected: nothing.
  std::optional<Clock::Steady> next_end() const;
  /// Backends that left the configuration are forgotten.
  template <class Keep>
  void retain(Keep keep) {
    std::erase_if(entries_, [&](const auto& e) { return !keep(e.first); });
  }

 private:
  struct Entry {
    std::shared_ptr<Backend> backend;
    Ejected how = Ejected::no;
    Clock::Steady until{};              // of the ejection that runs or ran last
    std::chrono::milliseconds last{0};  // its length
  };
  std::map<const Backend*, Entry> entries_;
};

}  // namespace remora
