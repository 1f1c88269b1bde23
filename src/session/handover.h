// Hot restart: hands what one process knows about sessions to the process that replaces it on the same
// machine.
//
// First a full copy, then each change as it happens, because the old process serves its last connections
// while the new one already accepts. Entries are sent as they lie in memory. Their times are ticks of the
// machine's steady clock, which both processes share. Data with another layout (another version) is rejected
// as a whole.
// Threading: SessionFeed receives changes from any thread; everything else runs on the control thread.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "session/memory.h"

namespace remora {

class SessionFeed {
 public:
  /// Watches the tables from now on. `memory` must outlive this object.
  explicit SessionFeed(SessionMemory& memory);
  ~SessionFeed();
  SessionFeed(const SessionFeed&) = delete;
  SessionFeed& operator=(const SessionFeed&) = delete;

  /// A full copy of the tables.
  std::string everything();
  /// The changes since the last call; empty: none.
  std::string take_changes();

 private:
  template <class Table, class Key, class Value, char tag>
  void watch(Table& table);
  SessionMemory& memory_;
  std::mutex mutex_;
  std::string changes_;  // guarded by mutex_
};

/// Applies records. False: another layout, or a truncated record; nothing after that point was applied.
bool take_over_sessions(std::string_view records, SessionMemory& memory, Clock::Steady now);

/// First line of every text that is sent: identifies the layout.
std::string_view session_layout() noexcept;

}  // namespace remora
