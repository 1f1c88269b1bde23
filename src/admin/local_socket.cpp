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

UniqueFd open_local_socket(const config::Address& bind, const config::SocketAccess& access,
                           const std::string& key, bool shared) {
  const auto endpoint = resolve(bind);
  if (!endpoint) refuse_address(key, bind, endpoint.error().message());
  const bool unix_socket = endpoint->family() == AF_UNIX;
  if (unix_socket && shared) remove_socket(bind.host);
  if (unix_socket)
    if (const std::string taken = make_room_for_socket(bind.host); !taken.empty())
      refuse_address(key, bind, taken);
  UniqueFd socket(::socket(endpoint->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int fd = socket.get();
  const int on = 1;
  if (!unix_socket) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!unix_socket && shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  int error = socket ? 0 : errno;
  if (error == 0 && unix_socket)
    error = bind_unix_socket(fd, *endpoint, access);
  else if (error == 0 && ::bind(fd, endpoint->get(), endpoint->size) != 0)
    error = errno;
  if (error == 0 && ::listen(fd, backlog) != 0) error = errno;
  if (error == 0) return socket;
  refuse_address(key, bind, socket_access_advice(error));
}

bool bears_token(std::string_view authorization, const std::string& token) {
  const std::string wanted = "Bearer " + token;
  return authorization.size() == wanted.size() &&
         CRYPTO_memcmp(authorization.data(), wanted.data(), wanted.size()) == 0;
}

}  // namespace remora
