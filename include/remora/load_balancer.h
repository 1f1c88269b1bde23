// Chooses among the members that accept new sessions, for a request without a usable binding.
//
// Threading: one per worker and snapshot; never shared, so no locks. Lifetime: holds the snapshot
// that it was made from. A new policy is one file in src/balance and one line in its registry.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "remora/pool_snapshot.h"

namespace remora {

/// What is placed: a single request, or a session whose later requests all follow it.
enum class Purpose : std::uint8_t { request, session };

class LoadBalancer {
 public:
  virtual ~LoadBalancer() = default;

  /// Never returns a member of `tried`, nor one that accepts no new sessions, nor for a session one without
  /// room. Backups are considered only
  /// when no ordinary member is left. nullptr: no member is left.
  virtual const Member* pick(const Tried& tried, Purpose purpose) = 0;
  /// The members of which the next pick() returns one, whatever was picked before. Changes nothing;
  /// allocates, so it is for explanations.
  virtual std::vector<const Member*> candidates(const Tried& tried, Purpose purpose) const = 0;

  /// Whether `took` is the time of a response, or a lower bound because none came.
  enum class Took : std::uint8_t { exactly, at_least };
  /// Reports the time from the complete request to the response head. Only peak_ewma uses it.
  virtual void observe(const Backend&, std::chrono::nanoseconds /*took*/,
                       std::chrono::steady_clock::time_point /*now*/, Took = Took::exactly) {}
};

}  // namespace remora
