// ConnectionSource: the Connector of a client connection. Its connections are sockets: reserved ones belong
// to the client connection, idle ones to the worker.
//
// Threading: its worker's thread. Lifetime: that of its Active; begin() resets it for each client connection.
#pragma once

#include "pool/idle.h"
#include "proxy/connector.h"

namespace remora {

class ConnectionSource final : public Connector {
 public:
  ConnectionSource(Loop& loop, IdleConnections& idle) : loop_(loop), idle_(idle) {}

  /// `reserved`: the client connection's reserved ones; null until it has one. Must outlive the active time.
  void begin(std::unique_ptr<BoundConnections>& reserved) noexcept {
    reserved_ = &reserved;
    has_reserved_ = reserved != nullptr;
  }

  Reserved reserved_in(std::string_view pool) const noexcept override;
  bool reserved_for(const ClientAddress& client) const noexcept override;
  void drop_reserved() noexcept override;
  TakenReserved take_reserved(const Target&, ClientStream& into, Clock::Steady now) override;
  bool take_idle(const Target&, bool certain, ClientStream& into, Clock::Steady now) override;
  std::unique_ptr<PendingConnect> connect(const Target&, Clock::Steady began,
                                          std::chrono::nanoseconds timeout, EventFlags& wake,
                                          ClientStream& into) override;
  void keep(const Target&, ClientStream& from, const Keep& how, Clock::Steady now) override;
  void prefetch(const Backend& backend) const noexcept override { idle_.expect(backend); }

 private:
  Loop& loop_;
  IdleConnections& idle_;
  std::unique_ptr<BoundConnections>* reserved_ = nullptr;  // points into the Connection; set by begin()
};

}  // namespace remora
