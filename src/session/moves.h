// The memory of moves: what this instance knows about sessions beyond what their tokens say.
//
// A token describes the past: after a move, a logout or a renewal, older tokens are still in use. For one
// idle timeout these tables remember the current owner, so that an older token is routed there, and remember
// which sessions have ended. Marks of ended sessions are kept apart (ended_marks.h), because one client can
// cause any number of moves, and they must not evict the marks. Without a shared store the guarantee holds
// per instance.
//
// Threading: any thread. Usually the tables are empty, and a lookup costs one relaxed load for each.
#pragma once

#include "session/ended_marks.h"
#include "session/local_table.h"

namespace remora {

struct Move {
  enum class Kind : std::uint8_t {
    moved,    // `epoch`, `backend`, `reason` are the current ones
    ended,    // the session is over
    renewed,  // continues under another id; this id is only served at `backend`
    active,   // not moved: a long exchange kept it alive, or the app asked it to leave
  } kind = Kind::moved;
  Reason reason = Reason::none;
  bool leave = false;
  std::uint32_t epoch = 0;
  std::uint64_t backend = 0;
  std::uint32_t seen = 0, expires = 0;  // ticks
};

class MoveMemory {
 public:
  explicit MoveMemory(std::size_t capacity) : table_(capacity), over_(capacity), spill_(capacity) {}

  std::optional<Move> find(const SessionId& id, ClockReading now, bool trace = true) {
    if (auto over = find_over(id, now)) return over;
    if (table_.size() == 0) return std::nullopt;
    auto found = trace ? table_.find(id) : table_.peek(id);
    if (found && found->expires <= Ticks::at(now.steady)) return std::nullopt;
    return found;
  }
  /// Records a move unless a later move, or the end, is known. Returns what now stands.
  Move moved(const SessionId& id, std::uint32_t epoch, std::uint64_t backend, Reason reason,
             const config::Session& lifetimes, ClockReading now) {
    if (const auto over = find_over(id, now)) return *over;
    Move m = make(Move::Kind::moved, lifetimes, now);
    m.epoch = epoch;
    m.backend = backend;
    m.reason = reason;
    return table_.put(id, m, [&](Move& old) {
      if (old.expires <= m.seen || old.epoch < epoch) old = m;
    });
  }
  /// `reason`: none if the app ended the session, else why it was lost.
  void ended(const SessionId& id, std::uint32_t epoch, Reason reason, const config::Session& lifetimes,
             ClockReading now) {
    Move m = make(Move::Kind::ended, lifetimes, now);
    m.reason = reason;
    m.epoch = epoch;
    mark(id, m, [&](Move& old) { old = m; });
  }
  void renewed(const SessionId& id, std::uint32_t epoch, std::uint64_t backend,
               const config::Session& lifetimes, ClockReading now) {
    Move m = make(Move::Kind::renewed, lifetimes, now);
    m.epoch = epoch;
    m.backend = backend;
    mark(id, m, [&](Move& old) {
      if (old.kind != Move::Kind::ended) old = m;
    });
  }
  /// A long exchange counts as activity even while its token ages. `b.leave`: the app asked the session to
  /// leave.
  void active(const Binding& b, const config::Session& lifetimes, ClockReading now) {
    if (find_over(b.id, now)) return;
    Move m = make(Move::Kind::active, lifetimes, now);
    m.epoch = b.epoch;
    m.backend = b.backend;
    m.leave = b.leave;
    table_.put(b.id, m, [&](Move& old) {
      if (old.kind == Move::Kind::active && old.epoch <= b.epoch) {
        old = m;
      } else if (old.kind == Move::Kind::moved && old.epoch <= b.epoch) {
        old.seen = m.seen;
        old.expires = m.expires;
        old.leave = old.leave || m.leave;
      }
    });
  }
  /// Drops expired entries.
  void sweep(ClockReading now) {
    const std::uint32_t tick = Ticks::at(now.steady);
    const auto lives = [tick](const SessionId&, const Move& m) { return m.expires > tick; };
    if (table_.size() > 0) table_.sweep(lives);
    if (over_.size() > 0) over_.sweep(lives);
    spill_.sweep(tick);
  }
  using Entries = ShardedTable<SessionId, Move>;
  /// Sessions that continue.
  Entries& entries() noexcept { return table_; }
  /// Sessions that are over; spilled() has the marks that did not fit.
  Entries& marks() noexcept { return over_; }
  EndedSpill& spilled() noexcept { return spill_; }
  /// Restores an entry of the old process, unless the entry here is newer.
  void restore(const SessionId& id, const Move& move) {
    const auto later = [&](Move& old) {
      if (move.epoch > old.epoch || (move.epoch == old.epoch && move.seen >= old.seen &&
                                     (move.kind == Move::Kind::ended || old.kind != Move::Kind::ended)))
        old = move;
    };
    if (is_over(move))
      mark(id, move, later);
    else
      table_.put(id, move, later);
  }
  std::size_t size() const noexcept { return table_.size() + over_.size(); }
  std::uint64_t evicted() const noexcept { return table_.evicted(); }
  /// Marks that were refused because there was no room.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  static Move make(Move::Kind kind, const config::Session& lifetimes, ClockReading now) noexcept {
    Move m;
    m.kind = kind;
    m.seen = Ticks::at(now.steady);
    // All tokens of this session that are still in use expire within one and a quarter idle timeouts.
    m.expires = expiry_tick(m.seen, m.seen, lifetimes);
    return m;
  }
  static bool is_over(const Move& m) noexcept {
    return m.kind == Move::Kind::ended || m.kind == Move::Kind::renewed;
  }
  std::optional<Move> find_over(const SessionId& id, ClockReading now) {
    const std::uint32_t tick = Ticks::at(now.steady);
    if (over_.size() > 0)
      if (const auto m = over_.peek(id); m && m->expires > tick) return m;
    const auto until = spill_.find(id, tick);
    if (!until) return std::nullopt;
    Move m;  // a filter knows no more: a renewed session counts as ended, too
    m.kind = Move::Kind::ended;
    m.epoch = ~std::uint32_t{0};
    m.seen = tick;
    m.expires = *until;
    return m;
  }
  template <class F>
  void mark(const SessionId& id, const Move& m, F f) {
    if (!over_.put_if_room(id, m, f)) {
      if (spill_.add(id, m.expires, m.seen))
        over_.tell_watch(id, m);
      else
        refused_.fetch_add(1, std::memory_order_relaxed);
    }
    if (table_.size() > 0) table_.erase(id);  // last, so that the session is never unknown in between
  }
  Entries table_, over_;
  EndedSpill spill_;
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace remora
