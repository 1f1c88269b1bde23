// The session API's listener. Has its own thread and its own store connection, because apps call it while
// handling requests, so it must not wait for probes or reloads.
//
// Listens on loopback or a Unix socket; needs a token unless it is a Unix socket. Threading: constructed,
// called and destroyed on the control thread.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "admin/session_api.h"
#include "remora/config.h"

namespace remora {

class SessionServer {
 public:
  using MakeStore = std::function<std::unique_ptr<Store>(Loop& loop, const Clock& clock)>;
  /// Opens the address. Throws std::runtime_error with one line that says what to do.
  SessionServer(const config::SessionApi& settings, const config::Store& store, const MakeStore& make,
                const Clock& clock, std::shared_ptr<const Snapshot> snapshot);
  ~SessionServer();
  SessionServer(const SessionServer&) = delete;
  SessionServer& operator=(const SessionServer&) = delete;
  /// Another process serves from now on: stops accepting and finishes requests in progress.
  void leave();
  void publish(std::shared_ptr<const Snapshot> snapshot);
  int fd() const noexcept;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace remora
