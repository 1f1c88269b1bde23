// When each open stream of a draining backend is ended. Pure.
//
// Each worker ends its own streams. All begin at the same time, so those of different workers are shifted
// against each other: otherwise four workers with one stream each would end all four at once.
#pragma once

#include <chrono>
#include <cstddef>

#include "remora/clock.h"

namespace remora {

/// A fraction in [0, 1) for each number. Successive ones are far apart, and any run of them is spread evenly
/// (the multiples of the golden ratio).
double spread_fraction(std::size_t number) noexcept;

/// When the `nth` (from 0) of a worker's `all` streams is ended: evenly in [from, from + spread). `shift`:
/// the worker's spread_fraction().
Clock::Steady drain_time(Clock::Steady from, std::chrono::nanoseconds spread, std::size_t nth,
                         std::size_t all, double shift) noexcept;

}  // namespace remora
