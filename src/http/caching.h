// What a response head says to shared caches, proxies and CDNs (RFC 9111, RFC 9213, and what vendors added),
// and how it is closed to them. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "remora/clock.h"
#include "remora/http_view.h"
#include "util/arena.h"

namespace remora {

/// The app offers the response to shared caches: `public`, or a lifetime that has not passed. Not one that
/// sets a cookie of the app's: that is somebody's own. Nor one that no cache may use again, whatever it says:
/// by its method (RFC 9110 9.2.3; POST only with Content-Location, 9.3.3) or because it is no final one (RFC
/// 9111 3).
bool offered_to_shared_caches(Method method, std::uint16_t status, std::span<const Field> fields,
                              Clock::Wall now) noexcept;

/// Makes the head of a response that carries somebody's token one that no shared cache keeps. Only adds
/// restrictions: `private`, unless the head forbids storing already. What opens the response to shared caches
/// goes: `public`, `s-maxage`, and the fields that caches of one vendor obey before Cache-Control.
void close_to_shared_caches(Method method, std::uint16_t status, std::vector<Field>& fields,
                            TextArena& arena);

}  // namespace remora
