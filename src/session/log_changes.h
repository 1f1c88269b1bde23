// The changes of the session tables that the log has yet to write: a bounded queue in memory.
//
// A table reports a change under the lock of its shard. The change is copied as it lies in memory, or counted
// as dropped if there is no room: nothing waits, and nothing is written to disk here. A session that is
// merely used causes one record per minute at most (log_record.h).
//
// Threading: tables report from any thread; everything else runs on the log's thread. The queue has several
// lanes, each with a mutex. Changes of one session are always in one lane, so they stay in order.
// Lifetime: `memory` must outlive this object.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "session/log_record.h"

namespace remora {

class LogChanges {
 public:
  static constexpr std::size_t default_bytes = 16 * 1024 * 1024;
  explicit LogChanges(SessionMemory& memory, std::size_t max_bytes = default_bytes)
      : memory_(memory), max_lane_bytes_(max_bytes / lane_count) {}
  ~LogChanges() { detach(); }
  LogChanges(const LogChanges&) = delete;
  LogChanges& operator=(const LogChanges&) = delete;

  /// Watches the tables from now on.
  void attach();
  void detach();
  /// Calls `f(const LogRecord&)` for each change that is queued, and forgets it.
  template <class F>
  void drain(F f);
  /// Changes that were dropped since the last call.
  std::uint64_t take_dropped() noexcept { return dropped_.exchange(0, std::memory_order_relaxed); }
  /// Returns when something is queued, wake() was called, or after this time (none: never). Only in this wait
  /// does a change cost its reporter a system call: the log's thread waits so after a second without changes.
  void wait_for_change(std::optional<std::chrono::milliseconds> at_most);
  /// Returns after this time, or when wake() was called.
  void wait_for(std::chrono::milliseconds time);
  void wake();

 private:
  static constexpr std::size_t lane_count = 8;
  enum class Kind : std::uint8_t {
    session,
    forgotten_session,
    move,
    forgotten_move,
    hand_over,
    finished_hand_over,
    value
  };
  struct ValueHead {
    Clock::Steady expires;
    std::uint32_t key_size, value_size;
    StoreUse use;
  };
  struct alignas(64) Lane {
    std::mutex mutex;
    std::string queued;  // guarded by mutex
  };
  template <class Table, class Key, class Value, Kind changed, Kind erased>
  void watch(Table& table);
  template <class... Parts>
  void push(std::uint64_t hash, std::size_t size, const Parts&... parts) noexcept;
  static std::string_view bytes_of(std::string_view text) noexcept { return text; }
  template <class T>
  static std::string_view bytes_of(const T& value) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  bool anything_queued();
  static LogRecord take(std::string_view& queued);

  SessionMemory& memory_;
  const std::size_t max_lane_bytes_;
  std::array<Lane, lane_count> lanes_;
  std::string taken_;  // the log's thread: a lane's content, and its memory for the next one
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<bool> asleep_{false};  // the log's thread wants to be woken
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool woken_ = false;  // guarded by wake_mutex_
};

template <class F>
void LogChanges::drain(F f) {
  for (Lane& lane : lanes_) {
    taken_.clear();
    {
      const std::lock_guard lock(lane.mutex);
      taken_.swap(lane.queued);
    }
    for (std::string_view rest = taken_; !rest.empty();) f(take(rest));
  }
}

}  // namespace remora
