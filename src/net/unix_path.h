// The path of a unix socket before somebody listens there.
#pragma once

#include <string>

#include "net/address.h"

namespace remora {

/// A socket that nobody listens on was left by a process that died, and goes. Returns why the path cannot be
/// had: a socket that somebody listens on and whatever is no socket stay as they are. Empty: it is free.
std::string make_room_for_socket(const std::string& path);

/// Binds `fd` to a unix path. Nobody can connect before the file has its mode and group. 0, or an errno.
int bind_unix_socket(int fd, const Endpoint& endpoint, const config::SocketAccess& access);
/// The same for a path that is bound already.
int set_socket_access(const std::string& path, const config::SocketAccess& access);
/// What to do about it.
std::string socket_access_advice(int error);

/// Removes a socket, never anything else.
void remove_socket(const std::string& path) noexcept;

}  // namespace remora
