// SessionLookup: finds the session of a request, and with it the pool that serves the request.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/phase.h"
#include "proxy/routed_scope.h"
#include "proxy/session_records.h"

namespace remora {

class SessionLookup : private Phase {
 public:
  explicit SessionLookup(ExchangeParts& parts, SessionRecords& records) : Phase(parts), records_(records) {}

  /// The request as affinity kinds see it; valid while the request is.
  RequestView view() const noexcept;
  /// Asks a pool's affinity kinds and this instance's tables. Empty if pool or route uses no affinity.
  Recognized recognize_in(const PoolView& pool);
  /// Sets `session().recognized` and the pool; in a split, the session's pool. Does not wait. `asked_store`:
  /// the store's records for this request have been adopted already.
  void look_up(bool asked_store = false);
  /// Sets timeouts and retry counts of the request: the route's timeouts, else the pool's.
  void use_timeouts();
  /// The result of the lookup is final: hides our tokens from the app and sets the timeouts.
  void accept_session();
  /// The pool's session counters for this worker.
  SessionCounts& counts() const noexcept;
  /// Sets the pool and what was recognized in it.
  void settle_in(std::size_t pool, const Recognized& found);
  /// The session continues in another pool of the split. The client gets that pool's token and loses the
  /// former one, or the app's id is bound there. `ask_first`: if the store may have a newer record, set
  /// `stale` instead of binding, so that it is asked first.
  void go_on_in(std::size_t pool, const Binding& binding, bool ask_first);
  /// Ends a session in the split's other pools, which may know it from before a move. Without `leaves_mark`,
  /// the app's id may name another session at once.
  void end_in_other_pools(const Binding& over, bool leaves_mark = true);
  /// Call it if `recognized.stale`: the app's id is new here, or its record has not been confirmed for a
  /// while. Adopts the store's records, then looks up again. If the store does not answer, this instance's
  /// own record is used.
  Task<void> ask_store();

 private:
  bool adopt_stored(const PoolView& pool, const SessionKey& key, const Record& stored);
  void find_session_in_split(bool asked_store);
  void learn_in_new_pool(const Recognized& there, const Binding& binding, bool ask_first);

  SessionRecords& records_;
  const RoutedScope scope_{request()};
};

}  // namespace remora
