#include "server/inherited_state.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "net/address.h"
#include "server/systemd.h"

namespace remora {

namespace {

/// True if the socket is bound to this address.
bool bound_to(int fd, const config::Address& bind) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return false;
  const auto endpoint = resolve(bind);
  if (!endpoint || endpoint->family() != name.ss_family) return false;
  if (name.ss_family == AF_UNIX)
    return std::strcmp(reinterpret_cast<const char*>(endpoint->get()->sa_data),
                       reinterpret_cast<const char*>(reinterpret_cast<sockaddr*>(&name)->sa_data)) == 0;
  const ClientAddress a = client_address(name), b = client_address(endpoint->storage);
  return a.port == b.port && std::memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

}  // namespace

std::unique_ptr<InheritedState> InheritedState::receive(SessionMemory& memory, const Clock& clock) {
  std::unique_ptr<InheritedState> out(new InheritedState(memory, clock));
  if (const char* number = std::getenv(channel_variable)) {
    out->channel_ = UniqueFd(std::atoi(number));
    ::unsetenv(channel_variable);
    ::fcntl(out->channel_.get(), F_SETFD, FD_CLOEXEC);
    out->read();
    return out;
  }
  for (UniqueFd& fd : systemd_sockets()) {
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    out->sockets_.emplace_back().fds.push_back(std::move(fd));
  }
  if (out->sockets_.empty()) return nullptr;
  return out;
}

void InheritedState::read() {
  constexpr std::chrono::seconds patience{30};
  for (;;) {
    Message m;
    if (receive_message(channel_.get(), m, patience) != Received::message)
      throw std::runtime_error("the process before did not hand over what it has");
    if (m.kind == 'e') return;
    if (m.kind == 'l' || m.kind == 'a') sockets_.push_back({m.text, std::move(m.fds), m.kind == 'a'});
    if (m.kind == 's') state_ = std::move(m.text);
    if (m.kind == 't' && !take_over_sessions(m.text, memory_, clock_.steady_now()))
      spdlog::warn(
          "the previous process uses another session format; its learned sessions were not taken over");
  }
}

std::vector<UniqueFd> InheritedState::take_listener(const config::Address& bind, unsigned count) {
  std::vector<UniqueFd> fds;
  for (Socket& s : sockets_) {
    const bool same = from_process() ? !s.admin && s.address == bind.text()
                                     : !s.fds.empty() && bound_to(s.fds.front().get(), bind);
    if (!same || s.fds.empty()) continue;
    for (UniqueFd& fd : std::exchange(s.fds, {})) fds.push_back(std::move(fd));
    if (bind.port == 0 && bind.kind == config::Address::Kind::tcp) break;  // one of several on port 0
  }
  // With fewer sockets than workers (systemd opens one; Unix sockets are one), workers share them.
  for (std::size_t i = 0; !fds.empty() && fds.size() < count; ++i) {
    UniqueFd copy = fds[i].duplicate();
    if (!copy)
      throw std::runtime_error(
          "listener " + bind.text() +
          ": the inherited socket cannot be shared by the workers: " + std::strerror(errno));
    fds.push_back(std::move(copy));
  }
  return fds;
}

UniqueFd InheritedState::take_admin(const config::Address& bind) {
  for (Socket& s : sockets_) {
    if (s.fds.empty()) continue;
    if (from_process() ? !(s.admin && s.address == bind.text()) : !bound_to(s.fds.front().get(), bind))
      continue;
    return std::move(std::exchange(s.fds, {}).front());
  }
  return UniqueFd();
}

void InheritedState::close_unused() {
  for (Socket& s : sockets_) {
    if (!s.fds.empty() && !from_process())
      spdlog::warn("systemd opened a socket that no listener of the configuration is bound to");
    s.fds.clear();
  }
}

void InheritedState::report_ready(Loop& loop) {
  if (!channel_) return;
  send_message(channel_.get(), 'r', "");
  changes_ = std::make_unique<asio::posix::basic_stream_descriptor<Executor>>(loop.ctx, channel_.get());
  static_cast<void>(channel_.release());
  listen();
}

void InheritedState::listen() {
  changes_->async_wait(asio::posix::descriptor_base::wait_read, [this](const error_code& ec) {
    if (ec) return;
    Message m;
    switch (receive_message(changes_->native_handle(), m, std::chrono::milliseconds(0))) {
      case Received::message:
        if (m.kind == 'c') take_over_sessions(m.text, memory_, clock_.steady_now());
        break;
      case Received::nothing:
        break;
      case Received::failed:  // the old process has ended
        return stop();
    }
    listen();
  });
}

void InheritedState::stop() {
  if (!changes_) return;
  error_code ignored;
  changes_->close(ignored);
  changes_.reset();
}

InheritedState::~InheritedState() {
  stop();
}

}  // namespace remora
