#include "server/upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "net/address.h"
#include "server/systemd.h"

namespace remora {

namespace {

constexpr const char* variable = "REMORA_SUCCESSION_FD";
constexpr std::size_t inline_bytes = 32 * 1024;  // longer texts travel in a memory file
constexpr std::size_t most_fds = 250;            // SCM_MAX_FD is 253
constexpr off_t most_bytes = off_t{4} << 30;

int memory_file(std::string_view text) {
  const int fd = ::memfd_create("remora-handover", MFD_CLOEXEC);
  while (fd >= 0 && !text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) {
      ::close(fd);
      return -1;
    }
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return fd;
}

bool read_memory_file(int fd, std::string& out) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || info.st_size < 0 || info.st_size > most_bytes) return false;
  out.resize(static_cast<std::size_t>(info.st_size));
  for (std::size_t at = 0; at < out.size();) {
    const ssize_t n = ::pread(fd, out.data() + at, out.size() - at, static_cast<off_t>(at));
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

/// The address that a socket is bound to, as endpoints compare.
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

bool send_parcel(int channel, const Parcel& parcel) {
  std::vector<int> fds = parcel.fds;
  const bool in_file = parcel.text.size() > inline_bytes;
  const int file = in_file ? memory_file(parcel.text) : -1;
  if (in_file && file < 0) return false;
  if (in_file) fds.push_back(file);
  std::string head{parcel.kind, in_file ? 'f' : 'i'};
  if (!in_file) head += parcel.text;
  iovec run{head.data(), head.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (most_fds + 1))] = {};
  msghdr message{};
  message.msg_iov = &run;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(c), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t n = -1;
  do n = ::sendmsg(channel, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (file >= 0) ::close(file);
  return n == static_cast<ssize_t>(head.size());
}

bool receive_parcel(int channel, Parcel& out, int limit_ms) {
  pollfd p{channel, POLLIN, 0};
  if (::poll(&p, 1, limit_ms) <= 0) return false;
  std::string room(inline_bytes + 2, '\0');
  iovec run{room.data(), room.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (most_fds + 1))] = {};
  msghdr message{};
  message.msg_iov = &run;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  out = {};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const std::size_t at = out.fds.size();
    out.fds.resize(at + count);
    std::memcpy(out.fds.data() + at, CMSG_DATA(c), count * sizeof(int));
  }
  bool fine = n >= 2 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  if (fine) {
    out.kind = room[0];
    if (room[1] == 'i') {
      out.text.assign(room, 2, static_cast<std::size_t>(n) - 2);
    } else {
      fine = !out.fds.empty() && read_memory_file(out.fds.back(), out.text);
      if (!out.fds.empty()) {
        ::close(out.fds.back());
        out.fds.pop_back();
      }
    }
  }
  if (!fine) {
    for (const int fd : out.fds) ::close(fd);
    out = {};
  }
  return fine;
}

// The old process -----------------------------------------------------------------------------------

