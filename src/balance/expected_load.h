// The load that a backend's sessions are expected to bring: its recent requests.
//
// In-flight requests alone say little when sessions are placed: with fast apps they are 0 or 1 everywhere,
// and a user who asks ten times as often as others looks like anyone else. What a backend's sessions did in
// the last minute is the better forecast. A new session counts by its first request alone: a reserve for what
// it may yet do made things worse in simulation (max/mean 1.07 with a reserve of one request, 1.01 without),
// because most sessions never do it.
//
// Threading: any thread; a mutex per backend, taken when sessions are placed.
#pragma once

#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// Requests as of now, those of the past fading with a time constant of one minute.
double expected_load(Backend& backend, Clock::Steady now) noexcept;

}  // namespace remora
