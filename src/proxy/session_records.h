// SessionRecords: reads and writes the store's records of this request's session: its binding, under the
// app's id or ours, and the app's state.
//
// A sticky hit within the cache time does no store access. Writes that no response waits for go to the
// worker's StoreWriter.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/phase.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "remora/task.h"
#include "session/lifecycle.h"

namespace remora {

/// Outcome of copying a state. `done`: also if there was none. `failed`: the store did not answer; it may
/// later. `unreadable`: the state cannot be opened.
enum class Copied : std::uint8_t { done, failed, unreadable };

class SessionRecords : private Phase {
 public:
  explicit SessionRecords(ExchangeParts& parts) : Phase(parts) {}

  /// The store settings of the request's pool; null: it keeps nothing in a store.
  const PoolStore* pool_store() const noexcept;
  /// The pool keeps the app's state.
  bool keeps_state() const noexcept;
  /// The session has a record under the app's id, which other instances find. REQUIRES: pool_store().
  bool is_named() const noexcept;
  /// The key of that record. REQUIRES: is_named().
  SessionKey name_of_session() const noexcept;
  /// The key of the record under our own id: it has the app's state, and the moves of sessions without
  /// another record. REQUIRES: pool_store().
  SessionKey own_record() const;
  /// The session as of now, as a record without state.
  Record record() const;
  /// Options of one store call for this request, which fails after `timeout`.
  StoreCall store_call(std::chrono::milliseconds timeout) noexcept;
  /// Queues a write of the binding; no request waits for it. `only_if_there`: do not create a record.
  void write_behind(const Record& wanted, bool only_if_there = false);
  /// The session is over: queues the replacement of its records by a mark.
  void mark_ended(const Binding& over);
  /// Saves or deletes the app's state as the response head or trailers ask. `may_wait`: with `save: sync`,
  /// keep_session() saves it before the head is sent; otherwise the write is queued.
  void on_state_header(const SessionFields& fields, bool may_wait);
  /// Call it if `session().keep`, before sending the head. Another instance must be able to find a session
  /// that the response begins, and with `save: sync` the state must be stored. If the store does not answer,
  /// the writes are queued.
  Task<void> keep_session();
  /// This instance knows that the session of a record has ended, and the store does not yet.
  bool is_known_to_be_over(const Record& stored);
  /// The session comes from another pool of the split: copies its state from that pool's record.
  Task<Copied> copy_state();

 private:
  std::vector<SessionId> former_sessions() const;
  Task<void> keep_name();
  Task<Copied> copy_state(const PoolStore& keeper, SessionKey from);
  Task<void> move_state(SessionId former);
  Task<void> keep_state();
};

}  // namespace remora
