#include "net/unix_path.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "util/unique_fd.h"

namespace remora {

namespace {
/// Tries to connect. 0: there is a listener. Does not wait: a full backlog also means a live listener.
int knock(const std::string& path) {
  sockaddr_un to{};
  if (path.size() >= sizeof to.sun_path) return ENAMETOOLONG;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.data(), path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return errno;
  const bool connected = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  return connected || errno == EAGAIN || errno == EINPROGRESS ? 0 : errno;
}
}  // namespace

std::string make_room_for_socket(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return "";  // nothing there; bind reports any other problem
  if (!S_ISSOCK(info.st_mode))
    return "what stands there is no socket and is left alone; remove it yourself, or choose another path";
  switch (const int error = knock(path)) {
    case ECONNREFUSED:
      ::unlink(path.c_str());
      return "";
    case ENOENT:
      return "";
    case 0:
      return "the address is in use; stop the other process or choose another path";
    default:
      return std::string("the socket there cannot be tried: ") + std::strerror(error);
  }
}

int set_socket_access(const std::string& path, const config::SocketAccess& access) {
  if (access.group && ::lchown(path.c_str(), static_cast<uid_t>(-1), *access.group) != 0) return errno;
  return ::chmod(path.c_str(), access.mode) == 0 ? 0 : errno;
}

int bind_unix_socket(int fd, const Endpoint& endpoint, const config::SocketAccess& access) {
  // On Linux the file's mode is that of the socket's own inode, less the umask.
  if (::fchmod(fd, 0600) != 0 || ::bind(fd, endpoint.get(), endpoint.size) != 0) return errno;
  const std::string path = reinterpret_cast<const sockaddr_un*>(endpoint.get())->sun_path;
  const int error = set_socket_access(path, access);
  if (error != 0) remove_socket(path);
  return error;
}

std::string socket_access_advice(int error) {
  if (error == EPERM) return "no permission to give it to `group`: this user is not a member of it";
  return std::strerror(error);
}

void remove_socket(const std::string& path) noexcept {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
}

}  // namespace remora
