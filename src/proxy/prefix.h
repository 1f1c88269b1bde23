// `strip_prefix`: removes the path prefix of a route from a request target. Pure.
#pragma once

#include <string_view>

#include "util/arena.h"

namespace remora {

/// A target, and whether the prefix was removed from it.
struct Stripped {
  std::string_view target;
  bool stripped = false;
};

/// The path is compared in the form that routes match (escapes of unreserved characters decoded, dot segments
/// resolved), so the prefix is removed however it was spelled; the rest stays as it was sent. A target that
/// is not under the prefix stays unchanged. The result never begins with `//`, because an app that echoes it
/// in a Location would redirect to another host (RFC 3986 4.2).
Stripped without_prefix(std::string_view target, std::string_view prefix, TextArena& arena);

}  // namespace remora
