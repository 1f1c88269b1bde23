// ConnectionState: what the requests of one client connection share: its listener, the client's address, and
// the backend connections reserved for it.
//
// Threading: its worker's thread. Lifetime: that of its Active (active.h); begin() resets it for each
// connection.
#pragma once

#include <memory>

#include "pool/bound_connections.h"
#include "proxy/arrival.h"
#include "proxy/snapshot.h"

namespace remora {

struct ConnectionState {
  /// A connection becomes active. `own`: its reserved backend connections; null until it has one. Must
  /// outlive the active time.
  void begin(std::shared_ptr<const ListenerView> accepted_by, const ClientAddress& peer,
             std::unique_ptr<BoundConnections>& own) {
    listener = std::move(accepted_by);
    bound = &own;
    arrival = {};
    arrival.peer = arrival.client = peer;
    arrival.peer_text_size = peer.format(arrival.peer_text);
    first_placed = {};
  }

  const config::ListenerTimeouts& timeouts() const noexcept { return listener->config.timeouts; }
  /// Backend connections reserved for this client; null: none.
  BoundConnections* own() const noexcept { return bound->get(); }
  /// Counts a refusal, and logs it at level debug. `why` is needed only during the call.
  void refuse(Refusal what, const ClientAddress& client, std::string_view why) const {
    listener->shared->refused.note(what, listener->config.name, client, why);
  }

  std::shared_ptr<const ListenerView> listener;  // from the newest snapshot that one of its requests has used
  Arrival arrival;  // as far as the connection itself shows; each request copies it
  /// Points into the Connection, so that it outlives the active time; set by begin().
  std::unique_ptr<BoundConnections>* bound = nullptr;
  /// Where, and since when, this connection places new sessions: concurrent first requests follow
  /// (Placement).
  struct {
    std::uint64_t backend = 0;
    std::size_t pool = 0;
    Clock::Steady at;
  } first_placed;
};

}  // namespace remora
