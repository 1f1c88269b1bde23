#include "server/message.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "remora/clock.h"

namespace remora {

namespace {

constexpr std::size_t inline_bytes = 32 * 1024;  // longer texts go into a memory file
constexpr std::size_t max_fds = 250;             // SCM_MAX_FD is 253
constexpr off_t max_bytes = off_t{4} << 30;

/// Empty on failure.
UniqueFd memory_file(std::string_view text) {
  UniqueFd file(::memfd_create("remora-handover", MFD_CLOEXEC));
  while (file && !text.empty()) {
    const ssize_t n = ::write(file.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return UniqueFd();
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return file;
}

bool read_memory_file(int fd, std::string& out) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || info.st_size < 0 || info.st_size > max_bytes) return false;
  out.resize(static_cast<std::size_t>(info.st_size));
  for (std::size_t at = 0; at < out.size();) {
    const ssize_t n = ::pread(fd, out.data() + at, out.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

/// Waits until the channel is readable. Returns false if it is not within the time.
bool wait_readable(int channel, std::chrono::milliseconds limit) {
  using std::chrono::milliseconds;
  const Clock& clock = real_clock();  // poll(2) knows no other
  const Clock::Steady deadline = clock.steady_now() + limit;
  for (milliseconds left = limit;;) {
    pollfd p{channel, POLLIN, 0};
    const int n = ::poll(&p, 1, static_cast<int>(left.count()));
    if (n >= 0 || errno != EINTR) return n != 0;
    left = std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline - clock.steady_now()));
  }
}

std::vector<UniqueFd> descriptors_in(msghdr& packet) {
  std::vector<UniqueFd> out;
  for (cmsghdr* c = CMSG_FIRSTHDR(&packet); c != nullptr; c = CMSG_NXTHDR(&packet, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

bool send_message(int channel, char kind, std::string_view text, std::span<const int> own_fds) {
  std::vector<int> fds(own_fds.begin(), own_fds.end());
  UniqueFd file;
  if (text.size() > inline_bytes) {
    file = memory_file(text);
    if (!file) return false;
    fds.push_back(file.get());
  }
  std::string head{kind, file ? 'f' : 'i'};
  if (!file) head += text;
  iovec run{head.data(), head.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (max_fds + 1))] = {};
  msghdr packet{};
  packet.msg_iov = &run;
  packet.msg_iovlen = 1;
  if (!fds.empty()) {
    packet.msg_control = control;
    packet.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const c = CMSG_FIRSTHDR(&packet);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(c), fds.data(), sizeof(int) * fds.size());
  }
  ssize_t n = -1;
  do n = ::sendmsg(channel, &packet, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(head.size());
}

Received receive_message(int channel, Message& out, std::chrono::milliseconds limit) {
  if (!wait_readable(channel, limit)) return Received::nothing;
  std::string room(inline_bytes + 2, '\0');
  iovec run{room.data(), room.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (max_fds + 1))] = {};
  msghdr packet{};
  packet.msg_iov = &run;
  packet.msg_iovlen = 1;
  packet.msg_control = control;
  packet.msg_controllen = sizeof control;
  ssize_t n = -1;
  do n = ::recvmsg(channel, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Received::nothing : Received::failed;
  Message got;
  got.fds = descriptors_in(packet);
  if (n < 2 || (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Received::failed;
  got.kind = room[0];
  if (room[1] == 'i') {
    got.text.assign(room, 2, static_cast<std::size_t>(n) - 2);
  } else {
    if (got.fds.empty() || !read_memory_file(got.fds.back().get(), got.text)) return Received::failed;
    got.fds.pop_back();
  }
  out = std::move(got);
  return Received::message;
}

}  // namespace remora
