// SessionLookup: whose session a request belongs to, and with it the pool that serves it.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/routed_scope.h"
#include "proxy/session_records.h"

namespace remora {

class SessionLookup {
 public:
  explicit SessionLookup(ExchangeParts& parts, SessionRecords& records)
      : attempt_(parts.attempt),
        memory_(parts.memory),
        request_(parts.request),
        session_(parts.session),
        turn_(parts.turn),
        worker_(parts.worker),
        records_(records) {}

  RequestView view() const noexcept;
  Recognised recognise_in(const PoolView& pool);
  /// Whose session is this? Also settles the pool: of a split, the one that the session belongs to.
  /// `asked_store`: what it knows of this request's sessions has been adopted.
  void look_up(bool asked_store = false);
  /// The pool's, as far as the route has none of its own.
  void use_timeouts();
  /// What was found is what counts from now on.
  void accept_session();
  SessionCounts& counts() const noexcept;
  void settle_in(std::size_t pool, const Recognised& found);
  /// From now on the session is that pool's: its client gets that pool's token and loses the former one, or
  /// it is known there by the app's id. `ask_first`: if the store may know better, it is to be asked before
  /// that.
  void go_on_in(std::size_t pool, const Binding& binding, bool ask_first);
  /// What other pools of the split still know of a session that is over, from before it moved. Without a
  /// mark: the app's id may name another session at once.
  void end_in_sisters(const Binding& over, bool leaves_mark = true);
  /// The app's id is new here, or what is known of it has not been confirmed for a while.
  Task<void> ask_store();

 private:
  void find_session_in_split(bool asked_store);
  void learn_in_new_pool(const Recognised& there, const Binding& binding, bool ask_first);

  AttemptState& attempt_;
  WorkingMemory& memory_;
  Request& request_;
  SessionState& session_;
  Turn& turn_;
  WorkerContext& worker_;
  SessionRecords& records_;
  const RoutedScope scope_{request_};
};

}  // namespace remora
