// Receives a server's sd_notify(3) messages, in place of systemd.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace remora::test {

/// Reads on a thread, because sd_notify blocks the server while the socket's queue is full.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path);
  ~NotifySocket();
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  /// The oldest message not yet returned. Empty: none came within the limit.
  std::string receive(std::chrono::milliseconds limit);
  /// The same, but skips messages without this text.
  std::string receive_with(const std::string& text, std::chrono::milliseconds limit);

  /// Discards all messages received so far.
  void forget();

 private:
  std::string take(const std::function<bool(const std::string&)>& wanted, std::chrono::milliseconds limit);
  void read();
  int fd_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::string> messages_;  // guarded by mutex_
  std::size_t taken_ = 0;              // guarded by mutex_
  std::thread reader_;
};

}  // namespace remora::test
