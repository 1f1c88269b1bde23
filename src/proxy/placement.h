// Placement: which backend serves a request: the one that its session is bound to, the one that a session
// moves to, or the balancer's choice for those without one. A move is confirmed by the store where it keeps
// bindings or states.
//
// A `false` means that no backend serves it: the local reply, or the attempt's failure, says why.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/session_lookup.h"
#include "proxy/session_response.h"

namespace remora {

class Placement {
 public:
  explicit Placement(ExchangeParts& parts, SessionRecords& records, SessionLookup& lookup)
      : worker_(parts.worker),
        connection_(parts.connection),
        turn_(parts.turn),
        request_(parts.request),
        session_(parts.session),
        attempt_(parts.attempt),
        reply_(parts.reply),
        records_(records),
        lookup_(lookup) {}

  /// Which backend serves it: the bound one, the rendezvous choice of a move, or the balancer's. Nobody left:
  /// the failure of the last attempt stands, else there was none to try.
  bool choose_backend();
  /// May the session be served, or begin? False: it is answered here.
  bool admit_session();
  /// The session moved here: the store decides whether that stands, shuts out its previous owner, and gives
  /// the state for the new one. False: this request is answered here.
  Task<bool> confirm_move();

 private:
  bool choose_member(const Failure& before);
  bool serve_at(const Member* member) noexcept;
  const Member* usable_bound(std::uint64_t backend) const noexcept;
  const Member* place_of_own_connection() const noexcept;
  bool should_leave() const noexcept;
  bool choose_for_session(const Failure& before);
  bool choose_for_unbound();
  bool place_new();
  bool place_successor();
  const Member* place_of_first_requests(std::uint64_t client) noexcept;
  const Member* usable_new(std::uint64_t backend) const noexcept;
  std::uint64_t first_requests_of() const noexcept;
  bool may_begin_session();
  void begin_session(const SessionId& id, Reason reason);
  bool move_session(Reason why);
  const Member* target_of_move(Reason why) const noexcept;
  Binding record_move(const Binding& wanted, Reason why);
  bool lose_session();
  double mean_load() const noexcept;
  bool wants_rebalance();
  bool go_to_sister();
  bool move_to_sister(std::size_t pool, std::uint64_t key);
  Task<Result<SessionStore::Standing>> cas_move(SessionKey key, Record wanted);
  bool begin_anew(const Record& over);
  void adopt_remote_move(const Record& stands);
  void take_state(const Record& stands, bool lost = false);
  bool go_on_without_state();

  WorkerContext& worker_;
  ConnectionState& connection_;
  Turn& turn_;
  Request& request_;
  SessionState& session_;
  AttemptState& attempt_;
  LocalReply& reply_;
  SessionRecords& records_;
  SessionLookup& lookup_;
};

}  // namespace remora
