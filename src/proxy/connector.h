// Connector: gives the attempts of a request their connections to backends, and takes them back.
//
// A connection is reserved for this client (pool/bound_connections.h), idle, new, or shared with other
// requests. The exchange sees only
// this interface; ConnectionSource (connection_source.h) implements it on sockets.
//
// Threading: its worker's thread. Lifetime: longer than the exchange.
#pragma once

#include <memory>
#include <string_view>

#include "pool/bound_connections.h"
#include "pool/pool_view.h"
#include "proxy/backend_stream.h"

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
  /// What a request needs of its connection, if its backend can choose the protocol.
  enum class Needs : std::uint8_t {
    anything,
    tunnel,  // HTTP/1.1, or HTTP/2 to a server that allows tunnels
    http1,   // it authenticates its connection, or the backend has asked for HTTP/1.1
  };
  /// Where to. Pool and member outlive the call, and a PendingConnect.
  struct Target {
    const PoolView& pool;
    const Member& member;
    Needs needs = Needs::anything;
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
  virtual TakenReserved take_reserved(const Target&, BackendStream& into, Clock::Steady now) = 0;

  // Connections for any client ---------------------------------------------------------------------

  /// Gives `into` an idle connection, or a stream of a shared one. False: there is none. `certain`: the
  /// request cannot be repeated, so use no connection that may have ended.
  virtual bool take_idle(const Target&, bool certain, BackendStream& into, Clock::Steady now) = 0;
  /// Starts to connect, or waits for room on a shared connection, for at most `timeout` from `began` on.
  /// `wake` and `into` outlive the result.
  virtual std::unique_ptr<PendingConnect> connect(const Target&, Clock::Steady began,
                                                  std::chrono::nanoseconds timeout, EventFlags& wake,
                                                  BackendStream& into) = 0;

  // Afterwards -------------------------------------------------------------------------------------

  struct Keep {
    bool reserved = false;  // for this client alone
    bool leg_due = false;   // its handshake continues with the client's next request
    /// Until when the server promised to keep it; IdleConnections::no_promise: it did not.
    Clock::Steady until;
    const ClientAddress& client;
  };
  /// Takes the connection of `from`, to reuse it. REQUIRES: it is not shared.
  virtual void keep(const Target&, BackendStream& from, const Keep& how, Clock::Steady now) = 0;
  /// Prefetch hint: this backend's connections are needed soon.
  virtual void prefetch(const Backend&) const noexcept = 0;

 protected:
  bool has_reserved_ = false;
};

}  // namespace remora
