// Client of the admin API, for the command line. Blocking; each request has a timeout.
#pragma once

#include <chrono>
#include <string>

#include "remora/config.h"

namespace remora {

struct AdminReply {
  unsigned status = 0;  // 0: no response; `body` says why
  std::string body;
};

AdminReply ask_admin(const config::Address& address, const std::string& token, const std::string& method,
                     const std::string& target, const std::string& body = "",
                     std::chrono::milliseconds limit = std::chrono::seconds(10));

/// True if a connection to the address succeeds. Sends nothing.
bool accepts_connections(const config::Address& address, std::chrono::milliseconds limit);

}  // namespace remora
