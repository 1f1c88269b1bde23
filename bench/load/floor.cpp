// The floor: what any proxy pays at least. Copies bytes between each client and a backend connection of its
// own, and knows nothing of HTTP: no parsing, no choice, no pool. One thread; arguments PORT BACKEND-PORT
// [splice | spread CONNECTIONS BACKENDS].
//
// With `splice` the bytes stay in the kernel (one pipe for each direction). With `spread` there are that many
// backend connections beforehand, to so many ports from BACKEND-PORT on, and a request goes on the one that
// rested longest: what balanced requests cost at least, as each meets another connection. A receive is a
// whole request or response then.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>

namespace {

constexpr std::size_t buffer_bytes = 128 * 1024;

struct End {
  int fd = -1;
  End* other = nullptr;
  int pipe[2] = {-1, -1};  // what came from here, with `splice`
  std::size_t held = 0;    // bytes that the other end did not take yet
  std::size_t at = 0;
  char* buffer = nullptr;
  bool is_backend = false;
};

bool splicing = false;
int spread = 0;              // backend connections that requests are spread over
std::deque<End*> resting{};  // those of them without a request

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

/// Moves what can be moved from one end to the other. False: both end.
bool pump(End& from) {
  for (;;) {
    if (from.held == 0) {
      const ssize_t n = splicing ? ::splice(from.fd, nullptr, from.pipe[1], nullptr, buffer_bytes,
                                            SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                                 : ::recv(from.fd, from.buffer, buffer_bytes, 0);
      if (n == 0) return false;
      if (n < 0) return would_block();
      from.held = static_cast<std::size_t>(n);
      from.at = 0;
    }
    const bool was_short = from.held < buffer_bytes;
    const ssize_t n = splicing ? ::splice(from.pipe[0], nullptr, from.other->fd, nullptr, from.held,
                                          SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                               : ::send(from.other->fd, from.buffer + from.at, from.held, MSG_NOSIGNAL);
    if (n < 0) return would_block();
    from.held -= static_cast<std::size_t>(n);
    from.at += static_cast<std::size_t>(n);
    if (from.held > 0) return true;  // goes on when the other end can be written to
    if (was_short && !splicing) return true;
  }
}

/// With `spread`: one request or response. False: the end ends.
bool relay(End& from) {
  static std::array<char, buffer_bytes> buffer;
  const ssize_t n = ::recv(from.fd, buffer.data(), buffer.size(), 0);
  if (n < 0) return would_block();
  if (n == 0 || (!from.is_backend && resting.empty())) return false;
  End* to = from.other;
  if (from.is_backend) {
    resting.push_back(&from);
    from.other = nullptr;
    if (to == nullptr) return true;  // its client is gone
    to->other = nullptr;
  } else {
    to = resting.front();
    resting.pop_front();
    to->other = &from;
    from.other = to;
  }
  return ::send(to->fd, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
}

End* make_end(int fd) {
  auto* end = new End;
  end->fd = fd;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (splicing) {
    if (::pipe2(end->pipe, O_NONBLOCK) != 0) std::abort();
    ::fcntl(end->pipe[1], F_SETPIPE_SZ, static_cast<int>(buffer_bytes));
  } else if (spread == 0) {
    end->buffer = static_cast<char*>(std::malloc(buffer_bytes));
  }
  return end;
}

void destroy(End* end) {
  ::close(end->fd);
  if (splicing)
    for (const int fd : end->pipe) ::close(fd);
  std::free(end->buffer);
  delete end;
}

int connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd);
    return -1;
  }
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

void watch(int poll, End* end) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
  event.data.ptr = end;
  ::epoll_ctl(poll, EPOLL_CTL_ADD, end->fd, &event);
}

End* connected_end(int poll, int port) {
  const int fd = connect_to(port);
  if (fd < 0) return nullptr;
  End* end = make_end(fd);
  end->is_backend = true;
  watch(poll, end);
  return end;
}

/// A client, and its backend connection where it has one of its own.
void accept_client(int poll, int listener, int backend_port) {
  const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
  if (fd < 0) return;
  End* backend = spread > 0 ? nullptr : connected_end(poll, backend_port);
  if (spread == 0 && backend == nullptr) {
    ::close(fd);
    return;
  }
  End* client = make_end(fd);
  client->other = backend;
  if (backend != nullptr) backend->other = client;
  watch(poll, client);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int backend_port = std::atoi(argv[2]);
  splicing = argc > 3 && std::strcmp(argv[3], "splice") == 0;
  if (argc > 5 && std::strcmp(argv[3], "spread") == 0) spread = std::atoi(argv[4]);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener, 1024) != 0) {
    std::perror("floor");
    return 1;
  }
  const int poll = ::epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  for (int i = 0; i < spread; ++i) {
    End* end = connected_end(poll, backend_port + i % std::atoi(argv[5]));
    if (end == nullptr) return 1;
    resting.push_back(end);
  }
  std::array<epoll_event, 128> ready{};
  for (;;) {
    int count = ::epoll_wait(poll, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* end = static_cast<End*>(ready[static_cast<std::size_t>(i)].data.ptr);
      if (end == nullptr) {
        accept_client(poll, listener, backend_port);
        continue;
      }
      const unsigned what = ready[static_cast<std::size_t>(i)].events;
      bool goes_on = (what & (EPOLLERR | EPOLLHUP)) == 0;
      if (spread > 0) {
        if (goes_on && (what & EPOLLIN) != 0) goes_on = relay(*end);
        if (goes_on) continue;
        if (end->is_backend) return 1;  // they are there for all
        if (end->other != nullptr) end->other->other = nullptr;
        destroy(end);
        continue;
      }
      if (goes_on && (what & EPOLLIN) != 0) goes_on = pump(*end);
      if (goes_on && (what & EPOLLOUT) != 0 && end->other->held > 0) goes_on = pump(*end->other);
      if (goes_on) continue;
      End* other = end->other;
      for (int j = i + 1; j < count; ++j)  // what is closed must not be looked at
        if (ready[static_cast<std::size_t>(j)].data.ptr == other)
          ready[static_cast<std::size_t>(j)] = ready[static_cast<std::size_t>(--count)];
      destroy(end);
      destroy(other);
    }
  }
}
