// Chooses among the members that accept new sessions, for a request without a usable binding.
//
// Threading: one per worker and snapshot; never shared, so no locks. Lifetime: holds the snapshot
// that it was made from. A new policy is one file in src/balance and one line in its registry.
#pragma once

#include <chrono>
#include <cstdint>

#include "remora/pool_snapshot.h"

namespace remora {

/// What is placed: a single request, or a session whose requests will all follow it there.
enum class Purpose : std::uint8_t { request, session };

class LoadBalancer {
 public:
  virtual ~LoadBalancer() = default;

  /// Never returns a member of `tried`, nor one that accepts nothing new. Backups are considered
  /// only when no ordinary member is left. nullptr: nothing is left.
  virtual const Member* pick(const Tried& tried, Purpose purpose) = 0;

  /// Tells how long a backend took to its response head; only peak_ewma listens.
  virtual void observe(const Backend&, std::chrono::nanoseconds /*first_byte*/,
                       std::chrono::steady_clock::time_point /*now*/) {}
};

}  // namespace remora
