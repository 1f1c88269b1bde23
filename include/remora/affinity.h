// Affinity: whose session is this? Contracts of the kinds in src/affinity.
//
// A kind recognises the session that a request belongs to (`identify`), hides its own token from
// the app (`conceal`) and marks responses so that the next request is recognised (`mark`). It never
// knows the network. Threading: `const` after construction; one object serves every worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "remora/clock.h"
#include "remora/http_view.h"

namespace remora {

struct SessionId {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const SessionId&) const = default;
  std::uint64_t hash() const noexcept;
};

/// Why a session is where it is; spelled as in `Remora-Session`, logs and metrics.
enum class Reason : std::uint8_t {
  none,
  new_,
  sticky,
  failover,
  drain,
  maint,
  expired,
  restart,
  overload,
  removed
};
std::string_view to_string(Reason) noexcept;

/// Why a token was no session; counted.
enum class Cause : std::uint8_t {
  none,
  absent,
  malformed,
  unknown_key,
  forged,
  future,
  idle,
  too_old,
  count_
};
std::string_view to_string(Cause) noexcept;

/// What a token (or a store) says of a session. Times are wall time: other replicas read them.
struct Binding {
  SessionId id;                  // 128 random bits, ours; told to backends as the stable opaque id
  std::uint64_t backend = 0;     // hash of the backend id: fixed size, no allocation
  std::uint64_t generation = 0;  // of that backend when the session was placed there
  std::uint32_t epoch = 1;       // 1 at birth, +1 at each move
  Clock::Wall created{}, last_seen{};
};

struct NoHint {
  Cause cause = Cause::absent;
};
struct Opened {  // our own token, opened and valid
  Binding binding;
  bool old_key = false;  // sealed by a key that is no longer the first
};
struct HashOn {  // derived: consistent hash
  std::uint64_t hash = 0;
};
using Hint = std::variant<NoHint, Opened, HashOn>;

/// The worker's cipher contexts and its cache of opened tokens; see affinity/seal.h.
class CryptoScratch;

/// What became of the session in this exchange: `mark` decides whether the client must hear of it.
struct Served {
  Binding binding;
  Reason reason = Reason::none;
  bool begun = false;  // made in this exchange
  bool moved = false;  // placed elsewhere in this exchange
  bool old_key = false;
};

class Affinity {
 public:
  virtual ~Affinity() = default;
  /// A missing, malformed, forged or expired token is NoHint with its cause, never an error.
  virtual Hint identify(const RequestView&, CryptoScratch&, Clock::Wall now) const = 0;
  /// Removes our own token from what the backend sees.
  virtual void conceal(RequestEdits&) const {}
  /// Whether a request without a session begins one (derived kinds have none to begin).
  virtual bool issues() const noexcept { return false; }
  /// Called once, at the final response head.
  virtual void mark(const RequestView&, const Served&, const ResponseView&, CryptoScratch&,
                    Clock::Wall /*now*/, ResponseEdits&) const {}
  /// The session was lost and is not given another backend: tells the client to forget it.
  virtual void clear(const RequestView&, ResponseEdits&) const {}
};

}  // namespace remora
