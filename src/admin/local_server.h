// HTTP as remora itself is asked, by its admin and its session API: a listener, its connections, requests as
// values and answers as values. Not on the request path.
//
// A head of at most 16 KiB, a body of at most 64 KiB. A slow client costs a socket for `patience`. When all
// places are taken, whoever comes new gets the place of a connection that keeps us waiting: of those that
// have said nothing yet the oldest, then of idle ones, then of those that do not read their answer. So
// connections that are only held never keep a health check from its answer. Answers without an end are
// counted apart. Threading: that of the loop. Lifetime: what runs when it is destroyed is finished,
// without it; the handler's captures must outlive the loop's last run.
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

namespace remora {

using LocalFields = std::vector<std::pair<std::string, std::string>>;

struct LocalRequest {
  std::string method, target, body;
  LocalFields fields;
  /// Of the first field with that name, in any letter case; empty: none.
  std::string_view field(std::string_view name) const noexcept;
  std::size_t count(std::string_view name) const noexcept;
  /// 400 or 413: this is no request, and `why`. The connection ends after the answer.
  unsigned refused = 0;
  std::string why;
};

/// Where an answer goes that has no end of its own.
class LocalSink {
 public:
  /// False: nobody reads it any more.
  virtual Task<bool> write(std::string text) = 0;

 protected:
  ~LocalSink() = default;
};

struct LocalAnswer {
  unsigned status = 200;
  LocalFields fields;
  std::string body;
  /// Instead of all that: writes head and body itself, until it returns; then the connection ends.
  std::function<Task<void>(LocalSink&)> stream;
};

class LocalServer {
 public:
  using Handler = std::function<Task<LocalAnswer>(LocalRequest)>;
  struct Limits {
    std::size_t connections;  // without the streams
    std::chrono::seconds patience;
    std::size_t streams = 0;  // answers without an end of their own, at once
  };
  /// Takes over `fd`, a listening socket.
  LocalServer(Loop& loop, int fd, Limits limits, Handler handler);
  /// Accepts nothing more; idle connections end, others after their answer.
  ~LocalServer();
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;
  int fd() const;
  /// As the destructor.
  void leave();
  /// All end now.
  void close();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace remora
