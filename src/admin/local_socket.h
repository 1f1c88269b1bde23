// Who may ask remora itself, the admin and the session API: on which socket, with which token.
#pragma once

#include <string>
#include <string_view>

#include "remora/config.h"

namespace remora {

/// A unix socket is made for its owner and group; one that nobody listens on any more is replaced. `shared`:
/// another process of ours may have it open, which is about to leave, and gives way. Throws
/// std::runtime_error with one line that names `key`.
int open_local_socket(const config::Address& bind, const config::SocketAccess& access, const std::string& key,
                      bool shared = false);

/// Whether `authorization` is `Bearer TOKEN`. In constant time, so that a token cannot be guessed byte by
/// byte.
bool bears_token(std::string_view authorization, const std::string& token);

}  // namespace remora
