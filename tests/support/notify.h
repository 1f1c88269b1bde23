// What a server tells systemd (sd_notify(3)), received as systemd would receive it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace remora::test {

/// A thread reads, because sd_notify blocks the server while the socket's queue is full.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path);
  ~NotifySocket();
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  /// The first message that has not been taken yet; empty: none came within the limit.
  std::string receive(std::chrono::milliseconds limit);
  /// The same, passing over messages without this text.
  std::string receive_with(const std::string& text, std::chrono::milliseconds limit);

  /// Whatever came so far has been taken.
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
