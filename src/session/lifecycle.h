// The life of a session as pure decisions over values and `now`: birth, stay, move, control by the app.
//
// A move gives a session another backend: epoch + 1 and a reason, at the rendezvous choice of (id, epoch +
// 1), so that parallel requests, other workers and other replicas with the same view move it to the same
// place without talking.
#pragma once

#include <optional>
#include <string_view>

#include "remora/affinity.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// Why a bound session cannot stay at `member` (nullptr: gone from the configuration); none: it can.
Reason reason_to_move(const Member* member, const Binding& binding) noexcept;

/// What the rendezvous choice of a move hashes on.
std::uint64_t move_key(const Binding&) noexcept;

Binding born(const SessionId& id, const Backend& at, Clock::Wall now) noexcept;
Binding moved(const Binding& from, const Backend& to) noexcept;

/// The id of a session that is only known by the app's id: the same on every worker and replica.
SessionId id_from_key(const SessionKey& key) noexcept;

/// The id of the session that follows an expired one: requests that come at once with the old one begin the
/// same on every worker and replica. Another one after some minutes, so that no old token outlives a
/// lifetime.
SessionId successor(const SessionId& expired, Clock::Wall now) noexcept;

/// What a response head says to us; every field of it is stripped.
enum class Control : std::uint8_t { none, end, renew, move };
struct SessionFields {
  Control control = Control::none;
  std::uint64_t generation = 0;  // 0: not said
  unsigned state_fields = 0;     // how often Remora-State was said
  std::string_view state;
  std::uint64_t state_version = 0;  // that the app had seen; 0: it does not say
};
/// Reads Remora-Session-Control and Remora-Generation. What is malformed or said twice differently is not
/// said.
SessionFields read_session_fields(std::span<const Field> fields) noexcept;

/// Appends the value of Remora-Session (RFC 8941 item): "<32 hex digits>";epoch=N;reason=R.
void append_announcement(const Binding&, Reason, std::string& out);

}  // namespace remora
