// Authentication that belongs to a connection instead of to a request: NTLM, Negotiate (RFC 4559), Kerberos.
//
// A server that speaks these takes a whole connection for its user's from the handshake on, and a handshake
// has several legs over one connection. So a proxy must not let two clients share such a connection (RFC 4559
// 6; haproxy/haproxy #581 shows users who became one another).
//
// Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "remora/http_view.h"

namespace remora {

/// What a response asks for. `offered`: such a scheme may be begun; `continued`: a leg of it that waits for
/// the next one, on the same connection.
enum class ConnectionAuth : std::uint8_t { none, offered, continued };

/// Of the WWW-Authenticate and Proxy-Authenticate fields of a 401 or 407.
ConnectionAuth asked_connection_auth(std::uint16_t status, const std::vector<Field>& fields) noexcept;

/// Whether the value of Authorization or Proxy-Authorization uses such a scheme.
bool is_connection_auth(std::string_view credentials) noexcept;

}  // namespace remora
