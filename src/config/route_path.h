// Normalizes the path of a route, so that equivalent paths have one spelling, and detects paths that no
// request could match. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora::config {

/// Escapes characters that may not appear unescaped in a path, with capital hex digits (`/café` and
/// `/caf%c3%a9` become `/caf%C3%A9`). Everything else is unchanged.
std::string escaped_path(std::string_view written);

/// Says why no request can match a route with this path, and what to write instead. Empty if some request
/// can. Routes are matched against decoded paths, so an escaped plain character never matches. `guards`: the
/// route leads to a pool, so paths that servers interpret differently are rejected (src/http/readings.h).
std::string never_matches(std::string_view written, bool guards);

}  // namespace remora::config
