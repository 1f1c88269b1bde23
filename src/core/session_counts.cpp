#include "remora/session_counts.h"

#include <iterator>

namespace remora {

std::string_view to_string(SessionEvent e) noexcept {
  constexpr std::string_view names[] = {"bound", "replaced", "cleared", "ended", "renewed", "lost", "misdirected"};
  static_assert(std::size(names) == static_cast<std::size_t>(SessionEvent::count_));
  return names[static_cast<std::size_t>(e)];
}

}  // namespace remora
