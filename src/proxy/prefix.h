// `strip_prefix`: taking from a target what its route matched. Pure.
#pragma once

#include <string_view>

#include "util/arena.h"

namespace remora {

/// A target without the first segments of its path, and what they are called.
struct Stripped {
  std::string_view target;
  bool stripped = false;
};

/// The path is compared in the form in which routes are matched (escapes of unreserved characters decoded,
/// dot segments resolved), so that what was recognised is taken off however it was spelled; the rest stays as
/// it was sent. A target that is not under the prefix stays whole. The result never begins with `//`: echoed
/// in a Location, that would be another host (RFC 3986 4.2).
Stripped without_prefix(std::string_view target, std::string_view prefix, TextArena& arena);

}  // namespace remora
