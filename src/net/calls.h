// recv and send without glibc's cancellation points.
//
// Why: in a multithreaded process each glibc wrapper marks and unmarks a cancellation point, which costs two
// locked operations, and a small request makes four such calls. remora never cancels threads. Calls
// interrupted by a signal (EINTR) are repeated.
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
