// OpenSession: one request in progress of a session, as `rebalance` counts them (ActiveSessions::begin).
//
// Its destructor records the end of the request, however the request ends: a session that counted as open
// forever would never be moved again.
//
// Threading: one object belongs to one exchange; the table is shared. Lifetime: the table outlives it.
#pragma once

#include <new>
#include <utility>

#include "session/active.h"

namespace remora {

class OpenSession {
 public:
  OpenSession() = default;
  /// `begun`: when the request began. It is the last activity of the session unless finish() gives a later
  /// time.
  OpenSession(ActiveSessions& table, const SessionId& id, ClockReading begun) noexcept
      : table_(&table), id_(id), begun_(begun) {}
  OpenSession(OpenSession&& other) noexcept { *this = std::move(other); }
  OpenSession& operator=(OpenSession&& other) noexcept {
    if (this == &other) return *this;
    finish(begun_);
    table_ = std::exchange(other.table_, nullptr);
    id_ = other.id_;
    begun_ = other.begun_;
    return *this;
  }
  ~OpenSession() { finish(begun_); }

  void finish(ClockReading now) noexcept {
    ActiveSessions* const table = std::exchange(table_, nullptr);
    if (table == nullptr) return;
    try {
      table->finish(id_, now);
    } catch (const std::bad_alloc&) {  // a hot restart in progress misses one change
    }
  }
  explicit operator bool() const noexcept { return table_ != nullptr; }

 private:
  ActiveSessions* table_ = nullptr;
  SessionId id_{};
  ClockReading begun_{};
};

}  // namespace remora
