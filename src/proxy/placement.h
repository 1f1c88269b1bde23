// Placement: carries out what is decided about the backend of a request (decide.h): serves the session where
// it is bound, records its move, begins a session, or asks the balancer. If the pool keeps bindings or state
// in a store, the store confirms each move.
//
// If a function returns false, no backend serves the request; the local reply or the attempt's failure is
// set.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/decide.h"
#include "proxy/decide_pool.h"
#include "proxy/phase.h"
#include "proxy/session_lookup.h"
#include "proxy/session_response.h"

namespace remora {

class Placement final : private Phase, private DecisionInputs {
 public:
  explicit Placement(ExchangeParts& parts, SessionRecords& records, SessionLookup& lookup)
      : Phase(parts), records_(records), lookup_(lookup) {}

  /// Sets `attempt().member` and what the session becomes (`session().served`). False: no backend is left.
  /// Then the last attempt's failure stands; if nothing was tried, it is `no_backend`. A rejected session has
  /// its own local reply.
  bool choose_backend();
  /// Counts the session's state, and rejects what the configuration rejects (`on_lost`, `on_unknown`). False:
  /// the local reply is set.
  bool admit_session();
  /// Call it if `session().agree`. Asks the store to confirm the session's move: it may know another
  /// instance's move, locks out late writes of the previous owner, and returns the app's state. If the store
  /// does not answer, the move stands, subject to `on_missing`. False: the local reply or failure is set.
  Task<bool> confirm_move();

 private:
  // DecisionInputs
  Clock::Wall wall_now() const override { return turn().wall_now(); }
  std::optional<Move> find_move(const SessionId& id) override;
  Steering find_steering(const SessionId& id) override;
  bool allows_drain() override;
  std::optional<std::chrono::milliseconds> idle_time(const Binding& binding) override;
  bool allows_rebalance() override;

  Situation situation() const noexcept;
  bool choose_member(const Failure& before);
  bool serve_replayed(const Member& member);
  bool carry_out(const Decision& decision);
  bool serve_at(const Member* member) noexcept;
  const Member* place_of_own_connection() const noexcept;
  bool serve_session(const Decision& decision);
  bool place_session(Reason reason);
  const Member* place_of_first_requests(std::uint64_t client) noexcept;
  bool may_begin_session();
  void begin_session(const SessionId& id, Reason reason);
  bool move_session(const Decision& decision);
  Binding record_move(const Binding& wanted, Reason why);
  void list_move(const std::string& to, Reason why);
  void hand_over();
  bool lose_session();
  bool go_to_other_pool();
  bool move_to_other_pool(const OtherPoolDecision& other_pool);
  Task<Result<SessionStore::Outcome>> cas_move(SessionKey key, Record wanted);
  bool begin_anew(const Record& over);
  void adopt_remote_move(const Record& stands);
  void take_state(const Record& stands, bool lost = false);
  bool go_on_without_state();

  SessionRecords& records_;
  SessionLookup& lookup_;
};

}  // namespace remora
