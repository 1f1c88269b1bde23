// Paths of unix sockets: clearing stale ones, binding, permissions.
#pragma once

#include <string>

#include "net/address.h"

namespace remora {

/// Removes the stale socket of a process that died. Returns why the path is not available (empty: it is
/// free). A socket with a listener, and any other kind of file, is left alone.
std::string make_room_for_socket(const std::string& path);

/// Binds `fd` to a unix path. No client can connect before the file has its mode and group. Returns 0 or an
/// errno.
int bind_unix_socket(int fd, const Endpoint& endpoint, const config::SocketAccess& access);
/// Sets mode and group of a path that is bound already. Returns 0 or an errno.
int set_socket_access(const std::string& path, const config::SocketAccess& access);
/// Text for an errno of the two functions above.
std::string socket_access_advice(int error);

/// Removes a socket; never removes any other kind of file.
void remove_socket(const std::string& path) noexcept;

}  // namespace remora
