// The memory of moves: what this instance knows of sessions beyond what their tokens say.
//
// A token is a statement of the past: after a move, a logout or a renewal, older ones are still out there.
// For one idle timeout these tables remember the present owner, so that an older token goes there, and that
// an ended session is none. Marks of ended sessions are kept apart (ended_marks.h): moves, which one client
// can cause in any number, push none of them out. Without a shared store the guarantee holds per instance.
//
// Threading: any thread. Usually empty, and then asking costs one relaxed load.
#pragma once

#include "session/ended_marks.h"
#include "session/local_table.h"

namespace remora {

struct Move {
  enum class Kind : std::uint8_t {
    moved,    // `epoch`, `backend`, `reason` are the present ones
    ended,    // no session any more
    renewed,  // goes on under another id; this one is only served at `backend`
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

  std::optional<Move> find(const SessionId& id, Moment now, bool trace = true) {
    if (auto over = find_over(id, now)) return over;
    if (table_.size() == 0) return std::nullopt;
    auto found = trace ? table_.find(id) : table_.peek(id);
    if (found && found->expires <= Ticks::at(now.steady)) return std::nullopt;
    return found;
  }
  /// Remembers a move unless a later one, or the end, is known; returns what now stands.
  Move moved(const SessionId& id, std::uint32_t epoch, std::uint64_t backend, Reason reason,
             const config::Session& lifetimes, Moment now) {
    if (const auto over = find_over(id, now)) return *over;
    Move m = make(Move::Kind::moved, lifetimes, now);
    m.epoch = epoch;
    m.backend = backend;
    m.reason = reason;
    return table_.put(id, m, [&](Move& old) {
      if (old.expires <= m.seen || old.epoch < epoch) old = m;
    });
  }
  /// `reason`: none when the app ended it, else why it was lost.
  void ended(const SessionId& id, std::uint32_t epoch, Reason reason, const config::Session& lifetimes,
             Moment now) {
    Move m = make(Move::Kind::ended, lifetimes, now);
    m.reason = reason;
    m.epoch = epoch;
    mark(id, m, [&](Move& old) { old = m; });
  }
  void renewed(const SessionId& id, std::uint32_t epoch, std::uint64_t backend,
               const config::Session& lifetimes, Moment now) {
    Move m = make(Move::Kind::renewed, lifetimes, now);
    m.epoch = epoch;
    m.backend = backend;
    mark(id, m, [&](Move& old) {
      if (old.kind != Move::Kind::ended) old = m;
    });
  }
  /// A long exchange is activity although its token grows old; `leave`: the app wants it elsewhere.
  void active(const Binding& b, const config::Session& lifetimes, Moment now) {
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
  /// Forgets what has expired.
  void sweep(Moment now) {
    const std::uint32_t tick = Ticks::at(now.steady);
    const auto lives = [tick](const SessionId&, const Move& m) { return m.expires > tick; };
    if (table_.size() > 0) table_.sweep(lives);
    if (over_.size() > 0) over_.sweep(lives);
    spill_.sweep(tick);
  }
  using Entries = ShardedTable<SessionId, Move>;
  /// Sessions that go on.
  Entries& entries() noexcept { return table_; }
  /// Sessions that are over, and what did not fit in there.
  Entries& marks() noexcept { return over_; }
  EndedSpill& spilled() noexcept { return spill_; }
  /// An entry of another process.
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
  /// Marks that found no room any more.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  static Move make(Move::Kind kind, const config::Session& lifetimes, Moment now) noexcept {
    Move m;
    m.kind = kind;
    m.seen = Ticks::at(now.steady);
    // Any token of this session that is still out there ends within one and a quarter idle timeouts.
    m.expires = expiry_tick(m.seen, m.seen, lifetimes);
    return m;
  }
  static bool is_over(const Move& m) noexcept {
    return m.kind == Move::Kind::ended || m.kind == Move::Kind::renewed;
  }
  std::optional<Move> find_over(const SessionId& id, Moment now) {
    const std::uint32_t tick = Ticks::at(now.steady);
    if (over_.size() > 0)
      if (const auto m = over_.peek(id); m && m->expires > tick) return m;
    const auto until = spill_.find(id, tick);
    if (!until) return std::nullopt;
    Move m;  // all that a filter knows; of a renewed session too
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
    if (table_.size() > 0) table_.erase(id);  // last: at no time is nothing known of it
  }
  Entries table_, over_;
  EndedSpill spill_;
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace remora
