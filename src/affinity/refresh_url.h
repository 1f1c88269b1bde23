// Where `5; url=/x` leads, as browsers read the field Refresh and `<meta http-equiv=refresh>` (WHATWG
// HTML 4.2.5.3, "shared declarative refresh steps"). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace remora {

struct RefreshUrl {
  std::size_t at = 0, size = 0;  // without white space at its ends; an empty one is the document itself
  std::size_t time_end = 0;      // behind the number of seconds
  char quote = 0;                // around the URL; 0: none
};
/// Nothing: browsers do not follow it.
std::optional<RefreshUrl> find_refresh_url(std::string_view content) noexcept;

}  // namespace remora
