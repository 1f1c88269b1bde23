// ConnectionSource: the Connector of a client connection. Its connections are sockets: reserved ones belong
// to the client connection, idle and shared ones to the worker.
//
// Threading: its worker's thread. Lifetime: that of its Active; begin() resets it for each client connection.
#pragma once

#include "pool/idle.h"
#include "proxy/connector.h"
#include "proxy/shared_connections.h"

namespace remora {

class ConnectionSource final : public Connector {
 public:
  ConnectionSource(Loop& loop, IdleConnections& idle, SharedConnections& shared)
      : loop_(loop), idle_(idle), shared_(shared) {}

  /// `reserved`: the client connection's reserved ones; null until it has one. Must outlive the active time.
  void begin(std::unique_ptr<BoundConnections>& reserved) noexcept {
    reserved_ = &reserved;
    has_reserved_ = reserved != nullptr;
  }

  Reserved reserved_in(std::string_view pool) const noexcept override;
  bool reserved_for(const ClientAddress& client) const noexcept override;
  void drop_reserved() noexcept override;
  TakenReserved take_reserved(const Target&, BackendStream& into, Clock::Steady now) override;
  bool take_idle(const Target&, bool certain, BackendStream& into, Clock::Steady now) override;
  std::unique_ptr<PendingConnect> connect(const Target&, Clock::Steady began,
                                          std::chrono::nanoseconds timeout, EventFlags& wake,
                                          BackendStream& into) override;
  void keep(const Target&, BackendStream& from, const Keep& how, Clock::Steady now) override;
  void prefetch(const Backend& backend) const noexcept override { idle_.expect(backend); }

 private:
  Loop& loop_;
  IdleConnections& idle_;
  SharedConnections& shared_;
  std::unique_ptr<BoundConnections>* reserved_ = nullptr;  // points into the Connection; set by begin()
};

}  // namespace remora
