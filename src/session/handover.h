// What one process knows of sessions, for the process that takes over from it on the same machine.
//
// First everything, then each change as it happens, because the old process serves its last connections
// while the new one already accepts. Entries travel as they lie in memory: times are ticks of the machine's
// steady clock, which both share; another layout (another version) is refused as a whole.
// Threading: SessionFeed hears changes from any thread; the rest on the control thread.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "session/memory.h"

namespace remora {

class SessionFeed {
 public:
  /// Watches the tables from now on. `memory` outlives it.
  explicit SessionFeed(SessionMemory& memory);
  ~SessionFeed();
  SessionFeed(const SessionFeed&) = delete;
  SessionFeed& operator=(const SessionFeed&) = delete;

  /// Everything that is known now.
  std::string everything();
  /// What changed since the last call.
  std::string take_changes();

 private:
  template <class Table, class Key, class Value, char tag>
  void watch(Table& table);
  SessionMemory& memory_;
  std::mutex mutex_;
  std::string changes_;  // guarded by mutex_
};

/// Takes records over; false: they are of another layout, or cut, and nothing of the rest was taken.
bool take_over_sessions(std::string_view records, SessionMemory& memory, Clock::Steady now);

/// Begins every text that is handed over: which layout it has.
std::string_view session_layout() noexcept;

}  // namespace remora
