// BackendStream: the backend's end of an exchange, whichever protocol the connection of the current attempt
// speaks.
//
// A connection of one's own is read by the exchange's own codec. A connection that several requests share
// gives a stream for each attempt. Which it is may be known only after the TLS handshake (ALPN). Nobody else
// in the request path names a protocol.
//
// Threading: its worker's thread. Lifetime: longer than the exchange.
#pragma once

#include <utility>

#include "http/message_stream.h"

namespace remora {

class BackendStream {
 public:
  /// `own`: the codec for connections of one's own; it outlives this object.
  explicit BackendStream(ClientStream& own) noexcept : own_(own), now_(&own) {}
  BackendStream(const BackendStream&) = delete;
  BackendStream& operator=(const BackendStream&) = delete;

  ClientStream* operator->() const noexcept { return now_; }
  ClientStream& operator*() const noexcept { return *now_; }

  /// The attempt goes over this connection.
  void use(TransportRef connection, bool reused) { own_.use(std::move(connection), reused); }
  /// The attempt goes over a stream of a shared connection. REQUIRES: no connection.
  void use(ClientStream& shared) noexcept { now_ = &shared; }
  bool is_shared() const noexcept { return now_ != &own_; }
  /// The attempt is over. Returns its connection; null if it has none, or if it is shared.
  TransportRef release() { return std::exchange(now_, &own_)->release(); }

 private:
  ClientStream& own_;
  ClientStream* now_;
};

}  // namespace remora
