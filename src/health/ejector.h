// Passive ejection, decided from reports of live traffic and `now`. Pure; control thread.
//
// Workers count consecutive failures per backend (FailureStreaks) and report each full streak. An ejection
// ends by time, not by a check. Each repeated ejection lasts twice as long, until the backend has stayed in
// service for longer than its last ejection. Never ejects more than `max_share` of a pool at once.
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

class Ejector {
 public:
  /// Reports a streak of `how` failures of the configured length. Returns the duration of the ejection, or
  /// nullopt if the backend is ejected already or the pool's share is used up. `members`: number of members
  /// of its pool.
  std::optional<std::chrono::milliseconds> report(const std::shared_ptr<Backend>& backend, Ejected how,
                                                  const config::Eject& rules, std::size_t members,
                                                  Clock::Steady now);
  Ejected state(const Backend& backend) const;
  /// Forgets the backend's ejections.
  void forgive(const Backend& backend) { entries_.erase(&backend); }
  /// Ends ejections that have expired; returns the backends that came back.
  std::vector<std::shared_ptr<Backend>> expire(Clock::Steady now);
  /// When the next ejection ends; nullopt if none is active.
  std::optional<Clock::Steady> next_end() const;
  /// Removes backends that left the configuration.
  template <class Keep>
  void retain(Keep keep) {
    std::erase_if(entries_, [&](const auto& e) { return !keep(e.first); });
  }

 private:
  struct Entry {
    std::shared_ptr<Backend> backend;
    Ejected how = Ejected::no;
    Clock::Steady until{};              // end of the current or last ejection
    std::chrono::milliseconds last{0};  // duration of that ejection
  };
  std::map<const Backend*, Entry> entries_;
};

}  // namespace remora
