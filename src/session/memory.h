// All that one process remembers of sessions; shared by its workers, outlives reloads.
#pragma once

#include "session/active.h"
#include "session/local_table.h"
#include "session/moves.h"
#include "session/recent_moves.h"

namespace remora {

struct SessionMemory {
  explicit SessionMemory(std::size_t capacity) : learned(capacity), moves(capacity), active(capacity) {}
  LocalTable learned;
  MoveMemory moves;
  ActiveSessions active;
  RecentMoves recent;

  /// Drops what has expired. Control thread, now and then.
  void sweep(Moment now) {
    learned.count(now, [](std::uint16_t, std::uint64_t) {});
    moves.sweep(now);
    active.count(now, [](std::uint16_t, std::uint64_t) {});
  }
  std::uint64_t evicted() const noexcept { return learned.evicted() + moves.evicted() + active.evicted(); }
};

}  // namespace remora
