// The WebSocket handshake between an HTTP/2 client and an HTTP/1.1 backend. RFC 8441 5 drops
// Sec-WebSocket-Key and Sec-WebSocket-Accept from HTTP/2, RFC 6455 4 requires them in HTTP/1.1: so the proxy
// makes the key, and checks what comes back. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"
#include "util/arena.h"

namespace remora {

/// Replaces Sec-WebSocket-Key in `fields` by one made from these random bits, whose text is in the arena.
/// Returns the Sec-WebSocket-Accept that must come back.
std::string_view give_websocket_key(std::vector<Field>& fields, std::uint64_t high, std::uint64_t low,
                                    TextArena& arena);

/// Removes Sec-WebSocket-Accept from `fields`. True: it was `expected`.
bool take_websocket_accept(std::vector<Field>& fields, std::string_view expected);

}  // namespace remora
