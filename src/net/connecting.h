// Opening a connection to a backend: TCP or unix, then TLS if the pool asks for it.
#pragma once

#include <string>

#include "net/stream.h"
#include "net/tls.h"

namespace remora {

/// A connection being made. Non-blocking; drive it with `step` each time `wake`'s bit comes.
class Connecting {
 public:
  /// Begins. The first step() may be ready at once (unix sockets, loopback).
  Connecting(Loop& loop, const Endpoint& endpoint, const ClientTls* tls, const std::string& server_name,
             Wake& wake, unsigned bit);
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  ~Connecting();
  Io step();
  /// After ready.
  StreamRef take() noexcept { return std::move(stream_); }
  /// After failed: refused, reset and so on.
  const error_code& error() const noexcept { return error_; }
  const std::string& tls_error() const noexcept;
  /// The network gave up (timeout, no route), as opposed to a refusal.
  bool unreachable() const noexcept;

 private:
  Io connected();
  StreamRef stream_;
  const ClientTls* tls_;
  const std::string& server_name_;
  error_code error_;
  enum class State : std::uint8_t { connecting, handshaking, done, failed } state_ = State::connecting;
};

}  // namespace remora
