// What is decided about a request's session and its backend. The request path (Placement) carries a decision
// out; explain() shows it.
//
// No I/O. Besides DecisionInputs (the caller's tables and rate limits, asked only when a decision depends on
// them), they read the backends' load counters. Threading: any thread.
#pragma once

#include <optional>

#include "proxy/arrival.h"
#include "proxy/snapshot.h"
#include "session/lifecycle.h"
#include "session/local_table.h"
#include "session/moves.h"
#include "session/recognize.h"
#include "session/steering.h"

namespace remora {

/// The request path spends the rate limits and counts the uses; an explanation only looks.
class DecisionInputs {
 public:
  virtual Clock::Wall wall_now() const = 0;
  /// What this instance remembers about the moves of a session.
  virtual std::optional<Move> find_move(const SessionId& id) = 0;
  /// What an app or an operator wants of the session.
  virtual Steering find_steering(const SessionId& id) = 0;
  /// The rate of moves after a drain's deadline allows one now.
  virtual bool allows_drain() = 0;
  /// With `rebalance`: how long the session was idle; nothing: unknown, or another request of it is open.
  virtual std::optional<std::chrono::milliseconds> idle_time(const Binding& binding) = 0;
  /// The rate of `rebalance` allows a move now.
  virtual bool allows_rebalance() = 0;

 protected:
  ~DecisionInputs() = default;
};

/// The request, and the pool that is to serve it. Borrowed for the call.
struct Situation {
  const PoolView& pool;
  const RouteView& route;
  const RequestHead& head;
  const Tried& tried;
  Clock::Steady began;             // when the request began
  const Binding* begun = nullptr;  // the session that an earlier attempt of this request began

  bool has_sessions() const noexcept { return !pool.affinity.empty() && route.config.affinity; }
};

struct Decision {
  enum class Action : std::uint8_t {
    stay,     // the session stays at `member`
    move,     // the session moves to `member` because of `reason`; null: no other backend can take it
    reject,   // it would have to move because of `reason`, but `on_lost: reject` forbids it
    begin,    // the session `id` begins at `member`, with `epoch`; null: no backend can take it
    place,    // a session begins where the balancer chooses
    forward,  // to `member`, without a session; null: no backend can take it
    balance,  // to the balancer's choice, without a session
  } action = Action::balance;
  /// Why `member`; for explanations.
  enum class By : std::uint8_t {
    binding,            // the session's binding, or the rendezvous choice of its next epoch
    name_in_id,         // the app's id itself names the backend
    id_hash,            // rendezvous choice of the app's id
    hash,               // rendezvous choice of a hash of the request
    former_session,     // the renewed session lives there
    moved_successor,    // the session that follows the expired one has moved there
    hash_of_successor,  // rendezvous choice of that session
    steering,           // an app or an operator named it, or wants the session elsewhere
  } by = By::binding;
  Reason reason = Reason::none;
  const Member* member = nullptr;
  std::uint32_t epoch = 1;
  SessionId id{};
  /// With `stay`: a move that was wanted, and why it does not happen now.
  Reason wanted = Reason::none;
  enum class Kept : std::uint8_t { no, nobody_else, rate } kept = Kept::no;
};

/// The first choice for a request of which this was recognized; with `at.tried`, the next choice of a request
/// that is not bound. A bound session's next choice is decide_move().
Decision decide(const Recognized& found, const Situation& at, DecisionInputs& in);

/// Where a session goes that cannot stay: `move` or `reject`.
Decision decide_move(const Binding& binding, Reason why, const Situation& at);

/// A session goes where the app or an operator wants it.
Decision steered_move(const Binding& binding, const Member& to) noexcept;

/// `on_lost: reject` or `on_unknown: reject`: the request is rejected before a backend is chosen.
bool is_rejected(const Recognized& found) noexcept;

/// A request without a session begins one. Not CORS preflights, nor in pools that only hash.
bool begins_session(const Situation& at) noexcept;

// Moves ---------------------------------------------------------------------------------------------

/// A move that was recorded, and where it leads.
struct SettledMove {
  Binding binding;                 // what stands: this request's move, or another one's
  const Member* member = nullptr;  // null: no backend can take the session
  bool own = false;                // this request's move stands
};

/// Moves a session, first to `to`. The tables decide: `record(wanted)` records a move and returns the binding
/// that stands. If it is another request's move, to a backend that cannot serve, the session moves on.
template <class Record>
SettledMove adopt_move(const Binding& from, const Member* to, Reason why, const Situation& at, Record record);

/// What stands after a move to `wanted` was recorded: first in the table of learned sessions, if the session
/// is in it, then in the memory of moves, where a later move of another request may stand.
Binding standing_in_table(const Binding& wanted, const Standing& in_table) noexcept;
Binding standing_in_memory(const Binding& in_table, const Move& in_memory) noexcept;

// Backends ------------------------------------------------------------------------------------------

/// The backend, if it may serve sessions that are bound to it (`usable_new`: may begin sessions), and was not
/// tried yet.
const Member* usable_bound(const PoolSnapshot& pool, std::uint64_t backend, const Tried& tried) noexcept;
const Member* usable_new(const PoolSnapshot& pool, std::uint64_t backend, const Tried& tried) noexcept;

/// Names the clients whose first requests share a backend: a hash of client address, User-Agent and pool. 0:
/// this request shares none, because the client is unknown or without a User-Agent, or is a proxy, which
/// serves many.
std::uint64_t first_requests_key(const RequestHead& head, const Arrival& arrival,
                                 std::uint16_t pool_number) noexcept;

/// The request came through proxies that are not in `trusted_proxies`: the client address is theirs, and
/// stands for many clients.
bool through_unknown_proxies(std::span<const Field> fields) noexcept;

/// The request as affinity kinds see it.
RequestView view_for_affinity(const RequestHead& head, const Arrival& arrival,
                              const VerifiedClaims* claims) noexcept;

template <class Record>
SettledMove adopt_move(const Binding& from, const Member* to, Reason why, const Situation& at,
                       Record record) {
  SettledMove out{from};
  constexpr int max_rounds = 4;
  for (int round = 0; round < max_rounds && to != nullptr; ++round) {
    const Binding wanted = moved(out.binding, *to->backend);
    out.binding = record(wanted);
    out.own = out.binding.epoch == wanted.epoch && out.binding.backend == wanted.backend;
    out.member = out.own ? to : usable_bound(*at.pool.snapshot, out.binding.backend, at.tried);
    if (out.member != nullptr) return out;
    // The other move leads to a backend that cannot serve. So this one is no longer a matter of load.
    const Reason now = why == Reason::rebalance ? Reason::overload : why;
    to = decide_move(out.binding, now, at).member;
  }
  return out;
}

}  // namespace remora
