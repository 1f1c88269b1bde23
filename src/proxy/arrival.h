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
  ClientAddress peer;    // of the connection (or of the PROXY line)
  ClientAddress client;  // the real one, through trusted proxies
  bool secure = false;   // TLS as the client saw it, as far as trusted proxies tell
  bool trusted = false;  // the peer is a trusted proxy
  // X-Forwarded-Host and -Port as far as trusted proxies tell; views of the request's head
  std::string_view host, port;
  char peer_text[46] = {};  // formatted once per connection
  std::size_t peer_text_size = 0;
};

/// Fills in `client`, `secure`, `host` and their like from X-Forwarded-* / Forwarded when the peer is
/// trusted: the last address that is not itself a trusted proxy, and what the proxy said that saw it. Proxies
/// append; what stands before that is the client's own claim.
///
/// The scheme is that of X-Forwarded-Proto; without one of `Forwarded`, where that says the client's address
/// as well; else of the other fields that say it (outer_scheme.h). A word that is no scheme says nothing.
void resolve_arrival(const std::vector<Field>& fields, std::span<const config::Cidr> trusted,
                     Arrival& arrival);

}  // namespace remora
