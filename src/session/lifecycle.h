// The life of a session as pure decisions over values and `now`: birth, stay, move.
//
// A move gives a session another backend: epoch + 1 and a reason, at the rendezvous choice of (id, epoch +
// 1), so that parallel requests, other workers and other replicas with the same view move it to the same
// place without talking.
#pragma once

#include "remora/affinity.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// Why a bound session cannot stay at `member` (nullptr: gone from the configuration); none: it can.
Reason reason_to_move(const Member* member) noexcept;

/// What the rendezvous choice of a move hashes on.
std::uint64_t move_key(const Binding&) noexcept;

Binding born(const SessionId& id, const Backend& at, Clock::Wall now) noexcept;
Binding moved(const Binding& from, const Backend& to) noexcept;

/// Appends the value of Remora-Session (RFC 8941 item): "<32 hex digits>";epoch=N;reason=R.
void append_announcement(const Binding&, Reason, std::string& out);

}  // namespace remora
