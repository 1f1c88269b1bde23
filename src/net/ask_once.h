// One question over a connection of its own: connect, send, read until the answer says enough. For what is
// rare and off the request path: probes, key sets.
//
// Bounded by the deadline that the caller has armed on `wake`, and by a second more for the leave-taking; its
// `stop` bit ends it at once.
// Threading: the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/connecting.h"
#include "remora/task.h"

namespace remora {

struct Question {
  Endpoint endpoint;
  std::shared_ptr<const ClientTls> tls;  // null: plain
  std::string server_name;
  /// Instead of the deadline that the caller armed: for the connection, and for the answer once there is one.
  std::optional<Clock::Steady> connect_by, answer_by;
  std::string text;                     // empty: to connect is all
  std::size_t most_bytes = 128 * 1024;  // of the answer
  /// What came so far, and whether it is the end. True: nothing more is wanted.
  std::function<bool(std::string_view received, bool ended)> enough;
  /// What still comes of the answer once there is enough, piece by piece; true: that was all of it. A
  /// connection that is closed with bytes left in it is reset, which servers log as an error. Bounded in time
  /// and bytes. Empty: nothing is awaited.
  std::function<bool(std::string_view more)> rest;
};

constexpr const char* ask_stopped = "stopped";  // by the `stop` bit

/// Returns what went wrong; empty: `enough` was true, or there was nothing to ask.
Task<std::string> ask_once(Loop& loop, Wake& wake, Question question);

}  // namespace remora
