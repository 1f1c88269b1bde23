// Finds the URL in `5; url=/x`, as browsers read the Refresh field and `<meta http-equiv=refresh>` (WHATWG
// HTML 4.2.5.3, "shared declarative refresh steps"). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace remora {

struct RefreshUrl {
  std::size_t at = 0, size = 0;  // without surrounding white space; size 0: the document itself
  std::size_t time_end = 0;      // end of the number of seconds
  char quote = 0;                // around the URL; 0: none
};
/// Nothing: browsers ignore such a value.
std::optional<RefreshUrl> find_refresh_url(std::string_view content) noexcept;

}  // namespace remora
