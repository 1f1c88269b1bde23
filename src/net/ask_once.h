// One-shot request over its own connection: connect, send, read until the caller has enough. For rare work
// off the request path: probes, key sets.
//
// Bounded by the deadline that the caller has armed on `wake`, plus up to a second to drain the rest and a
// quarter of a second for a TLS goodbye. The `stop` bit ends it at once.
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
  /// Replace the caller's deadline: `connect_by` while connecting, `answer_by` once connected.
  std::optional<Clock::Steady> connect_by, answer_by;
  std::string text;                     // the request; empty: only connect
  std::size_t most_bytes = 128 * 1024;  // limit of the response
  /// Called with all bytes received so far and whether the peer has closed. True: stop reading.
  std::function<bool(std::string_view received, bool ended)> enough;
  /// Called after `enough` with what follows of the response, piece by piece; true: that was the end of it.
  /// Why: closing a socket with unread bytes resets the connection, which servers log as an error. Bounded
  /// in time and bytes. Empty: nothing more is read.
  std::function<bool(std::string_view more)> rest;
};

constexpr const char* ask_stopped = "stopped";  // the error when the `stop` bit ended the request

/// Returns the error; empty if `enough` returned true, or the connection succeeded and `text` is empty.
Task<std::string> ask_once(Loop& loop, Wake& wake, Question question);

}  // namespace remora
