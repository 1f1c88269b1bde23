// Lines to a file or a standard stream, written by a thread of its own, so that no worker waits for a disk.
//
// Each worker fills a private buffer and hands it over whole when it is large or old. A full queue drops
// lines and counts them; the count is written once there is room.
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
  /// `output`: stderr, stdout or a path. Throws std::system_error when the path cannot be opened.
  explicit LogWriter(std::string output);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Any thread. Takes the lines and leaves `lines` empty, its capacity kept.
  void hand_over(std::string& lines);
  /// Opens the path again (after log rotation). False: it cannot be; the old file stays in use.
  bool reopen();
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t most_queued_bytes = 8 * 1024 * 1024;
  void run();
  void append(const std::string& lines);
  void write_all(std::string_view text);

  const std::string output_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::string queued_;  // guarded by mutex_
  int fd_ = -1;         // guarded by mutex_ but for the writer's own use
  bool stop_ = false;   // guarded by mutex_
  std::atomic<std::uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace remora
