// Connector: gives the attempts of a request their connections to backends, and takes them back.
//
// A connection is reserved for this client (pool/bound_connections.h), idle, or new. The exchange sees only
// this interface; ConnectionSource (connection_source.h) implements it on sockets.
//
// Threading: its worker's thread. Lifetime: longer than the exchange.
#pragma once

#include <memory>
#include <string_view>

#include "http/message_stream.h"
#include "pool/bound_connections.h"
#include "pool/pool_view.h"

namespace remora {

/// A new connection that is being made. Its destruction cancels it.
class PendingConnect {
 public:
  virtual ~PendingConnect() = default;
  /// Non-blocking. Call it each time the wake's `backend` bit is set, and when `deadline()` has passed.
  /// ready: the stream has the connection. failed: no address of the backend accepted it.
  virtual Io step(Clock::Steady now) = 0;
  virtual Clock::Steady deadline() const noexcept = 0;
  /// After `failed`: nobody answered in time, or the network failed; otherwise the backend refused.
  virtual bool timed_out() const noexcept = 0;
};

class Connector {
 public:
  /// Where to. Both outlive the call, and a PendingConnect.
  struct Target {
    const PoolView& pool;
    const Member& member;
  };
  virtual ~Connector() = default;

  // Connections reserved for this client -----------------------------------------------------------

  /// False, as for most clients: none is reserved, and the functions of this part need not be called.
  bool has_reserved() const noexcept { return has_reserved_; }
  using Reserved = BoundConnections::Place;
  /// The backend in this pool whose reserved connection was used most recently.
  virtual Reserved reserved_in(std::string_view pool) const noexcept = 0;
  /// Whether they were reserved for this client.
  virtual bool reserved_for(const ClientAddress& client) const noexcept = 0;
  virtual void drop_reserved() noexcept = 0;
  struct TakenReserved {
    bool taken = false;    // the stream has the connection
    bool leg_due = false;  // see BoundConnections::Lease
  };
  virtual TakenReserved take_reserved(const Target&, ClientStream& into, Clock::Steady now) = 0;

  // Connections for any client ---------------------------------------------------------------------

  /// Gives `into` an idle connection. False: there is none. `certain`: the request cannot be repeated, so use
  /// no connection that may have ended.
  virtual bool take_idle(const Target&, bool certain, ClientStream& into, Clock::Steady now) = 0;
  /// Starts to connect, for at most `timeout` from `began` on. `wake` and `into` outlive the result.
  virtual std::unique_ptr<PendingConnect> connect(const Target&, Clock::Steady began,
                                                  std::chrono::nanoseconds timeout, EventFlags& wake,
                                                  ClientStream& into) = 0;

  // Afterwards -------------------------------------------------------------------------------------

  struct Keep {
    bool reserved = false;  // for this client alone
    bool leg_due = false;   // its handshake continues with the client's next request
    /// Until when the server promised to keep it; IdleConnections::no_promise: it did not.
    Clock::Steady until;
    const ClientAddress& client;
  };
  /// Takes the connection of `from`, to reuse it.
  virtual void keep(const Target&, ClientStream& from, const Keep& how, Clock::Steady now) = 0;
  /// Prefetch hint: this backend's connections are needed soon.
  virtual void prefetch(const Backend&) const noexcept = 0;

 protected:
  bool has_reserved_ = false;
};

}  // namespace remora
