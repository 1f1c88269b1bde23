// The PROXY protocol, versions 1 and 2 (haproxy doc/proxy-protocol.txt): who the client really is.
// Pure: bytes in, verdict out.
#pragma once

#include <optional>
#include <string_view>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

struct ProxyLine {
  enum class Status : std::uint8_t { incomplete, ok, bad } status = Status::incomplete;
  std::size_t size = 0;                 // bytes to drop, when ok: they were looked at
  std::size_t rest = 0;                 // as many more follow that nobody looks at: dropped as they come
  std::optional<ClientAddress> client;  // none: LOCAL or UNKNOWN, keep the peer's address
};

/// Reads a header from the start of a connection. The header is required: anything else is bad.
/// At most 107 bytes (v1) or 16 + 36 bytes (v2) are looked at, so no more need be kept.
/// A source that no client can have (unspecified, multicast, broadcast) is bad.
ProxyLine parse_proxy_line(std::string_view bytes) noexcept;

/// Whether this peer's line is believed. Who is not asked must not get to invent addresses: limits, logs and
/// X-Forwarded-For are made of them.
bool may_send_proxy_line(const config::Listener& listener, const ClientAddress& peer) noexcept;

}  // namespace remora
