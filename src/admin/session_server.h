// The session API's listener, on a thread of its own: apps call it within their requests, so it must wait
// neither for probes nor for a reload, and it has its own way to the store.
//
// Loopback or a unix socket; a token unless it is a unix socket. Threading: made, told and destroyed on the
// control thread.
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
  /// Another process serves from now on: accepts nothing more, finishes what runs.
  void leave();
  void publish(std::shared_ptr<const Snapshot> snapshot);
  int fd() const noexcept;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace remora
