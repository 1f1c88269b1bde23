// recv and send without glibc's cancellation points.
//
// Why: in a process with several threads each of glibc's calls marks itself as a cancellation point and
// unmarks itself, with two locked operations, and a small request makes four calls. Nobody cancels threads
// here. Interrupted calls are made again.
//
// Threading: any.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace remora {

/// As recv(2).
inline ssize_t receive_from(int fd, char* to, std::size_t room, int flags = 0) noexcept {
  for (;;) {
    const long n = ::syscall(SYS_recvfrom, fd, to, room, flags, nullptr, nullptr);
    if (n >= 0 || errno != EINTR) return n;
  }
}

/// As send(2).
inline ssize_t send_to(int fd, const void* from, std::size_t size, int flags) noexcept {
  for (;;) {
    const long n = ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
    if (n >= 0 || errno != EINTR) return n;
  }
}

}  // namespace remora
