// The memory of moves: what this instance knows of sessions beyond what their tokens say.
//
// A token is a statement of the past: after a move, a logout or a renewal, older ones are still out there.
// For one idle timeout this table remembers the present owner, so that an older token goes there, and that an
// ended session is none. Without a shared store the guarantee holds per instance.
//
// Threading: any thread. Usually empty, and then asking costs one relaxed load.
#pragma once

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
  explicit MoveMemory(std::size_t capacity) : table_(capacity) {}

  std::optional<Move> find(const SessionId& id, Moment now, bool trace = true) {
    if (table_.size() == 0) return std::nullopt;
    auto found = trace ? table_.find(id) : table_.peek(id);
    if (found && found->expires <= Ticks::at(now.steady)) return std::nullopt;
    return found;
  }
  /// Remembers a move unless a later one, or the end, is known; returns what now stands.
  Move moved(const SessionId& id, std::uint32_t epoch, std::uint64_t backend, Reason reason,
             const config::Session& lifetimes, Moment now) {
    Move m = make(Move::Kind::moved, lifetimes, now);
    m.epoch = epoch;
    m.backend = backend;
    m.reason = reason;
    return table_.put(id, m, [&](Move& old) {
      const bool over = old.kind == Move::Kind::ended || old.kind == Move::Kind::renewed;
      if (old.expires <= m.seen || (!over && old.epoch < epoch)) old = m;
    });
  }
  /// `reason`: none when the app ended it, else why it was lost.
  void ended(const SessionId& id, std::uint32_t epoch, Reason reason, const config::Session& lifetimes,
             Moment now) {
    Move m = make(Move::Kind::ended, lifetimes, now);
    m.reason = reason;
    m.epoch = epoch;
    table_.put(id, m, [&](Move& old) { old = m; });
  }
  void renewed(const SessionId& id, std::uint32_t epoch, std::uint64_t backend,
               const config::Session& lifetimes, Moment now) {
    Move m = make(Move::Kind::renewed, lifetimes, now);
    m.epoch = epoch;
    m.backend = backend;
    table_.put(id, m, [&](Move& old) {
      if (old.kind != Move::Kind::ended) old = m;
    });
  }
  /// A long exchange is activity although its token grows old; `leave`: the app wants it elsewhere.
  void active(const Binding& b, const config::Session& lifetimes, Moment now) {
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
    if (table_.size() > 0) table_.sweep([&](const SessionId&, const Move& m) { return m.expires > tick; });
  }
  using Entries = ShardedTable<SessionId, Move>;
  Entries& entries() noexcept { return table_; }
  /// An entry of another process.
  void restore(const SessionId& id, const Move& move) {
    table_.put(id, move, [&](Move& old) {
      const bool over = old.kind == Move::Kind::ended || old.kind == Move::Kind::renewed;
      const bool ends = move.kind == Move::Kind::ended || move.kind == Move::Kind::renewed;
      if (move.epoch > old.epoch || (move.epoch == old.epoch && (ends || !over) && move.seen >= old.seen))
        old = move;
    });
  }
  std::size_t size() const noexcept { return table_.size(); }
  std::uint64_t evicted() const noexcept { return table_.evicted(); }

 private:
  static Move make(Move::Kind kind, const config::Session& lifetimes, Moment now) noexcept {
    Move m;
    m.kind = kind;
    m.seen = Ticks::at(now.steady);
    // Any token of this session that is still out there ends within one and a quarter idle timeouts.
    m.expires = expiry_tick(m.seen, m.seen, lifetimes);
    return m;
  }
  Entries table_;
};

}  // namespace remora
