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
    const int channel = std::atoi(number);
    ::unsetenv(channel_variable);
    ::fcntl(channel, F_SETFD, FD_CLOEXEC);
    out->read(channel);
    return out;
  }
  for (const int fd : systemd_sockets()) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    out->sockets_.push_back({"", {fd}, false});
  }
  if (out->sockets_.empty()) return nullptr;
  return out;
}

void InheritedState::read(int channel) {
  constexpr int patience_ms = 30000;
  channel_ = channel;
  for (;;) {
    Message m;
    if (!receive_message(channel, m, patience_ms))
      throw std::runtime_error("the process before did not hand over what it has");
    if (m.kind == 'e') return;
    if (m.kind == 'l' || m.kind == 'a') sockets_.push_back({m.text, m.fds, m.kind == 'a'});
    if (m.kind == 's') state_ = std::move(m.text);
    if (m.kind == 't' && !take_over_sessions(m.text, memory_, clock_.steady_now()))
      spdlog::warn(
          "the previous process uses another session format; its learned sessions were not taken over");
  }
}

std::vector<int> InheritedState::take_listener(const config::Address& bind, unsigned count) {
  std::vector<int> fds;
  for (Socket& s : sockets_) {
    const bool same = from_process() ? !s.admin && s.address == bind.text()
                                     : !s.fds.empty() && bound_to(s.fds.front(), bind);
    if (!same || s.fds.empty()) continue;
    fds.insert(fds.end(), s.fds.begin(), s.fds.end());
    s.fds.clear();
    if (bind.port == 0 && bind.kind == config::Address::Kind::tcp) break;  // one of several on port 0
  }
  // With fewer sockets than workers (systemd opens one; Unix sockets are one), workers share them.
  for (std::size_t i = 0; !fds.empty() && fds.size() < count; ++i)
    fds.push_back(::fcntl(fds[i], F_DUPFD_CLOEXEC, 0));
  return fds;
}

int InheritedState::take_admin(const config::Address& bind) {
  for (Socket& s : sockets_) {
    if (s.fds.empty()) continue;
    if (from_process() ? !(s.admin && s.address == bind.text()) : !bound_to(s.fds.front(), bind)) continue;
    const int fd = s.fds.front();
    s.fds.clear();
    return fd;
  }
  return -1;
}

void InheritedState::close_unused() {
  for (Socket& s : sockets_) {
    if (!s.fds.empty() && !from_process())
      spdlog::warn("systemd opened a socket that no listener of the configuration is bound to");
    for (const int fd : s.fds) ::close(fd);
    s.fds.clear();
  }
}

void InheritedState::report_ready(Loop& loop) {
  if (channel_ < 0) return;
  send_message(channel_, {'r', "", {}});
  changes_ = std::make_unique<asio::posix::basic_stream_descriptor<Executor>>(loop.ctx, channel_);
  listen();
}

void InheritedState::listen() {
  changes_->async_wait(asio::posix::descriptor_base::wait_read, [this](const error_code& ec) {
    if (ec) return;
    Message m;
    if (!receive_message(channel_, m, 0)) {  // the old process has ended
      stop();
      return;
    }
    if (m.kind == 'c') take_over_sessions(m.text, memory_, clock_.steady_now());
    for (const int fd : m.fds) ::close(fd);
    listen();
  });
}

void InheritedState::stop() {
  if (!changes_) return;
  error_code ignored;
  changes_->close(ignored);
  changes_.reset();
  channel_ = -1;
}

InheritedState::~InheritedState() {
  for (const Socket& s : sockets_)
    for (const int fd : s.fds) ::close(fd);
  stop();
  if (channel_ >= 0) ::close(channel_);
}

}  // namespace remora
