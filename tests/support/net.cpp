#include "support/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace remora::test {

// Heads ---------------------------------------------------------------------------------------------

namespace {
template <class F>
void for_each_line(const std::string& head, F f) {
  std::size_t at = head.find("\r\n");
  while (at != std::string::npos && at + 2 < head.size()) {
    const std::size_t end = head.find("\r\n", at + 2);
    if (end == std::string::npos || end == at + 2) return;
    const std::string line = head.substr(at + 2, end - at - 2);
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) {
      const std::size_t value = line.find_first_not_of(" \t", colon + 1);
      f(line.substr(0, colon), value == std::string::npos ? "" : line.substr(value));
    }
    at = end;
  }
}
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}
}  // namespace

std::string field_of(const std::string& head, std::string_view name) {
  std::string out;
  bool any = false;
  for_each_line(head, [&](const std::string& n, const std::string& v) {
    if (!same(n, name)) return;
    out += any ? ", " + v : v;
    any = true;
  });
  return out;
}

int count_of(const std::string& head, std::string_view name) {
  int n = 0;
  for_each_line(head, [&](const std::string& f, const std::string&) { n += same(f, name) ? 1 : 0; });
  return n;
}

std::string Reply::field(std::string_view name) const {
  return field_of(head, name);
}
int Reply::count(std::string_view name) const {
  return count_of(head, name);
}

// Socket --------------------------------------------------------------------------------------------

Socket& Socket::operator=(Socket&& o) noexcept {
  if (this != &o) {
    close();
    fd_ = std::exchange(o.fd_, -1);
    buffer_ = std::move(o.buffer_);
    reset_ = o.reset_;
  }
  return *this;
}

Socket Socket::connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) {
    ::close(fd);
    return Socket();
  }
  return Socket(fd);
}

Socket Socket::connect_unix(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::strncpy(a.sun_path, path.c_str(), sizeof a.sun_path - 1);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) {
    ::close(fd);
    return Socket();
  }
  return Socket(fd);
}

bool Socket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool Socket::receive_some(std::chrono::milliseconds limit) {
  if (fd_ < 0) return false;
  pollfd p{fd_, POLLIN, 0};
  if (::poll(&p, 1, static_cast<int>(limit.count())) != 1) return false;
  char block[65536];
  const ssize_t n = ::recv(fd_, block, sizeof block, 0);
  if (n < 0 && errno == ECONNRESET) reset_ = true;
  if (n <= 0) return false;
  buffer_.append(block, static_cast<std::size_t>(n));
  return true;
}

std::string Socket::receive_until(std::string_view end) {
  std::size_t at = 0;
  while ((at = buffer_.find(end)) == std::string::npos)
    if (!receive_some()) return "";
  std::string out = buffer_.substr(0, at + end.size());
  buffer_.erase(0, at + end.size());
  return out;
}

std::string Socket::receive_exactly(std::size_t n) {
  while (buffer_.size() < n)
    if (!receive_some()) break;
  n = std::min(n, buffer_.size());
  std::string out = buffer_.substr(0, n);
  buffer_.erase(0, n);
  return out;
}

std::string Socket::receive_all() {
  while (receive_some()) {
  }
  return std::exchange(buffer_, {});
}

Reply Socket::receive_reply(bool head_request) {
  Reply r;
  r.head = receive_head();
  if (r.head.size() < 12) return r;
  r.status = std::atoi(r.head.c_str() + 9);
  if (head_request || r.status < 200 || r.status == 204 || r.status == 304) {
    r.complete = true;
    return r;
  }
  if (same(r.field("Transfer-Encoding"), "chunked")) {
    for (;;) {
      const std::string line = receive_until("\r\n");
      if (line.empty()) return r;
      const std::size_t size = std::strtoul(line.c_str(), nullptr, 16);
      if (size == 0) break;
      const std::string data = receive_exactly(size + 2);
      if (data.size() < size + 2) {
        r.body += data;
        return r;
      }
      r.body += data.substr(0, size);
    }
    for (;;) {
      const std::string line = receive_until("\r\n");
      if (line.empty()) return r;
      if (line == "\r\n") break;
      r.trailers += line;
    }
    r.complete = true;
  } else if (r.count("Content-Length") > 0) {
    const std::size_t n = std::strtoul(r.field("Content-Length").c_str(), nullptr, 10);
    r.body = receive_exactly(n);
    r.complete = r.body.size() == n;
  } else {
    r.body = receive_all();
    r.complete = !reset_;
  }
  return r;
}

