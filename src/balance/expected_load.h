// Forecast of a backend's load from its sessions: its recent requests.
//
// Requests in flight alone say little when a session is placed: with fast apps they are 0 or 1 everywhere,
// and a user with ten times as many requests looks like any other. The requests of a backend's sessions in
// the last minute are the better forecast. A new session counts with its first request only: a reserve for
// future requests made the balance worse in simulation (max/mean 1.07 with a reserve of one request, 1.01
// without), because most sessions never use it.
//
// Threading: any thread; one mutex per backend, taken when sessions are placed.
#pragma once

#include "remora/clock.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// The number of requests, decaying exponentially with a time constant of one minute, as of `now`.
double expected_load(Backend& backend, Clock::Steady now) noexcept;

}  // namespace remora
