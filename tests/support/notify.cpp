#include "support/notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace remora::test {

namespace {
sockaddr_un address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  path.copy(a.sun_path, sizeof a.sun_path - 1);
  return a;
}
}  // namespace

NotifySocket::NotifySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_un a = address_of(path);
  EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  reader_ = std::thread([this] { read(); });
}

NotifySocket::~NotifySocket() {
  ::shutdown(fd_, SHUT_RD);  // ends the reader's recv
  reader_.join();
  ::close(fd_);
}

void NotifySocket::read() {
  char text[512];
  for (ssize_t n = 1; n > 0;) {
    n = ::recv(fd_, text, sizeof text, 0);
    if (n <= 0) return;
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(text, static_cast<std::size_t>(n));
    came_.notify_all();
  }
}

std::string NotifySocket::take(const std::function<bool(const std::string&)>& wanted,
                               std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  std::string found;
  came_.wait_for(lock, limit, [&] {
    while (found.empty() && taken_ < messages_.size())
      if (wanted(messages_[taken_++])) found = messages_[taken_ - 1];
    return !found.empty();
  });
  return found;
}

void NotifySocket::forget() {
  const std::lock_guard lock(mutex_);
  taken_ = messages_.size();
}

std::string NotifySocket::receive(std::chrono::milliseconds limit) {
  return take([](const std::string&) { return true; }, limit);
}

std::string NotifySocket::receive_with(const std::string& text, std::chrono::milliseconds limit) {
  return take([&](const std::string& m) { return m.find(text) != std::string::npos; }, limit);
}

}  // namespace remora::test
