// Asks a running remora's admin API, for the command line. Blocks; each question has a time limit.
#pragma once

#include <chrono>
#include <string>

#include "remora/config.h"

namespace remora {

struct AdminReply {
  unsigned status = 0;  // 0: no answer; `body` says why
  std::string body;
};

AdminReply ask_admin(const config::Address& address, const std::string& token, const std::string& method,
                     const std::string& target, const std::string& body = "",
                     std::chrono::milliseconds limit = std::chrono::seconds(10));

/// Somebody accepts connections there. Nothing is sent.
bool accepts_connections(const config::Address& address, std::chrono::milliseconds limit);

}  // namespace remora
