#include "server/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>

#include "net/unix_path.h"

namespace remora {

namespace {

constexpr int backlog = 4096;
constexpr int max_in_a_row = 32;

[[noreturn]] void refuse(const config::Listener& l, const std::string& what) {
  throw std::runtime_error("listener " + l.bind.text() + ": " + what);
}

std::string advice(int error, const config::Listener& l) {
  switch (error) {
    case EADDRINUSE:
      return "the address is in use; stop the other process or choose another port";
    case EACCES:
      return l.bind.kind == config::Address::Kind::tcp && l.bind.port < 1024
                 ? "no permission for a port below 1024; use a higher port or grant CAP_NET_BIND_SERVICE"
                 : "no permission";
    case EADDRNOTAVAIL:
      return "no interface of this machine has this address";
    case EAFNOSUPPORT:
      return "IPv6 is switched off on this machine";
    case ENOENT:
      return "the socket's folder does not exist";
    case EPERM:
      return socket_access_advice(error);
    default:
      return std::strerror(error);
  }
}

struct Way {
  Endpoint endpoint;
  bool v6_only = true;  // for IPv6 only
};

/// Empty on failure, with errno set. Without `listens`, the socket takes no connections away from sockets
/// that do listen.
UniqueFd try_open(const config::Listener& l, const Way& way, bool reuse_port, bool listens = true) {
  const int family = way.endpoint.family();
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return socket;
  const int fd = socket.get();
  const int on = 1, v6_only = way.v6_only ? 1 : 0;
  if (family != AF_UNIX) {
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited by accepted sockets
    if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  }
  if (family == AF_UNIX) {
    if (const int error = bind_unix_socket(fd, way.endpoint, l.access); error != 0) {
      errno = error;
      return UniqueFd();
    }
  } else if (::bind(fd, way.endpoint.get(), way.endpoint.size) != 0) {
    return UniqueFd();
  }
  if (listens && ::listen(fd, backlog) != 0) return UniqueFd();
  return socket;
}

UniqueFd open_one(const config::Listener& l, const Way& way, bool reuse_port) {
  UniqueFd socket = try_open(l, way, reuse_port);
  if (!socket) refuse(l, advice(errno, l));
  return socket;
}

bool is_any_v6(const Endpoint& e) {
  return e.family() == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(e.storage).sin6_addr);
}

/// `[::]` accepts IPv4 too, unless another process uses the port there.
Way way_to(const config::Listener& l, const Endpoint& endpoint, bool ours) {
  Way way{endpoint, !is_any_v6(endpoint) || l.v6_only};
  if (!is_any_v6(endpoint)) return way;
  if (try_open(l, way, ours, false)) return way;
  if (errno == EAFNOSUPPORT && !l.v6_only) {
    spdlog::warn("listener {}: IPv6 is disabled on this machine; listening on IPv4 only", l.bind.text());
    way.endpoint = *resolve({config::Address::Kind::tcp, "0.0.0.0", l.bind.port});
  } else if (errno == EADDRINUSE && !way.v6_only) {
    way.v6_only = true;
    if (!try_open(l, way, ours, false)) return way;
    spdlog::warn("listener {}: another process uses the port on IPv4; listening on IPv6 only", l.bind.text());
  }
  return way;
}

}  // namespace

std::vector<UniqueFd> open_listener(const config::Listener& l, unsigned count, bool ours) {
  const auto endpoint = resolve(l.bind);
  if (!endpoint) refuse(l, "cannot be resolved: " + endpoint.error().message());
  std::vector<UniqueFd> fds;
  if (endpoint->family() == AF_UNIX) {
    if (const std::string taken = make_room_for_socket(l.bind.host); !taken.empty()) refuse(l, taken);
    fds.push_back(open_one(l, {*endpoint, true}, false));
    while (fds.size() < count) {
      UniqueFd copy = fds.front().duplicate();
      if (!copy) refuse(l, advice(errno, l));
      fds.push_back(std::move(copy));
    }
    return fds;
  }
  Way way = way_to(l, *endpoint, ours);
  // SO_REUSEPORT lets a second process of the same user share the port silently, so starting remora twice
  // would leave the old process serving every other request. Opening one socket without it first detects
  // that.
  if (!ours) open_one(l, way, false).reset();
  while (fds.size() < count) {
    fds.push_back(open_one(l, way, true));
    way.endpoint.size = sizeof way.endpoint.storage;  // port 0: all sockets use the port of the first
    ::getsockname(fds.front().get(), reinterpret_cast<sockaddr*>(&way.endpoint.storage), &way.endpoint.size);
  }
  return fds;
}

std::string bound_address(int fd, const config::Address& configured) {
  if (configured.kind == config::Address::Kind::unix_path) return configured.text();
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  config::Address actual = configured;
  actual.port = client_address(bound).port;
  return actual.text();
}

Acceptor::Acceptor(WorkerContext& worker, UniqueFd socket, ListenerState state)
    : worker_(worker), socket_(worker.loop.ctx, socket.get(), *this), state_(std::move(state)) {
  static_cast<void>(socket.release());
  wait(true);
}

Acceptor::~Acceptor() {
  close();
}

void Acceptor::close() {
  pause_.disarm();
  socket_.close();
}

void Acceptor::wait(bool noticed) {
  if (is_open() && !waiting_) {
    waiting_ = true;
    socket_.start_wait_readable(noticed);
  }
}

void Acceptor::readable(const error_code& ec) {
  waiting_ = false;
  if (!ec && is_open()) accept_some();
}

void Acceptor::retire() {
  in_a_row_ = backlog;
  if (is_open()) accept_some();
  close();
}

bool Acceptor::serve(UniqueFd socket, const sockaddr_storage& peer) {
  try {
    const TransportRef stream(new Transport(worker_.loop, socket.get()));
    static_cast<void>(socket.release());
    Connection::start(worker_, state_, stream, client_address(peer));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Acceptor::complain(const char* what, const char* advice) {
  const Clock::Steady now = worker_.clock.steady_now();
  if (now - complained_ <= std::chrono::seconds(5)) return;
  complained_ = now;
  spdlog::warn("accept paused: {}; {}", what, advice);
}

void Acceptor::accept_some() {
  const std::uint32_t max_connections =
      worker_.snapshot->shared->listeners[state_.slot]->config.limits.connections;
  for (int i = 0; i < in_a_row_; ++i) {
    if (state_.shared->open.load(std::memory_order_relaxed) >= max_connections) {
      pause_.arm(worker_.loop.wheel, worker_.clock.steady_now() + std::chrono::milliseconds(20));
      return;  // they stay in the kernel's queue until a connection closes
    }
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    UniqueFd accepted(
        ::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted) {
      if (serve(std::move(accepted), peer)) continue;
      complain("out of memory", "lower limits.connections, or give it more");
      pause_.arm(worker_.loop.wheel, worker_.clock.steady_now() + std::chrono::milliseconds(100));
      return;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      in_a_row_ = std::max(1, i);
      full_rows_ = 0;
      return wait(true);
    }
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
    complain(std::strerror(errno), "raise the limit of open files (ulimit -n) or lower limits.connections");
    pause_.arm(worker_.loop.wheel, worker_.clock.steady_now() + std::chrono::milliseconds(100));
    return;
  }
  constexpr int rows_before_more = 8;
  if (++full_rows_ == rows_before_more) {
    in_a_row_ = std::min(in_a_row_ * 2, max_in_a_row);
    full_rows_ = 0;
  }
  wait(false);
}

}  // namespace remora
