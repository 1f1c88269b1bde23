#include "server/message.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace remora {

namespace {

constexpr std::size_t inline_bytes = 32 * 1024;  // longer texts go into a memory file
constexpr std::size_t max_fds = 250;             // SCM_MAX_FD is 253
constexpr off_t max_bytes = off_t{4} << 30;

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
  if (::fstat(fd, &info) != 0 || info.st_size < 0 || info.st_size > max_bytes) return false;
  out.resize(static_cast<std::size_t>(info.st_size));
  for (std::size_t at = 0; at < out.size();) {
    const ssize_t n = ::pread(fd, out.data() + at, out.size() - at, static_cast<off_t>(at));
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

bool send_message(int channel, const Message& message) {
  std::vector<int> fds = message.fds;
  const bool in_file = message.text.size() > inline_bytes;
  const int file = in_file ? memory_file(message.text) : -1;
  if (in_file && file < 0) return false;
  if (in_file) fds.push_back(file);
  std::string head{message.kind, in_file ? 'f' : 'i'};
  if (!in_file) head += message.text;
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
  if (file >= 0) ::close(file);
  return n == static_cast<ssize_t>(head.size());
}

bool receive_message(int channel, Message& out, int limit_ms) {
  pollfd p{channel, POLLIN, 0};
  if (::poll(&p, 1, limit_ms) <= 0) return false;
  std::string room(inline_bytes + 2, '\0');
  iovec run{room.data(), room.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (max_fds + 1))] = {};
  msghdr packet{};
  packet.msg_iov = &run;
  packet.msg_iovlen = 1;
  packet.msg_control = control;
  packet.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(channel, &packet, MSG_CMSG_CLOEXEC);
  out = {};
  for (cmsghdr* c = CMSG_FIRSTHDR(&packet); c != nullptr; c = CMSG_NXTHDR(&packet, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const std::size_t at = out.fds.size();
    out.fds.resize(at + count);
    std::memcpy(out.fds.data() + at, CMSG_DATA(c), count * sizeof(int));
  }
  bool fine = n >= 2 && (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
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

}  // namespace remora
