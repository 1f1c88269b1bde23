// Which TLS sessions a listener's tickets may resume.
//
// A resumed handshake asks for no certificate: it repeats what an earlier full handshake proved. So a ticket
// must not outlive what was proved. Two bounds:
//
// 1. The session id context (RFC 5077 leaves it to the server) is a hash of the listener, its client
//    authentication with the contents of `client_ca`, and its own certificates' keys. Another context: a full
//    handshake. Ticket keys are handed on over a reload only when it is the same.
// 2. Each ticket carries the time of its full handshake. TLS 1.3 gives a new ticket at each resumption, so
//    without this bound a session could be resumed for ever. After a day, or once the client certificate has
//    expired: a full handshake.
//
// Threading: contexts are prepared on the control thread; the callbacks run on workers.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

constexpr std::chrono::hours max_ticket_life{24};  // since the full handshake

using SessionContext = std::array<std::uint8_t, 32>;

/// What a session must have in common with `contexts` (of one listener, loaded completely) to be resumed.
SessionContext session_context(std::string_view listener, config::ClientAuth,
                               std::span<SSL_CTX* const> contexts);

/// Bounds the life of tickets that this context gives out. `clock` outlives the context.
void bound_tickets(SSL_CTX* context, const Clock& clock);

}  // namespace remora
