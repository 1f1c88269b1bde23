// Decides which TLS sessions a listener's tickets may resume.
//
// A resumed handshake asks for no certificate: it relies on what an earlier full handshake proved. So a
// ticket must not outlive that proof. Two bounds:
//
// 1. The session id context (RFC 5077 leaves it to the server) is a hash of the listener, its client
// authentication with the contents of `client_ca`, and the keys of its own certificates. A different context
// requires a full handshake. A reload hands on the ticket keys only if the context is unchanged.
// 2. Each ticket carries the time of its full handshake. TLS 1.3 issues a new ticket at each resumption, so
// without this bound a session could be resumed forever. A full handshake is required after a day, or once
// the client certificate has expired.
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

/// The session id context for `contexts` (all of one listener, fully loaded). A session is resumed only
/// under the same context.
SessionContext session_context(std::string_view listener, config::ClientAuth,
                               std::span<SSL_CTX* const> contexts);

/// Bounds the lifetime of tickets issued by this context. `clock` outlives the context.
void bound_tickets(SSL_CTX* context, const Clock& clock);

}  // namespace remora
