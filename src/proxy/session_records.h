// SessionRecords: what the store keeps of this request's session: its binding, under the app's id or ours,
// and the app's state.
//
// Nothing of it happens on a sticky hit within the cache's time. Writes that no response waits for are handed
// to the worker's StoreWriter.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/request.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "remora/task.h"
#include "session/lifecycle.h"

namespace remora {

/// What became of a state that was to be copied. `failed`: the store did not answer; later it may do.
enum class Copied : std::uint8_t { done, failed, unreadable };

class SessionRecords {
 public:
  explicit SessionRecords(ExchangeParts& parts)
      : worker_(parts.worker), turn_(parts.turn), request_(parts.request), session_(parts.session) {}

  const PoolStore* pool_store() const noexcept;
  bool keeps_state() const noexcept;
  /// The app's id names a record that other instances find.
  bool is_named() const noexcept;
  SessionKey name_of_session() const noexcept;
  /// Under our own id: the app's state, and the moves of sessions that have no other record.
  SessionKey own_record() const;
  Record record() const;
  StoreCall store_call(std::chrono::milliseconds timeout) noexcept;
  /// No request waits for it. `only_if_there`: what has no record gets none.
  void write_behind(const Record& wanted, bool only_if_there = false);
  /// The session is over: what stands in the store is replaced by a mark.
  void mark_ended(const Binding& over);
  /// What the app wants kept with its session, from a head or from trailers.
  void on_state_header(const SessionFields& said, bool may_wait);
  /// The head waits: another instance must find the session that it begins, and a state that the app was told
  /// is kept (`save: sync`) must be.
  Task<void> keep_session();
  /// The session comes from another pool of a split, and what that one kept for it comes along.
  Task<Copied> bring_state();

 private:
  Task<void> keep_name();
  Task<Copied> copy_state(const PoolStore& keeper, SessionKey from);
  Task<void> move_state(SessionId former);
  Task<void> keep_state();

  WorkerContext& worker_;
  Turn& turn_;
  Request& request_;
  SessionState& session_;
};

}  // namespace remora
