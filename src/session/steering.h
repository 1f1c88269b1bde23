// What an app or an operator wants of a session, beyond the rules of its pool: to move with its next request,
// perhaps to a certain backend, or to stay where it is.
//
// In the memory of this instance only: other instances that serve the session do not know.
//
// Threading: any thread. Usually the table is empty, and a lookup costs one relaxed load.
#pragma once

#include "session/local_table.h"

namespace remora {

struct Steering {
  enum class Wish : std::uint8_t {
    none,
    move,  // to `backend`; 0: to any other
    stay,  // moves only if its backend cannot serve
  } wish = Wish::none;
  std::uint64_t backend = 0;
  std::uint32_t expires = 0;  // tick
};

class SteeredSessions {
 public:
  explicit SteeredSessions(std::size_t capacity) : table_(capacity) {}

  Steering find(const SessionId& id, ClockReading now) {
    if (table_.size() == 0) return {};
    const auto found = table_.peek(id);
    return found && found->expires > Ticks::at(now.steady) ? *found : Steering();
  }
  /// The latest wish counts. `backend`: a hash; 0: any other.
  void move(const SessionId& id, std::uint64_t backend, const config::Session& lifetimes, ClockReading now) {
    const std::uint32_t tick = Ticks::at(now.steady);
    put(id, {Steering::Wish::move, backend, expiry_tick(tick, tick, lifetimes)});
  }
  /// As long as the session can live.
  void stay(const SessionId& id, const config::Session& lifetimes, ClockReading now) {
    put(id, {Steering::Wish::stay, 0, Ticks::at(now.steady) + Ticks::of(lifetimes.max_lifetime)});
  }
  /// The session has moved: a wish to move is fulfilled.
  void moved(const SessionId& id) {
    if (table_.size() > 0)
      table_.erase_if(id, [](const Steering& s) { return s.wish == Steering::Wish::move; });
  }
  void gone(const SessionId& id) {
    if (table_.size() > 0) table_.erase(id);
  }
  void sweep(ClockReading now) {
    if (table_.size() > 0)
      table_.sweep([&](const SessionId&, const Steering& s) { return s.expires > Ticks::at(now.steady); });
  }

 private:
  void put(const SessionId& id, const Steering& wish) {
    table_.put(id, wish, [&](Steering& old) { old = wish; });
  }
  ShardedTable<SessionId, Steering> table_;
};

}  // namespace remora
