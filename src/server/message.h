// One message of a hot restart: what the old process and the new one send each other over a SOCK_SEQPACKET
// pair. Texts that are too long for a packet travel in a memory file.
//
// Threading: control thread. Both ends are of one machine and one user; what comes is checked all the same.
#pragma once

#include <string>
#include <vector>

namespace remora {

/// One message: a kind, a text, descriptors. Longer texts travel in a memory file.
struct Message {
  char kind = 0;  // 'l' listener, 'a' admin, 's' state, 't' sessions, 'e' end, 'r' ready, 'c' changes
  std::string text;
  std::vector<int> fds;  // owned by the receiver of the message
};

/// The environment variable in which the new process finds its end of the pair.
inline constexpr const char* channel_variable = "REMORA_SUCCESSION_FD";

/// Sends whole or not at all; false: the other end is gone.
bool send_message(int channel, const Message& message);
/// Waits for at most `limit_ms`. False: nothing came, or the other end is gone.
bool receive_message(int channel, Message& out, int limit_ms);

}  // namespace remora
