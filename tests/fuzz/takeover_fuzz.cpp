// What a process says it knows of sessions, to the one that takes over: taken as a whole or refused, and what
// was taken can be handed on again.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "session/handover.h"

using namespace remora;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  constexpr Clock::Steady now;
  SessionMemory memory(1000);
  if (take_over_sessions(bytes, memory, now) && bytes.substr(0, session_layout().size()) != session_layout())
    std::abort();
  take_over_sessions(std::string(session_layout()) + std::string(bytes), memory, now);
  std::string said;
  {
    SessionFeed feed(memory);
    said = feed.everything();
  }
  SessionMemory next(1000);
  if (!take_over_sessions(said, next, now)) std::abort();
  SessionFeed feed(next);
  if (feed.everything().size() != said.size()) std::abort();
  return 0;
}
