// The local session table: learned sessions (key -> binding) in this process.
//
// First writer wins; a move counts only from the epoch that stands; late answers of a previous backend change
// nothing, because they come with an older epoch. Ended sessions stay as a mark for one idle timeout, so that
// a late answer cannot revive them.
//
// Threading: any thread. Every operation is one step under the mutex of one shard (sharded_table.h).
#pragma once

#include "remora/affinity.h"
#include "remora/config.h"
#include "session/moment.h"
#include "session/record.h"
#include "session/sharded_table.h"

namespace remora {

/// What stands for a key.
struct Standing {
  Binding binding;
  Reason reason = Reason::none;  // of its last move; none: it never moved
  bool ended = false;
  bool stale = false;  // a shared store may know better by now: ask it before believing this
};

class LocalTable {
 public:
  /// `trusted_for`: how long an entry is believed without asking the store that it is a copy of; none: this
  /// table is the truth.
  explicit LocalTable(std::size_t capacity,
                      std::optional<std::chrono::milliseconds> trusted_for = std::nullopt)
      : table_(capacity), trusted_for_(trusted_for) {}
  bool is_copy() const noexcept { return trusted_for_.has_value(); }
  /// The store says what stands.
  void adopt(const SessionKey& key, const Record& record, std::uint16_t pool,
             const config::Session& lifetimes, Moment now);
  /// The store could not be asked, or knows nothing of it: what is known here is believed for as long again.
  void trust(const SessionKey& key, Moment now);

  /// `trace`: being asked for protects from eviction; false for explanations.
  std::optional<Standing> find_now(const SessionKey& key, Moment now, bool trace = true);
  /// Binds unless bound already; returns what now stands: of two racing first responses, one wins.
  Standing bind(const SessionKey& key, const Binding& binding, std::uint16_t pool,
                const config::Session& lifetimes, Moment now);
  /// Replaces the binding if its epoch is still `from_epoch`; returns what now stands.
  Standing move(const SessionKey& key, std::uint32_t from_epoch, const Binding& to, Reason reason,
                std::uint16_t pool, const config::Session& lifetimes, Moment now);
  /// The session was used: keeps it alive, adopts a generation and a wish to leave. Not for another epoch.
  void refresh(const SessionKey& key, const Binding& binding, const config::Session& lifetimes, Moment now);
  /// The app cleared its id, or the session expired: gone without a mark, unless the key means another by
  /// now.
  void forget(const SessionKey& key, const SessionId& id);
  /// The session ended: nothing late may revive it.
  void end(const SessionKey& key, const SessionId& id);

  /// Calls `f(pool, backend hash)` for each living session; drops what has expired. A few ms per 100,000.
  template <class F>
  void count(Moment now, F f) {
    const std::uint32_t tick = Ticks::at(now.steady);
    table_.sweep([&](const SessionKey&, const Kept& k) {
      if (k.expires <= tick) return false;
      if (!k.ended && !k.replaced) f(k.pool, k.backend);
      return true;
    });
  }
  /// An app replaced this id by another (login): requests that still carry it are served, but it is no
  /// session of its own.
  void mark_replaced(const SessionKey& key, const SessionId& id);

  std::size_t size() const noexcept { return table_.size(); }
  std::uint64_t evicted() const noexcept { return table_.evicted(); }

  /// As the table keeps it; public for a handover between processes (session/handover.h).
  struct Kept {
    SessionId id;
    std::uint64_t backend, generation;
    std::uint32_t epoch, created, seen, expires;  // ticks
    std::uint32_t checked;                        // when the store last said so, or was told
    std::uint16_t pool;
    Reason reason;
    bool ended : 1, leave : 1, replaced : 1;
  };
  using Entries = ShardedTable<SessionKey, Kept>;
  Entries& entries() noexcept { return table_; }
  /// An entry of another process: the later of two statements about a session stands.
  void restore(const SessionKey& key, const Kept& kept) {
    table_.put(key, kept, [&](Kept& old) {
      if (kept.epoch > old.epoch || (kept.epoch == old.epoch && (kept.seen >= old.seen || kept.ended)))
        old = kept;
    });
  }

 private:
  static Kept keep(const Binding&, Reason, std::uint16_t pool, const config::Session&, Moment now);
  Standing standing(const Kept&, Moment now) const;
  Entries table_;
  const std::optional<std::chrono::milliseconds> trusted_for_;
};

/// Until when a session seen now may live, in ticks.
std::uint32_t expiry_tick(std::uint32_t created, std::uint32_t seen,
                          const config::Session& lifetimes) noexcept;

}  // namespace remora
