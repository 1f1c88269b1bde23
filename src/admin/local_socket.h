// Listening sockets and token checks of remora's own endpoints, the admin and the session API.
#pragma once

#include <string>
#include <string_view>

#include "remora/config.h"
#include "util/unique_fd.h"

namespace remora {

/// Opens a listening socket. A Unix socket is accessible to its owner and group; a stale one that nobody
/// listens on is replaced. `shared`: another process of ours, which is about to leave, may still have it
/// open. Throws std::runtime_error with one line that names `key`.
UniqueFd open_local_socket(const config::Address& bind, const config::SocketAccess& access,
                           const std::string& key, bool shared = false);

/// True if `authorization` is `Bearer TOKEN`. Compares in constant time, so that a token cannot be guessed
/// byte by byte.
bool bears_token(std::string_view authorization, const std::string& token);

}  // namespace remora
