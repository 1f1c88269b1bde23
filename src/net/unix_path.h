// The path of a unix socket before somebody listens there.
#pragma once

#include <string>

namespace remora {

/// A socket that nobody listens on was left by a process that died, and goes. Returns why the path cannot be
/// had: a socket that somebody listens on and whatever is no socket stay as they are. Empty: it is free.
std::string make_room_for_socket(const std::string& path);

/// Removes a socket, never anything else.
void remove_socket(const std::string& path) noexcept;

}  // namespace remora
