// Writes log lines to a file or standard stream on a separate thread, so that no worker waits for a disk.
//
// Each worker fills a private buffer and hands it over when it is large or old. A full queue drops lines and
// counts them; the count is written when the writer catches up.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace remora {

class LogWriter {
 public:
  /// `output`: stderr, stdout or a path. Throws std::system_error if the path cannot be opened.
  explicit LogWriter(std::string output);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Any thread. Queues the lines and leaves `lines` empty, keeping its capacity.
  void hand_over(std::string& lines);
  /// Reopens the path (after log rotation). False: this failed; the old file stays in use.
  bool reopen();
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t max_queued_bytes = 8 * 1024 * 1024;
  void run();
  void append(const std::string& lines);
  void write_all(std::string_view text);

  const std::string output_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::string queued_;  // guarded by mutex_
  int fd_ = -1;         // guarded by mutex_, except for the writer thread's own use
  bool stop_ = false;   // guarded by mutex_
  std::atomic<std::uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace remora
