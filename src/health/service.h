// Who is in service when few are left, and how much of its share a backend gets that has just come back.
// Pure.
#pragma once

#include <chrono>

#include "remora/pool_snapshot.h"

namespace remora {

/// The weight of a backend `since` its return: from a tenth up to all of it over `slow_start`. With a slow
/// start weights are in hundredths, so that a weight of 1 can grow.
std::uint32_t warm_weight(std::uint32_t weight, std::chrono::nanoseconds slow_start,
                          std::chrono::nanoseconds since) noexcept;

/// Below `panic` (a share of those that the operator wants) too few are in service: what probes and traffic
/// showed does not count, for all. With nobody in service, backends that are only ejected come back: that
/// they failed a moment ago is no worse than an error for certain.
void rescue(PoolSnapshot& pool, double panic) noexcept;

}  // namespace remora
