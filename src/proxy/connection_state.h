// ConnectionState: what the requests of one client connection share: its listener and the client's address.
//
// Threading: its worker's thread. Lifetime: that of its Active (active.h); begin() resets it for each
// connection.
#pragma once

#include <memory>

#include "proxy/arrival.h"
#include "proxy/snapshot.h"

namespace remora {

struct ConnectionState {
  /// A connection becomes active.
  void begin(std::shared_ptr<const ListenerView> accepted_by, const ClientAddress& peer) {
    listener = std::move(accepted_by);
    arrival = {};
    arrival.peer = arrival.client = peer;
    arrival.peer_text_size = peer.format(arrival.peer_text);
    first_placed = {};
    server_name = {};
  }

  const config::ListenerTimeouts& timeouts() const noexcept { return listener->config.timeouts; }
  /// Whether requests to `host` may come on this connection. HTTP/2 clients reuse it for other names of the
  /// certificate that they were shown, but not for names of another one (RFC 9110 7.4).
  bool serves(std::string_view host) const;
  /// Counts a refusal, and logs it at level debug. `why` is needed only during the call.
  void refuse(Refusal what, const ClientAddress& client, std::string_view why) const {
    listener->shared->refused.note(what, listener->config.name, client, why);
  }

  std::shared_ptr<const ListenerView> listener;  // from the newest snapshot that one of its requests has used
  Arrival arrival;  // as far as the connection itself shows; each request copies it
  /// HTTP/2 over TLS: the name that the client asked for (SNI), which chose the certificate. Else empty.
  std::string_view server_name;
  /// Where, and since when, this connection places new sessions: concurrent first requests follow
  /// (Placement).
  struct {
    std::uint64_t backend = 0;
    std::size_t pool = 0;
    Clock::Steady at;
  } first_placed;
};

}  // namespace remora
