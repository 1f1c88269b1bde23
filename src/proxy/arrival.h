// Who asks, and how the client reached us: the peer of the connection, or what trusted proxies say of those
// before them (X-Forwarded-*, RFC 7239). Pure.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

/// What is known of the client's way to us.
struct Arrival {
  ClientAddress peer;       // of the connection (or of the PROXY line)
  ClientAddress client;     // the real one, through trusted proxies
  bool secure = false;      // TLS as the client saw it, as far as trusted proxies tell
  bool trusted = false;     // the peer is a trusted proxy
  std::string_view host;    // X-Forwarded-Host as far as trusted proxies tell; of the request's head
  char peer_text[46] = {};  // formatted once per connection
  std::size_t peer_text_size = 0;
};

/// Fills in `client`, `secure` and `host` from X-Forwarded-* / Forwarded when the peer is trusted: the last
/// address that is not itself a trusted proxy, and what the proxy said that saw it. Proxies append; what
/// stands before that is the client's own claim.
void resolve_arrival(const std::vector<Field>& fields, std::span<const config::Cidr> trusted,
                     Arrival& arrival);

}  // namespace remora
