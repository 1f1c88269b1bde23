#include "admin/local_socket.h"

#include <openssl/crypto.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "net/address.h"
#include "net/unix_path.h"

namespace remora {

namespace {
constexpr int backlog = 512;

[[noreturn]] void refuse_address(const std::string& key, const config::Address& bind,
                                 const std::string& why) {
  throw std::runtime_error(key + " " + bind.text() + ": " + why + "; choose another address or `off`");
}
}  // namespace

int open_local_socket(const config::Address& bind, const std::string& key, bool shared) {
  const auto endpoint = resolve(bind);
  if (!endpoint) refuse_address(key, bind, endpoint.error().message());
  const bool unix_socket = endpoint->family() == AF_UNIX;
  if (unix_socket && shared) remove_socket(bind.host);
  if (unix_socket)
    if (const std::string taken = make_room_for_socket(bind.host); !taken.empty())
      refuse_address(key, bind, taken);
  const int fd = ::socket(endpoint->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (!unix_socket) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!unix_socket && shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const mode_t before = unix_socket ? ::umask(0117) : 0;  // its owner and group; nobody in between
  const bool bound = fd >= 0 && ::bind(fd, endpoint->get(), endpoint->size) == 0;
  const int error = errno;
  if (unix_socket) ::umask(before);
  if (bound && ::listen(fd, backlog) == 0) return fd;
  const std::string why = std::strerror(bound ? errno : error);
  if (fd >= 0) ::close(fd);
  refuse_address(key, bind, why);
}

bool bears_token(std::string_view authorization, const std::string& token) {
  const std::string wanted = "Bearer " + token;
  return authorization.size() == wanted.size() &&
         CRYPTO_memcmp(authorization.data(), wanted.data(), wanted.size()) == 0;
}

}  // namespace remora
