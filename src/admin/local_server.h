// The HTTP server behind remora's own endpoints (admin and session API): listener, connections, requests and
// responses as values. Not on the request path.
//
// Limits: 16 KiB for a head, 64 KiB for a body. A slow client holds a socket for at most `patience`. At the
// connection limit, a new connection replaces one that keeps us waiting: first the oldest that has sent no
// complete request, then idle ones, then ones that do not read their response. So connections that are merely
// held open never block a health check. Streams (responses without an end) are counted separately.
// Threading: the loop's thread. Lifetime: requests in progress are finished even after this object is
// destroyed; the handler's captures must outlive the loop's last run.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/loop.h"
#include "remora/task.h"
#include "util/unique_fd.h"

namespace remora {

using LocalFields = std::vector<std::pair<std::string, std::string>>;

struct LocalRequest {
  std::string method, target, body;
  LocalFields fields;
  /// Value of the first field with this name (case-insensitive); empty if there is none.
  std::string_view field(std::string_view name) const noexcept;
  std::size_t count(std::string_view name) const noexcept;
  /// 400 or 413 if the request is invalid, and the reason in `why`. The connection closes after the response.
  unsigned refused = 0;
  std::string why;
};

/// Writes a streamed response, one without a defined end.
class LocalSink {
 public:
  /// Returns false if the client is gone.
  virtual Task<bool> write(std::string text) = 0;

 protected:
  ~LocalSink() = default;
};

struct LocalAnswer {
  unsigned status = 200;
  LocalFields fields;
  std::string body;
  /// If set, replaces the rest: writes head and body itself. The connection closes when it returns.
  std::function<Task<void>(LocalSink&)> stream;
};

class LocalServer {
 public:
  using Handler = std::function<Task<LocalAnswer>(LocalRequest)>;
  struct Limits {
    std::size_t connections;  // not counting streams
    std::chrono::seconds patience;
    std::size_t streams = 0;  // concurrent streams
  };
  /// Takes ownership of `fd`, a listening socket.
  LocalServer(Loop& loop, UniqueFd socket, Limits limits, Handler handler);
  /// Stops accepting. Closes idle connections at once, and others after their response.
  ~LocalServer();
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;
  int fd() const;
  /// Same as the destructor.
  void leave();
  /// Closes all connections now.
  void close();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace remora
