// Affinity: which session does a request belong to? The contracts of the kinds in src/affinity.
//
// A kind recognizes the session of a request (`identify`), hides its own token from the app (`conceal`) and
// marks responses so that the next request is recognized (`mark`). It knows nothing of the network.
// Threading: `const` after construction; one object serves every worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

#include "remora/clock.h"
#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

struct SessionId {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const SessionId&) const = default;
  std::uint64_t hash() const noexcept;
};

/// Names a learned session in a store: a MAC of the app's id. The id itself is never stored.
struct SessionKey {
  std::array<std::uint8_t, 32> mac{};
  bool operator==(const SessionKey&) const = default;
  std::uint64_t hash() const noexcept;
};

/// Why a session is at its backend. Spelled as in `Remora-Session`, logs and metrics.
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
  rebalance,
  removed,
  count_
};
std::string_view to_string(Reason) noexcept;

/// Why a request's token or id leads to no session. Counted.
enum class Cause : std::uint8_t {
  none,
  absent,
  malformed,
  unknown_key,
  forged,
  future,
  idle,
  too_old,
  ended,    // by the app, or lost with `on_lost: reject`
  unbound,  // an unknown id of the app
  count_
};
std::string_view to_string(Cause) noexcept;

/// What a token or a store says about a session. Times are wall time: other replicas read them.
struct Binding {
  SessionId id;                  // 128 random bits, ours; told to backends as the stable opaque id
  std::uint64_t backend = 0;     // hash of the backend id: fixed size, no allocation
  std::uint64_t generation = 0;  // of that backend when the session was placed there; 0: unknown
  std::uint32_t epoch = 1;       // 1 at birth, +1 at each move
  bool leave = false;            // the app asked for another backend
  Clock::Wall created{}, last_seen{};
};

struct NoHint {
  Cause cause = Cause::absent;
};
struct Opened {  // our own token, opened and authentic
  Binding binding;
  bool old_key = false;         // sealed by a key that is no longer the first
  Cause expired = Cause::none;  // idle or too_old, by the token's own stamps
  // The client's copy expires before long. `aging`: it should be renewed; `ending`: every response must renew
  // it.
  bool aging = false, ending = false;
};
struct Lookup {  // the app's id: ask the store
  SessionKey key;
  bool stored = true;  // false: the client should have carried the binding, but did not
  bool adopt = false;  // bind the id although no response issues it (hashed kinds with `carry: store`)
  bool reject_unknown = false;   // `on_unknown: reject`
  std::uint64_t route = 0;       // hash of the backend that the id itself names (jvmRoute); 0: none
  Cause cause = Cause::unbound;  // the cause if nothing is bound
};
struct HashOn {  // derived: consistent hash
  std::uint64_t hash = 0;
  double bounded_load = 0;  // largest load of a backend, as a factor of the mean; 0: no limit
  // What was hashed, for explanations: "header X-Tenant". The view lives as long as the kind. Empty: it goes
  // without saying.
  std::string_view source = {};
};
/// Several candidates for the session: two cookies of one name (for two paths, or one of them stale), or a
/// cookie and an id in the URL. The one worth most wins, a living session above all (session/recognize.cpp).
/// Of equals, the first wins. At least two.
struct Several {
  static constexpr std::size_t most = 8;
  std::array<std::variant<Opened, Lookup>, most> of;
  std::size_t count = 0;
};
using Hint = std::variant<NoHint, Opened, Lookup, HashOn, Several>;

/// The worker's cipher contexts and its caches; see affinity/seal.h.
class CryptoScratch;

/// The outcome for the session in this exchange. Kinds decide from it what to tell the client.
struct Served {
  Binding binding;
  Reason reason = Reason::none;
  bool begun = false;           // created in this exchange
  bool changed = false;         // the client's token is outdated and must be replaced
  bool refresh = false;         // still true, but to be sealed again: old key, old stamp, adopted generation
  bool came_by_cookie = false;  // or in a header: the request carried our token, so URLs can stay clean
};

/// What a response head says about the app's own session id.
struct ObservedId {
  std::optional<SessionKey> key;  // the response carries this id
  bool forgotten = false;         // the app cleared its id
};

// Lifetimes of a Binding. On the wall clock, because other replicas wrote its stamps. Pure.

/// `none` while the session lives. Tolerates clocks of replicas that differ by up to two minutes.
Cause judge_lifetime(const Binding&, const config::Session&, Clock::Wall now) noexcept;
/// The stamp is older than a quarter of the idle timeout: it should be renewed.
bool needs_refresh(const Binding&, const config::Session&, Clock::Wall now) noexcept;

class Affinity {
 public:
  /// `issued`: our token; `learned`: the app's id; `derived`: a hash of what the request contains anyway.
  enum class Family : std::uint8_t { issued, learned, derived };

  virtual ~Affinity() = default;
  virtual std::string_view name() const noexcept = 0;
  virtual Family family() const noexcept = 0;
  /// A missing, malformed, forged or expired token is NoHint with its cause, never an error.
  virtual Hint identify(const RequestView&, CryptoScratch&, Clock::Wall now) const = 0;
  /// Removes our own token from what the backend sees.
  virtual void conceal(const RequestView&, RequestEdits&) const {}
  /// Learned kinds: the id in the final response head, if any.
  virtual ObservedId learn(const RequestView&, const ResponseView&, CryptoScratch&) const { return {}; }
  /// Learned kinds: whether the app may give the id in the first event of an event stream
  /// (http/first_event.h).
  virtual bool reads_events() const noexcept { return false; }
  /// The id in the data of such an event.
  virtual std::optional<SessionKey> learn_event(std::string_view /*data*/, CryptoScratch&) const {
    return std::nullopt;
  }
  /// Issued kinds: whether a browser may hold the token and not send it (affinity/kept_back.h).
  virtual bool may_be_kept_back() const noexcept { return true; }
  /// Issued kinds: whether the token is part of URLs, which are passed on. A client that returns one of
  /// another kind needs none in URLs.
  virtual bool is_in_urls() const noexcept { return false; }
  /// Called at the final response head if this kind carries the session.
  virtual void mark(const RequestView&, const Served&, const ResponseView&, CryptoScratch&,
                    Clock::Wall /*now*/, ResponseEdits&) const {}
  /// Tells the client to forget the session: it ended, or was lost and gets no other backend.
  virtual void clear(const RequestView&, ResponseEdits&) const {}
};

}  // namespace remora
