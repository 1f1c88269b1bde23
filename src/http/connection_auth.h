// Detects authentication that is bound to a connection instead of a request: NTLM, Negotiate (RFC 4559),
// Kerberos.
//
// Servers with these schemes treat the whole connection as the user's from the handshake on, and a handshake
// has several legs on one connection. So a proxy must not let two clients share such a connection (RFC 4559
// 6; haproxy/haproxy #581 shows users who became one another).
//
// Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "remora/http_view.h"

namespace remora {

/// What a response asks for. `offered`: a handshake may begin; `continued`: a leg that expects the next one
/// on the same connection.
enum class ConnectionAuth : std::uint8_t { none, offered, continued };

/// Reads the WWW-Authenticate and Proxy-Authenticate fields of a 401 or 407.
ConnectionAuth asked_connection_auth(std::uint16_t status, const std::vector<Field>& fields) noexcept;

/// Whether the value of Authorization or Proxy-Authorization uses such a scheme.
bool is_connection_auth(std::string_view credentials) noexcept;

}  // namespace remora
