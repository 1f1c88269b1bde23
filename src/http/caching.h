// What a response head says to shared caches, proxies and CDNs (RFC 9111, RFC 9213 and vendor extensions),
// and how to close a response to them. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "remora/clock.h"
#include "remora/http_view.h"
#include "util/arena.h"

namespace remora {

/// Whether the app lets shared caches store the response: `public`, or a lifetime that has not passed. False
/// for a response with Set-Cookie from the app, which is personal. False also for a response that no cache
/// may reuse, whatever it says: because of its method (RFC 9110 9.2.3; POST only with Content-Location,
/// 9.3.3) or because it is not final (RFC 9111 3).
bool offered_to_shared_caches(Method method, std::uint16_t status, std::span<const Field> fields,
                              Clock::Wall now) noexcept;

/// Keeps shared caches from storing a response that carries a token. Only adds restrictions: adds `private`
/// unless storing is forbidden already, and removes what opens the response to shared caches: `public`,
/// `s-maxage`, and vendor-specific fields that override Cache-Control.
void close_to_shared_caches(Method method, std::uint16_t status, std::vector<Field>& fields,
                            TextArena& arena);

}  // namespace remora