Successor::Successor(const std::vector<std::string>& arguments, SessionMemory& memory) : feed_(memory) {
  int pair[2];
  if (arguments.empty() || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    throw std::runtime_error(std::string("no channel to a new process: ") + std::strerror(errno));
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const std::string number = std::to_string(pair[1]);
  // Everything that allocates is done: between fork and exec only what is safe in a process with threads.
  std::vector<std::string> environment;
  for (char** e = environ; *e != nullptr; ++e)
    if (std::strncmp(*e, variable, std::strlen(variable)) != 0 && std::strncmp(*e, "LISTEN_", 7) != 0)
      environment.emplace_back(*e);
  std::string assignment = variable;
  assignment.append("=").append(number);
  environment.push_back(std::move(assignment));
  std::vector<char*> envp;
  for (std::string& e : environment) envp.push_back(e.data());
  envp.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::fcntl(pair[1], F_SETFD, 0);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(pair[1]);
  channel_ = pair[0];
  const timeval limit{5, 0};  // a process that does not read must not hold this one up for ever
  ::setsockopt(channel_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (pid_ < 0) {
    ::close(channel_);
    throw std::runtime_error(std::string("no new process: ") + std::strerror(errno));
  }
}

Successor::~Successor() {
  if (channel_ >= 0) ::close(channel_);
}

bool Successor::send_sessions() {
  return send({'t', feed_.everything(), {}});
}

bool Successor::send_changes() {
  const std::string changes = feed_.take_changes();
  return changes.empty() || send({'c', changes, {}});
}

Successor::State Successor::poll() {
  if (ready_) return State::serving;
  Parcel parcel;
  if (receive_parcel(channel_, parcel, 0) && parcel.kind == 'r') {
    ready_ = true;
    return State::serving;
  }
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    pid_ = -1;
    return State::failed;
  }
  return pid_ > 0 ? State::starting : State::failed;
}

// The new process -----------------------------------------------------------------------------------

std::unique_ptr<Inheritance> Inheritance::receive(SessionMemory& memory, const Clock& clock) {
  std::unique_ptr<Inheritance> out(new Inheritance(memory, clock));
  if (const char* number = std::getenv(variable)) {
    const int channel = std::atoi(number);
    ::unsetenv(variable);
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

void Inheritance::read(int channel) {
  constexpr int patience_ms = 30000;
  channel_ = channel;
  for (;;) {
    Parcel p;
    if (!receive_parcel(channel, p, patience_ms))
      throw std::runtime_error("the process before did not hand over what it has");
    if (p.kind == 'e') return;
    if (p.kind == 'l' || p.kind == 'a') sockets_.push_back({p.text, p.fds, p.kind == 'a'});
    if (p.kind == 's') state_ = std::move(p.text);
    if (p.kind == 't' && !take_over_sessions(p.text, memory_, clock_.steady_now()))
      spdlog::warn(
          "the process before keeps its sessions in another way: what it had learned is not taken over");
  }
}

std::vector<int> Inheritance::take_listener(const config::Address& bind, unsigned count) {
  std::vector<int> fds;
  for (Socket& s : sockets_) {
    const bool same = from_process() ? !s.admin && s.address == bind.text()
                                     : !s.fds.empty() && bound_to(s.fds.front(), bind);
    if (!same || s.fds.empty()) continue;
    fds.insert(fds.end(), s.fds.begin(), s.fds.end());
    s.fds.clear();
    if (bind.port == 0 && bind.kind == config::Address::Kind::tcp) break;  // one of several on port 0
  }
  // Fewer than workers (systemd opens one, and unix sockets are one): they share it.
  for (std::size_t i = 0; !fds.empty() && fds.size() < count; ++i)
    fds.push_back(::fcntl(fds[i], F_DUPFD_CLOEXEC, 0));
  return fds;
}

int Inheritance::take_admin(const config::Address& bind) {
  for (Socket& s : sockets_) {
    if (s.fds.empty()) continue;
    if (from_process() ? !(s.admin && s.address == bind.text()) : !bound_to(s.fds.front(), bind)) continue;
    const int fd = s.fds.front();
    s.fds.clear();
    return fd;
  }
  return -1;
}

void Inheritance::close_unused() {
  for (Socket& s : sockets_) {
    if (!s.fds.empty() && !from_process())
      spdlog::warn("systemd opened a socket that no listener of the configuration is bound to");
    for (const int fd : s.fds) ::close(fd);
    s.fds.clear();
  }
}

void Inheritance::report_ready(Loop& loop) {
  if (channel_ < 0) return;
  send_parcel(channel_, {'r', "", {}});
  changes_ = std::make_unique<asio::posix::basic_stream_descriptor<Executor>>(loop.ctx, channel_);
  listen();
}

void Inheritance::listen() {
  changes_->async_wait(asio::posix::descriptor_base::wait_read, [this](const error_code& ec) {
    if (ec) return;
    Parcel p;
    if (!receive_parcel(channel_, p, 0)) {  // the old process has ended
      stop();
      return;
    }
    if (p.kind == 'c') take_over_sessions(p.text, memory_, clock_.steady_now());
    for (const int fd : p.fds) ::close(fd);
    listen();
  });
}

void Inheritance::stop() {
  if (!changes_) return;
  error_code ignored;
  changes_->close(ignored);
  changes_.reset();
  channel_ = -1;
}

Inheritance::~Inheritance() {
  for (const Socket& s : sockets_)
    for (const int fd : s.fds) ::close(fd);
  stop();
  if (channel_ >= 0) ::close(channel_);
}

}  // namespace remora
