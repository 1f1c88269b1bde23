// What the requests of one client connection share: where it was accepted, whose it is, and what it has at
// backends.
#pragma once

#include <memory>

#include "pool/bound_connections.h"
#include "proxy/arrival.h"
#include "proxy/snapshot.h"

namespace remora {

struct ConnectionState {
  /// A connection becomes active. `own`: its backend connections that serve nobody else; null until it has
  /// one.
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
  /// Its backend connections that serve nobody else; null: it has none.
  BoundConnections* own() const noexcept { return bound->get(); }
  /// A refusal is counted, and logged at level debug. `why`: static text, or valid for the call.
  void refuse(Refusal what, const ClientAddress& client, std::string_view why) const {
    listener->shared->refused.note(what, listener->config.name, client, why);
  }

  std::shared_ptr<const ListenerView> listener;  // of the newest snapshot that a request of it has seen
  Arrival arrival;                               // as far as the connection itself tells
  /// The pointer lies in the Connection and outlives its active time; set by begin().
  std::unique_ptr<BoundConnections>* bound = nullptr;
  /// Where its first request without a session went: those that come in parallel follow it.
  struct {
    std::uint64_t backend = 0;
    std::size_t pool = 0;
    Clock::Steady at;
  } first_placed;
};

}  // namespace remora
