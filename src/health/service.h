// Which members serve when few are healthy, the slow start of backends that have just come back, and whose
// open streams are to be ended. Pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// The weight of a backend `since` its return: grows from a tenth to the full weight over `slow_start`. With
/// a slow start, weights are in hundredths, so that a weight of 1 can grow.
std::uint32_t warm_weight(std::uint32_t weight, std::chrono::nanoseconds slow_start,
                          std::chrono::nanoseconds since) noexcept;

/// When each backend came into service, for slow starts: backends that came back, and new ones in an
/// existing pool. Not the initial backends of a pool, which are all equally cold.
class Returns {
 public:
  bool knows(const Backend& backend) const { return entries_.contains(&backend); }
  /// Records a backend's current status. `began`: its pool was not known before. `probed`: its pool has
  /// probes.
  void see(const Member& member, bool began, bool probed, Clock::Steady now);
  /// nullopt: in service from the start, or not in service.
  std::optional<Clock::Steady> since(const Backend& backend) const;
  /// Removes backends that left the configuration.
  template <class Keep>
  void retain(Keep keep) {
    std::erase_if(entries_, [&](const auto& e) { return !keep(e.first); });
  }

 private:
  struct Entry {
    bool serves = false;
    std::optional<Clock::Steady> since;
  };
  std::map<const Backend*, Entry> entries_;
};

/// Withholds new sessions from backends that were not probed yet while another one of their tier (ordinary
/// or backup) is known to be up. Call it after rescue(): panic overrides it.
void hold_untested(PoolSnapshot& pool) noexcept;

/// Below `panic` (a share of the members that the operator wants in service) too few members serve: probe
/// results and ejections are ignored for all. If no member serves, members that are only ejected come back:
/// a recent failure is no worse than a certain error.
void rescue(PoolSnapshot& pool, double panic) noexcept;

/// Marks the members whose open streams are to be ended (`drain: {streams: end}`): those in maintenance, and
/// those past their drain's deadline if another member begins sessions. Without one, the clients would come
/// back to the same member. Call it last.
void end_streams(PoolSnapshot& pool, const config::Drain& drain) noexcept;

}  // namespace remora
