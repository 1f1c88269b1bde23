// The admin listener: `/healthz` (this process lives), `/readyz` (it takes new requests), `/metrics`.
//
// Threading: control thread. Its connections are few, slow clients cost nothing but a bounded number of
// sockets.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <string>

#include "net/address.h"
#include "net/loop.h"
#include "remora/task.h"

namespace remora {

class StatusServer {
 public:
  /// Throws std::runtime_error when the address cannot be used. With a `token`, everything but the two
  /// questions needs `Authorization: Bearer TOKEN`.
  /// `metrics` makes the text of /metrics.
  StatusServer(Loop& loop, const config::Address& bind, std::string token,
               std::function<std::string()> metrics);
  ~StatusServer();
  void set_ready(bool ready) noexcept { *ready_ = ready; }
  void stop();
  int fd();

 private:
  struct Listening;
  static Task<void> accept(std::shared_ptr<Listening> listening, std::shared_ptr<bool> ready);
  std::shared_ptr<Listening> listening_;
  std::shared_ptr<bool> ready_ = std::make_shared<bool>(true);
};

/// GETs `/healthz` of an admin address: true when it answers 200. Blocks for at most two seconds.
bool ask_health(const config::Address& admin, std::string& why);

}  // namespace remora
