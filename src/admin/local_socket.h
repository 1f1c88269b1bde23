// A listening socket for what is asked of remora itself: admin, session API.
#pragma once

#include <string>

#include "remora/config.h"

namespace remora {

/// A unix socket is made anew, for its owner and group. `shared`: another process of ours may have it open
/// too, which is about to leave. Throws std::runtime_error with one line that names `key`.
int open_local_socket(const config::Address& bind, const std::string& key, bool shared = false);

}  // namespace remora
