// The life of a session as pure decisions over values and `now`: birth, staying, moves, control by the app.
//
// A move gives a session another backend: epoch + 1 and a reason. The new backend is the rendezvous choice
// for (id, epoch + 1), so parallel requests, other workers and other replicas with the same view choose the
// same backend without communicating.
#pragma once

#include <optional>
#include <string_view>

#include "remora/affinity.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// Why a bound session cannot stay at `member` (nullptr: removed from the configuration). `none`: it can
/// stay.
Reason reason_to_move(const Member* member, const Binding& binding) noexcept;

/// The rendezvous key for the session's next move.
std::uint64_t move_key(const Binding&) noexcept;

Binding born(const SessionId& id, const Backend& at, Clock::Wall now) noexcept;
Binding moved(const Binding& from, const Backend& to) noexcept;

/// The id of a session that is known only by the app's id: the same on every worker and replica.
SessionId id_from_key(const SessionKey& key) noexcept;

/// The id of the session that begins at `now` under a key that the client never changes. The same on every
/// worker and replica. It differs from one idle timeout to the next, so that the id of a session that ended
/// does not come back once everything about it is forgotten.
SessionId id_from_key(const SessionKey& key, const config::Session& lifetimes, Clock::Wall now) noexcept;

/// The id of the session that follows an expired one. Concurrent requests with the expired id start the same
/// session on every worker and replica. The result changes every 10 minutes, so that no old token outlives a
/// lifetime.
SessionId successor(const SessionId& expired, Clock::Wall now) noexcept;

/// The session fields of a response head. All of them are stripped before the client sees the response.
enum class Control : std::uint8_t { none, end, renew, move, pin };
struct SessionFields {
  Control control = Control::none;
  std::string_view move_to;      // a backend's id, with Control::move; empty: any other
  std::uint64_t generation = 0;  // 0: absent
  unsigned state_fields = 0;     // number of Remora-State fields
  std::string_view state;
  std::uint64_t state_version = 0;  // the version that the app had seen; 0: not given
};
/// Reads Remora-Session-Control, Remora-Generation, Remora-State and Remora-State-Version. Malformed values
/// are ignored, and so are repeated Control or Generation fields that disagree. Of State and State-Version
/// the last value stands.
SessionFields read_session_fields(std::span<const Field> fields) noexcept;

/// Remora-Replay: the id of the backend that is to serve the request instead. Empty: absent, malformed, or
/// several that disagree.
std::string_view read_replay(std::span<const Field> fields) noexcept;

/// Appends the value of Remora-Session (RFC 8941 item): "<32 hex digits>";epoch=N;reason=R.
void append_announcement(const Binding&, Reason, std::string& out);

}  // namespace remora
