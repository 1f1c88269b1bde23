// Persisted memory: what this process knows about sessions survives it, in a log in `state_dir`.
//
//   open() --another process has the log--> this one runs without it
//     \--> restore() --> start(): a thread appends the changes (LogChanges), and replaces the log by a new
//     one
//                                 (LogRecovery) once it has twice the size it had when it was last replaced
//   take_over(): after a hot restart the thread waits until the old process lets go, then begins a new log
//                with everything that is known; the former content was handed over in memory
//
// The request path only queues changes. Written are they a few milliseconds later, without being synced: kill
// -9 costs these milliseconds, a crash of the machine what it had not written to disk (synced every 5 s). If
// the disk is full, changes are dropped and counted, and the log is replaced as soon as there is room,
// because then it lacks them (also the end of a session).
//
// Threading: the functions below are for the control thread. Lifetime: `memory` and `clock` must outlive this
// object; the clock must be usable from any thread.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "affinity/seal.h"
#include "session/log_changes.h"
#include "session/log_file.h"

namespace remora {

class SessionLog {
 public:
  struct Settings {
    std::string folder;
    std::uint64_t compact_from = 4 * 1024 * 1024;  // a smaller log is never replaced
    std::size_t queue_bytes = LogChanges::default_bytes;
    std::chrono::milliseconds retry = std::chrono::seconds(10);  // replacing a log that lacks changes
  };
  /// `keys`: at least one, for the index key.
  SessionLog(SessionMemory& memory, const Clock& clock, std::shared_ptr<const KeyRing> keys,
             Settings settings);
  /// Removes a log that nobody writes, for a process that will not write it either: what it says of sessions
  /// that end from now on would be wrong.
  static void discard(const std::string& folder);
  /// Writes what is queued.
  ~SessionLog();
  SessionLog(const SessionLog&) = delete;
  SessionLog& operator=(const SessionLog&) = delete;

  /// Waits this long for a process that is ending. False: this process runs without the log, which was
  /// logged.
  bool open(std::chrono::milliseconds patience = std::chrono::seconds(1));
  struct Restored {
    std::map<std::string, std::uint16_t> pool_numbers;
    std::string index_key;  // empty: unknown
  };
  /// Reads the log into the tables; cuts what is not whole. REQUIRES: open() succeeded, and nothing is served
  /// yet. `pools`: the names of the configured ones.
  Restored restore(const std::set<std::string>& pools);
  /// What every log has to say, apart from the tables.
  struct Names {
    std::map<std::string, std::uint16_t> pool_numbers;
    std::string index_key;
  };
  /// Begins to write. REQUIRES: open() succeeded.
  void start(Names names);
  /// The same once the old process of a hot restart has let go.
  void take_over(Names names);
  /// A reload may have added pools.
  void set_pool_numbers(const std::map<std::string, std::uint16_t>& numbers);
  /// Returns when every change so far is written or dropped.
  void flush();
  /// Writes what is queued, and lets another process have the log.
  void stop();

 private:
  void run(bool waits);
  bool wait_for_lock();
  std::optional<std::chrono::milliseconds> next_task() const;
  void work();
  void write_changes();
  void compact();
  bool wants_compaction() const;
  void failed(const std::string& problem, std::uint64_t records);
  void append_names(std::string& out, const LogTimes& times) const;
  void sync_if_due();
  bool stopping();
  ClockReading now() const { return {clock_.steady_now(), clock_.wall_now()}; }

  SessionMemory& memory_;
  const Clock& clock_;
  const std::shared_ptr<const KeyRing> keys_;
  const Settings settings_;
  LogFile file_;
  LogChanges changes_;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable flushed_;
  Names names_;
  bool names_changed_ = false, stop_ = false, running_ = false;
  std::uint64_t flush_wanted_ = 0, flush_done_ = 0;

  // The log's thread (before it starts: the control thread).
  std::string batch_;
  std::uint64_t compacted_size_ = 0;
  bool lacks_changes_ = false, unsynced_ = false;
  std::uint64_t dropped_untold_ = 0;
  Clock::Steady told_at_ = Clock::Steady::min(), compacted_at_ = Clock::Steady::min(), synced_at_{};
  std::thread thread_;
};

}  // namespace remora
