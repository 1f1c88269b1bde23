// Who the client is and how it reached us: from the connection, and from what trusted proxies report about
// the hops before them (X-Forwarded-*, RFC 7239). Pure.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

/// How a request reached us.
struct Arrival {
  ClientAddress peer;    // other end of the connection, or the address in its PROXY line
  ClientAddress client;  // the real client, as trusted proxies report it
  bool secure = false;   // the client used TLS, as far as trusted proxies report
  bool trusted = false;  // the peer is a trusted proxy
  // X-Forwarded-Host and -Port from trusted proxies; views of the request head
  std::string_view host, port;
  char peer_text[46] = {};  // formatted once per connection
  std::size_t peer_text_size = 0;
};

/// Fills in `trusted`, and if the peer is a trusted proxy, `client`, `secure`, `host` and `port` from
/// X-Forwarded-* or Forwarded: the last address that is not itself a trusted proxy, and the values from the
/// proxy that saw it. Proxies append to these lists, so earlier elements are the client's own claims.
///
/// The scheme comes from X-Forwarded-Proto; else from Forwarded, if the client's address comes from it too;
/// else from the other fields with a scheme (outer_scheme.h). Unknown words are ignored.
void resolve_arrival(const std::vector<Field>& fields, std::span<const config::Cidr> trusted,
                     Arrival& arrival);

}  // namespace remora
