// A server on a unix socket that the test drives step by step, on the thread of the loop under test. Nothing
// here waits: bytes that the other end has sent are available at once.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "net/address.h"

namespace remora::test {

/// The server's end of one connection, or empty.
class Accepted {
 public:
  Accepted() = default;
  explicit Accepted(int fd) : fd_(fd) {}
  Accepted(Accepted&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Accepted& operator=(Accepted&& o) noexcept {
    if (this != &o) {
      close();
      fd_ = std::exchange(o.fd_, -1);
    }
    return *this;
  }
  ~Accepted() { close(); }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int descriptor() const noexcept { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void send(std::string_view bytes) {
    if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) close();
  }
  /// All bytes received since the last call; does not wait.
  std::string received() {
    std::string out;
    char some[4096];
    for (ssize_t n = 1; n > 0;) {
      n = ::recv(fd_, some, sizeof some, MSG_DONTWAIT);
      if (n > 0) out.append(some, static_cast<std::size_t>(n));
    }
    return out;
  }
  /// The other end is closed or was reset, and all bytes were received.
  bool gone() const {
    char c = 0;
    return ::recv(fd_, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
  /// The other end is closed, and all bytes were received.
  bool ended() const {
    char c = 0;
    return ::recv(fd_, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
  }

 private:
  int fd_ = -1;
};

class UnixListener {
 public:
  UnixListener() {
    char name[] = "/tmp/remora-listener-XXXXXX";
    if (::mkdtemp(name) == nullptr) std::abort();
    folder_ = name;
    open();
  }
  ~UnixListener() {
    close();
    std::filesystem::remove_all(folder_);
  }
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  config::Address address() const { return {config::Address::Kind::unix_path, folder_ + "/socket", 0}; }
  Endpoint endpoint() const { return *resolve(address()); }
  void open() {
    const Endpoint at = endpoint();
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0 || ::bind(fd_, at.get(), at.size) != 0 || ::listen(fd_, 100) != 0) std::abort();
  }
  /// Stops listening: later connections are refused.
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    std::filesystem::remove(folder_ + "/socket");
  }
  /// The next connection; empty: none is pending.
  Accepted accept() { return Accepted(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }

 private:
  std::string folder_;
  int fd_ = -1;
};

}  // namespace remora::test
