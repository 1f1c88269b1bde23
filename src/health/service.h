// Who is in service when few are left, and how much of its share a backend gets that has just come back.
// Pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// The weight of a backend `since` its return: from a tenth up to all of it over `slow_start`. With a slow
/// start weights are in hundredths, so that a weight of 1 can grow.
std::uint32_t warm_weight(std::uint32_t weight, std::chrono::nanoseconds slow_start,
                          std::chrono::nanoseconds since) noexcept;

/// Since when backends take their share, for slow starts: those that came back, and those that are new among
/// others. Not those that a pool began with: they are all as cold.
class Returns {
 public:
  bool knows(const Backend& backend) const { return entries_.contains(&backend); }
  /// Looks at a backend as it is now. `began`: nobody of its pool was known before. `probed`: its health is
  /// looked at.
  void see(const Member& member, bool began, bool probed, Clock::Steady now);
  /// Nothing: for as long as anybody knows, or it is not in service.
  std::optional<Clock::Steady> since(const Backend& backend) const;
  /// Backends that left the configuration are forgotten.
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

/// A backend that was not probed yet gets nothing new while another of its kind (ordinary or backup) is known
/// to be up. After rescue(): what is used in a panic is used.
void hold_untested(PoolSnapshot& pool) noexcept;

/// Below `panic` (a share of those that the operator wants) too few are in service: what probes and traffic
/// showed does not count, for all. With nobody in service, backends that are only ejected come back: that
/// they failed a moment ago is no worse than an error for certain.
void rescue(PoolSnapshot& pool, double panic) noexcept;

}  // namespace remora
