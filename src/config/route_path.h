// The path of a route as the file writes it: one spelling for all that say the same, and a reason where no
// request could ever match. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora::config {

/// What cannot stand unescaped in a path, escaped in capital hex (`/café` and `/caf%c3%a9` become
/// `/caf%C3%A9`). All else as it is written.
std::string escaped_path(std::string_view written);

/// Why no request can match a route with this path, with what to write instead. Empty: some can. Routes are
/// matched against decoded paths, so an escape of a plain character never fits. `guards`: the route leads to
/// a pool, and a path that servers read in several ways is refused there (src/http/readings.h).
std::string never_matches(std::string_view written, bool guards);

}  // namespace remora::config
