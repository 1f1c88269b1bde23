// The HTTP client for rare work off the request path: one request over its own connection, plain or TLS.
// Health probes, key sets and the admin commands use it; what they need of the response is up to a
// ResponseReader.
//
// Bounded by the deadlines below, plus up to a second to drain the rest and a quarter of a second for a TLS
// goodbye. The `stop` bit ends it at once.
// Threading: the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/connecting.h"
#include "remora/task.h"

namespace remora {

/// Makes sense of a response's bytes.
class ResponseReader {
 public:
  /// Takes the next bytes; every byte is passed once.
  virtual void take(std::string_view bytes) = 0;
  /// The server has closed the connection.
  virtual void end() = 0;
  /// Whatever follows changes nothing.
  virtual bool decided() const noexcept = 0;
  /// Nothing follows. Between `decided` and `complete` the rest is read and dropped, within limits. Why:
  /// closing a socket with unread bytes resets the connection, which servers log as an error.
  virtual bool complete() const noexcept = 0;

 protected:
  ~ResponseReader() = default;
};

struct OneShotRequest {
  Endpoint endpoint;
  std::shared_ptr<const ClientTls> tls;  // null: plain
  std::string server_name;
  bool http1_only = false;  // offers nothing else by ALPN
  /// Replace the deadline that the caller has armed on `wake`: `connect_by` while connecting, `answer_by`
  /// once connected.
  std::optional<Clock::Steady> connect_by, answer_by;
  std::string text;                    // see request_text()
  std::size_t max_bytes = 128 * 1024;  // received until `decided`
};

/// A request that asks the server to close the connection after its response. A body has a Content-Length.
std::string request_text(std::string_view method, std::string_view target, std::string_view host,
                         const std::vector<std::pair<std::string_view, std::string_view>>& fields,
                         std::string_view body = {});

constexpr const char* request_stopped = "stopped";  // the error when the `stop` bit ended the request

/// Returns the error; empty: the reader has decided. `reader` outlives the task; null: only connects.
Task<std::string> one_shot_request(Loop& loop, EventFlags& wake, OneShotRequest request,
                                   ResponseReader* reader);

}  // namespace remora
