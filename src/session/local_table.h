// The local session table: learned sessions (key -> binding) in this process.
//
// The first writer wins. A move applies only to the current epoch, so a late response of a previous backend,
// which carries an older epoch, changes nothing. An ended session stays as a mark for one idle timeout, so
// that a late response cannot revive it.
//
// Threading: any thread. Every operation is one step under the mutex of one shard (sharded_table.h).
#pragma once

#include "remora/affinity.h"
#include "remora/config.h"
#include "session/clock_reading.h"
#include "session/record.h"
#include "session/sharded_table.h"

namespace remora {

/// What the table holds for a key.
struct Standing {
  Binding binding;
  Reason reason = Reason::none;  // reason of its last move; none: it never moved
  bool ended = false;
  bool stale = false;  // a shared store may have a newer record: ask it before using this one
};

class LocalTable {
 public:
  /// `trusted_for`: how long an entry is used without asking the store that it is a copy of. None: there is
  /// no such store, and this table is authoritative.
  explicit LocalTable(std::size_t capacity,
                      std::optional<std::chrono::milliseconds> trusted_for = std::nullopt)
      : table_(capacity), trusted_for_(trusted_for) {}
  bool is_copy() const noexcept { return trusted_for_.has_value(); }
  /// Adopts the store's record, unless the local entry is newer.
  void adopt(const SessionKey& key, const Record& record, std::uint16_t pool,
             const config::Session& lifetimes, ClockReading now);
  /// The store was unreachable or has no record: trusts the local entry for another `trusted_for`.
  void trust(const SessionKey& key, ClockReading now);

  /// `trace`: the lookup counts as a use, which protects from eviction; false for explanations.
  std::optional<Standing> find_now(const SessionKey& key, ClockReading now, bool trace = true);
  /// Binds unless already bound. Returns what now stands: of two racing first responses, one wins.
  Standing bind(const SessionKey& key, const Binding& binding, std::uint16_t pool,
                const config::Session& lifetimes, ClockReading now);
  /// Replaces the binding if it is of this session and its epoch is still `from_epoch`; returns what now
  /// stands.
  Standing move(const SessionKey& key, std::uint32_t from_epoch, const Binding& to, Reason reason,
                std::uint16_t pool, const config::Session& lifetimes, ClockReading now);
  /// The session was used: extends its life, adopts its generation and a request to leave. Ignored if the
  /// entry is of another session, epoch or backend.
  void refresh(const SessionKey& key, const Binding& binding, const config::Session& lifetimes,
               ClockReading now);
  /// The app cleared its id, or the session expired: erases the entry without leaving a mark, unless the key
  /// names another session by now.
  void forget(const SessionKey& key, const SessionId& id);
  /// The session ended: marks it, so that nothing late revives it.
  void end(const SessionKey& key, const SessionId& id);

  /// Calls `f(pool, backend hash)` for each living session and drops expired entries. A few ms per 100,000.
  template <class F>
  void count(ClockReading now, F f) {
    const std::uint32_t tick = Ticks::at(now.steady);
    table_.sweep([&](const SessionKey&, const Kept& k) {
      if (k.expires <= tick) return false;
      if (!k.ended && !k.replaced) f(k.pool, k.backend);
      return true;
    });
  }
  /// The app replaced this id by another (login): requests that still carry it are served, but it no longer
  /// counts as a session.
  void mark_replaced(const SessionKey& key, const SessionId& id);

  std::size_t size() const noexcept { return table_.size(); }
  std::uint64_t evicted() const noexcept { return table_.evicted(); }

  /// A table entry. Public for hot restart (session/handover.h).
  struct Kept {
    SessionId id;
    std::uint64_t backend, generation;
    std::uint32_t epoch, created, seen, expires;  // ticks
    std::uint32_t checked;                        // when the store last confirmed the entry, or was sent it
    std::uint16_t pool;
    Reason reason;
    bool ended : 1, leave : 1, replaced : 1;
  };
  using Entries = ShardedTable<SessionKey, Kept>;
  Entries& entries() noexcept { return table_; }
  /// Restores an entry of the log, whatever is here. `proven`: the client came back to it.
  void replay(const SessionKey& key, const Kept& kept, bool proven) {
    table_.put(key, kept, [&](Kept& old) { old = kept; });
    if (proven) table_.find(key);
  }
  /// Restores an entry of the old process. Of two versions of a session, the later one stands.
  void restore(const SessionKey& key, const Kept& kept) {
    table_.put(key, kept, [&](Kept& old) {
      if (!(kept.id == old.id)) {  // the key began another session
        if (kept.created >= old.created) old = kept;
        return;
      }
      if (kept.epoch > old.epoch || (kept.epoch == old.epoch && (kept.seen >= old.seen || kept.ended)))
        old = kept;
    });
  }

 private:
  static Kept keep(const Binding&, Reason, std::uint16_t pool, const config::Session&, ClockReading now);
  Standing standing(const Kept&, ClockReading now) const;
  Entries table_;
  const std::optional<std::chrono::milliseconds> trusted_for_;
};

/// The tick at which a session expires that began at `created` and was last seen at `seen`.
std::uint32_t expiry_tick(std::uint32_t created, std::uint32_t seen,
                          const config::Session& lifetimes) noexcept;

}  // namespace remora
