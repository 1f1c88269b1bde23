// OpenSession: one request of a session that is under way, as `rebalance` counts them
// (ActiveSessions::begin).
//
// Its end is noted when this goes, whichever way the request ends: a session that counted as open for ever
// would never be moved again.
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
  /// `begun`: when its request began, which is the last sign of life if nobody says otherwise.
  OpenSession(ActiveSessions& table, const SessionId& id, Moment begun) noexcept
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

  void finish(Moment now) noexcept {
    ActiveSessions* const table = std::exchange(table_, nullptr);
    if (table == nullptr) return;
    try {
      table->finish(id_, now);
    } catch (const std::bad_alloc&) {  // a hot restart in progress hears one word less
    }
  }
  explicit operator bool() const noexcept { return table_ != nullptr; }

 private:
  ActiveSessions* table_ = nullptr;
  SessionId id_{};
  Moment begun_{};
};

}  // namespace remora
