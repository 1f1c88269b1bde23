#include "remora/store_counts.h"

#include <iterator>

namespace remora {

std::string_view to_string(StoreOutcome o) noexcept {
  constexpr std::string_view names[] = {"done", "timeout", "unavailable", "refused", "full"};
  static_assert(std::size(names) == static_cast<std::size_t>(StoreOutcome::count_));
  return names[static_cast<std::size_t>(o)];
}

std::string_view to_string(StateEvent e) noexcept {
  constexpr std::string_view names[] = {"saved",   "outdated", "conflict", "too_large",   "malformed",
                                        "unsaved", "replayed", "none",     "unavailable", "unreadable"};
  static_assert(std::size(names) == static_cast<std::size_t>(StateEvent::count_));
  return names[static_cast<std::size_t>(e)];
}

}  // namespace remora
