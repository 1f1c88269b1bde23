// Connects to a backend: TCP or unix, then TLS if the pool uses it.
// Threading: the loop's thread. Lifetime: `tls`, `server_name` and `wake` outlive the object.
#pragma once

#include <string>

#include "net/tls.h"
#include "net/transport.h"

namespace remora {

/// A connection attempt. Non-blocking: call step() each time the bit of `wake` is set.
class Connecting {
 public:
  /// `http1_only`: offers nothing else by ALPN. Starts connecting. The first step() may already return
  /// `ready` (unix sockets, loopback).
  Connecting(Loop& loop, const Endpoint& endpoint, const ClientTls* tls, const std::string& server_name,
             EventFlags& wake, unsigned bit, bool http1_only = false);
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  ~Connecting();
  Io step();
  /// The connected stream. REQUIRES: step() returned `ready`.
  TransportRef take() noexcept { return std::move(stream_); }
  /// Why step() failed: refused, reset and so on.
  const error_code& error() const noexcept { return error_; }
  const std::string& tls_error() const noexcept;
  /// The network failed (timeout, no route), as opposed to a refused connection.
  bool unreachable() const noexcept;

 private:
  Io connected();
  TransportRef stream_;
  const ClientTls* tls_;
  const std::string& server_name_;
  const bool http1_only_;
  error_code error_;
  enum class State : std::uint8_t { connecting, handshaking, done, failed } state_ = State::connecting;
};

}  // namespace remora
