// Messages of a hot restart, exchanged by the old and the new process over a SOCK_SEQPACKET pair.
//
// Threading: control thread. Both ends run on one machine as one user; received messages are validated all
// the same.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/unique_fd.h"

namespace remora {

/// A received message. A text that is too long for a packet travels in a memory file.
struct Message {
  char kind = 0;  // 'l' listener, 'a' admin, 's' state, 't' sessions, 'e' end, 'r' ready, 'c' changes
  std::string text;
  std::vector<UniqueFd> fds;
};

/// Environment variable with the new process's end of the pair.
inline constexpr const char* channel_variable = "REMORA_SUCCESSION_FD";

/// Sends the whole message or nothing. Returns false if the other end is gone. `fds` stay the caller's.
bool send_message(int channel, char kind, std::string_view text, std::span<const int> fds = {});

enum class Received : std::uint8_t {
  message,
  nothing,  // within the time
  failed,   // the other end is gone, or what it sent is invalid
};
/// Waits at most `limit`; signals neither end nor extend the wait.
Received receive_message(int channel, Message& out, std::chrono::milliseconds limit);

}  // namespace remora
