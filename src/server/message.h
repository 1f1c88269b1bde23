// Messages of a hot restart, exchanged by the old and the new process over a SOCK_SEQPACKET pair.
//
// Threading: control thread. Both ends run on one machine as one user; received messages are validated all
// the same.
#pragma once

#include <string>
#include <vector>

namespace remora {

/// A kind, a text and descriptors. A text that is too long for a packet travels in a memory file.
struct Message {
  char kind = 0;  // 'l' listener, 'a' admin, 's' state, 't' sessions, 'e' end, 'r' ready, 'c' changes
  std::string text;
  std::vector<int> fds;  // owned by the receiver
};

/// Environment variable with the new process's end of the pair.
inline constexpr const char* channel_variable = "REMORA_SUCCESSION_FD";

/// Sends the whole message or nothing. Returns false if the other end is gone.
bool send_message(int channel, const Message& message);
/// Waits at most `limit_ms`. Returns false if nothing came, or if the other end is gone.
bool receive_message(int channel, Message& out, int limit_ms);

}  // namespace remora