bool Socket::closed_by_peer(std::chrono::milliseconds limit) {
  pollfd p{fd_, POLLIN, 0};
  if (::poll(&p, 1, static_cast<int>(limit.count())) != 1) return false;
  char c = 0;
  const ssize_t n = ::recv(fd_, &c, 1, MSG_PEEK);
  if (n < 0) reset_ = errno == ECONNRESET;
  return n <= 0;
}

void Socket::shutdown_send() {
  ::shutdown(fd_, SHUT_WR);
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::close_with_reset() {
  const linger l{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  close();
}

Reply ask(int port, std::string_view request) {
  Socket s = Socket::connect(port);
  s.send(request);
  return s.receive_reply(request.substr(0, 5) == "HEAD ");
}

std::string get(std::string_view target, std::string_view more) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more) + "\r\n";
}

// Origin --------------------------------------------------------------------------------------------

Origin::Origin(Script script, int port, const std::string& ip) : script_(std::move(script)) {
  const bool v6 = ip.find(':') != std::string::npos;
  fd_ = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (v6) ::setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  sockaddr_storage storage{};
  auto& a = reinterpret_cast<sockaddr_in&>(storage);
  auto& a6 = reinterpret_cast<sockaddr_in6&>(storage);
  a.sin_family = v6 ? AF_INET6 : AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));  // at the same offset in both address types
  ::inet_pton(a.sin_family, ip.c_str(), v6 ? static_cast<void*>(&a6.sin6_addr) : &a.sin_addr);
  ::bind(fd_, reinterpret_cast<sockaddr*>(&storage), v6 ? sizeof a6 : sizeof a);
  ::listen(fd_, 256);
  socklen_t size = sizeof storage;
  ::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &size);
  port_ = ntohs(a.sin_port);
  acceptor_ = std::thread([this] {
    while (!stop_) {
      pollfd p{fd_, POLLIN, 0};
      if (::poll(&p, 1, 50) != 1) continue;
      const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++connections_;
      const int nodelay = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay);
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd] {
        Socket s(fd);
        script_(s);
        const std::lock_guard inner(mutex_);
        std::erase(open_, fd);
      });
    }
  });
}

void Origin::stop() {
  if (fd_ < 0) return;
  stop_ = true;
  acceptor_.join();
  ::close(std::exchange(fd_, -1));
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (auto& t : threads_) t.join();
  threads_.clear();
}

Origin::Script answering(std::function<std::string(const std::string&, const std::string&)> answer) {
  return [answer = std::move(answer)](Socket& s) {
    for (;;) {
      const std::string head = s.receive_head();
      if (head.empty()) return;
      std::string body;
      if (same(field_of(head, "Transfer-Encoding"), "chunked")) {
        for (;;) {
          const std::string line = s.receive_until("\r\n");
          const std::size_t size = std::strtoul(line.c_str(), nullptr, 16);
          if (line.empty()) return;
          if (size == 0) break;
          body += s.receive_exactly(size + 2).substr(0, size);
        }
        while (s.receive_until("\r\n") != "\r\n")
          if (s.fd() < 0 || s.closed_by_peer(0ms)) return;
      } else {
        body = s.receive_exactly(std::strtoul(field_of(head, "Content-Length").c_str(), nullptr, 10));
      }
      const std::string reply = answer(head, body);
      if (reply.empty() || !s.send(reply)) return;
    }
  };
}

Origin::Script says_name(const std::string& name) {
  return answering([name](const std::string& head, const std::string&) {
    if (head.find("/slow") != std::string::npos) std::this_thread::sleep_for(700ms);
    return ok(name);
  });
}

std::string ok(std::string_view body, std::string_view more) {
  return "HTTP/1.1 200 OK\r\n" + std::string(more) + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

}  // namespace remora::test
