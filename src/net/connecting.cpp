#include "net/connecting.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <cerrno>

#include "util/unique_fd.h"

namespace remora {

Connecting::Connecting(Loop& loop, const Endpoint& endpoint, const ClientTls* tls,
                       const std::string& server_name, EventFlags& wake, unsigned bit, bool http1_only)
    : tls_(tls), server_name_(server_name), http1_only_(http1_only) {
  const auto failed = [&] {
    error_ = error_code(errno, boost::system::system_category());
    state_ = State::failed;
  };
  UniqueFd socket(::socket(endpoint.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) {
    failed();
    return;
  }
  const int on = 1;
  if (endpoint.family() != AF_UNIX) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket.get(), endpoint.get(), endpoint.size) != 0 && errno != EINPROGRESS) {
    failed();
    return;
  }
  stream_ = TransportRef(new Transport(loop, socket.get()));
  static_cast<void>(socket.release());
  stream_->attach(wake, bit);
}

Connecting::~Connecting() {
  if (stream_) stream_->close();
}

Io Connecting::connected() {
  pollfd ready{stream_->fd(), POLLOUT, 0};
  if (::poll(&ready, 1, 0) == 0) {
    stream_->wait_writable();
    return Io::blocked;
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(stream_->fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    error_ = error_code(error, boost::system::system_category());
    state_ = State::failed;
    return Io::failed;
  }
  if (tls_ == nullptr) {
    state_ = State::done;
    return Io::ready;
  }
  stream_->start_tls(*tls_, server_name_, http1_only_);
  state_ = State::handshaking;
  return step();
}

Io Connecting::step() {
  switch (state_) {
    case State::connecting:
      return connected();
    case State::handshaking: {
      const Io io = stream_->handshake();
      if (io == Io::failed) {
        error_ = stream_->error();
        state_ = State::failed;
      } else if (io == Io::ready) {
        state_ = State::done;
      }
      return io;
    }
    case State::done:
      return Io::ready;
    case State::failed:
      return Io::failed;
  }
  return Io::failed;
}

bool Connecting::unreachable() const noexcept {
  return error_ == asio::error::timed_out || error_ == asio::error::host_unreachable ||
         error_ == asio::error::network_unreachable;
}

const std::string& Connecting::tls_error() const noexcept {
  static const std::string none;
  return stream_ ? stream_->tls_error() : none;
}

}  // namespace remora
