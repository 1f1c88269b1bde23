// The PROXY protocol, versions 1 and 2 (haproxy doc/proxy-protocol.txt): the client's real address. Pure:
// bytes in, verdict out.
#pragma once

#include <optional>
#include <string_view>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

struct ProxyLine {
  enum class Status : std::uint8_t { incomplete, ok, bad } status = Status::incomplete;
  std::size_t size = 0;  // ok: bytes parsed, to be consumed
  std::size_t rest = 0;  // further bytes of the header, not parsed: discard them as they arrive
  std::optional<ClientAddress> client;  // none: LOCAL or UNKNOWN, keep the peer's address
};

/// Parses a header at the start of a connection. The header is required: anything else is bad. Looks at no
/// more than 107 bytes (v1) or 16 + 36 bytes (v2), so the caller need not buffer more. A source address that
/// no client can have (unspecified, multicast, broadcast) is bad.
ProxyLine parse_proxy_line(std::string_view bytes) noexcept;

/// Whether to trust a PROXY header from this peer. An untrusted peer could forge addresses, and limits, logs
/// and X-Forwarded-For depend on them.
bool may_send_proxy_line(const config::Listener& listener, const ClientAddress& peer) noexcept;

}  // namespace remora
