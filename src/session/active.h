// Counts active sessions per backend: issued sessions that this instance has seen within their idle timeout.
//
// Issued tokens are valid without a table, so this table only counts: for the `sessions` gauge and for
// drains. It is written when a token is sent (new, moved, refreshed), not by every request. With `rebalance`
// every request writes to it, because remora must then know which sessions are idle. The count is an
// estimate: it covers only what this instance has served since it started, and a session whose client never
// came back counts until its idle timeout.
//
// Threading: any thread.
#pragma once

#include "session/local_table.h"

namespace remora {

class ActiveSessions {
 public:
  /// A table entry. Public for hot restart (session/handover.h).
  struct Active {
    std::uint64_t backend = 0;
    std::uint32_t seen = 0, expires = 0;
    std::uint16_t pool = 0, open = 0;
  };
  static bool is_counted(const Active&) noexcept { return true; }
  using Observer = TallyObserver<Active, is_counted>;
  using Entries = ShardedTable<SessionId, Active, Observer>;
  Entries& entries() noexcept { return table_; }
  /// Restores an entry of the old process. Its open exchanges end there, so they do not count here.
  void restore(const SessionId& id, Active active) {
    active.open = 0;
    table_.put(id, active, [&](Active& old) {
      if (active.seen < old.seen) return;
      active.open = old.open;
      old = active;
    });
  }

  explicit ActiveSessions(std::size_t capacity, SessionTally* tally = nullptr)
      : table_(capacity, Observer(tally)) {}

  /// Records that the session is at `b.backend`.
  void seen(const Binding& b, std::uint16_t pool, const config::Session& lifetimes, ClockReading now) {
    Active a;
    a.backend = b.backend;
    a.pool = pool;
    a.seen = Ticks::at(now.steady);
    a.expires = expiry_tick(a.seen, a.seen, lifetimes);
    table_.put(b.id, a, [&](Active& old) {
      a.open = old.open;
      old = a;
    });
  }
  void gone(const SessionId& id) {
    if (table_.size() > 0) table_.erase(id);
  }

  /// With `rebalance`: an exchange begins. Returns how long the session had been idle; nothing if that is
  /// unknown or another exchange is open.
  std::optional<std::chrono::milliseconds> begin(const Binding& b, std::uint16_t pool,
                                                 const config::Session& lifetimes, ClockReading now) {
    std::optional<std::chrono::milliseconds> idle;
    Active a;
    a.backend = b.backend;
    a.pool = pool;
    a.open = 1;
    a.seen = Ticks::at(now.steady);
    a.expires = expiry_tick(a.seen, a.seen, lifetimes);
    table_.put(b.id, a, [&](Active& old) {
      if (old.open == 0 && a.seen >= old.seen) idle = Ticks::duration(a.seen - old.seen);
      const std::uint16_t open = old.open;
      old = a;
      old.open = static_cast<std::uint16_t>(open + 1);
    });
    return idle;
  }
  /// What begin() would return now. Changes nothing.
  std::optional<std::chrono::milliseconds> idle_time(const SessionId& id, ClockReading now) const {
    const auto known = table_.peek(id);
    const std::uint32_t tick = Ticks::at(now.steady);
    if (!known || known->open != 0 || tick < known->seen) return std::nullopt;
    return Ticks::duration(tick - known->seen);
  }
  void finish(const SessionId& id, ClockReading now) {
    table_.update(id, [&](Active& a) {
      if (a.open > 0) --a.open;
      a.seen = Ticks::at(now.steady);
    });
  }

  /// Calls `f(pool, backend hash)` for each entry. Drops expired entries that have no open exchange.
  template <class F>
  void count(ClockReading now, F f) {
    const std::uint32_t tick = Ticks::at(now.steady);
    table_.sweep([&](const SessionId&, const Active& a) {
      if (a.expires <= tick && a.open == 0) return false;
      f(a.pool, a.backend);
      return true;
    });
  }
  std::size_t size() const noexcept { return table_.size(); }
  std::uint64_t evicted() const noexcept { return table_.evicted(); }

 private:
  Entries table_;
};

}  // namespace remora
