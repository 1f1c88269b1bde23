#include "health/service.h"

#include <algorithm>

namespace remora {

std::uint32_t warm_weight(std::uint32_t weight, std::chrono::nanoseconds slow_start,
                          std::chrono::nanoseconds since) noexcept {
  if (slow_start.count() <= 0) return weight;
  constexpr double least = 0.1;
  const double share =
      std::clamp(static_cast<double>(since.count()) / static_cast<double>(slow_start.count()), least, 1.0);
  return static_cast<std::uint32_t>(weight * 100.0 * share);
}

void rescue(PoolSnapshot& pool, double panic) noexcept {
  std::size_t wanted = 0, in_service = 0;
  for (Member& m : pool.members) {
    m.panic = false;
    if (m.admin != Admin::ready || m.weight == 0) continue;
    ++wanted;
    if (m.accepts_new()) ++in_service;
  }
  if (wanted == 0) return;
  if (static_cast<double>(in_service) < panic * static_cast<double>(wanted)) {
    for (Member& m : pool.members) m.panic = !m.nowhere;
  } else if (in_service == 0) {
    for (Member& m : pool.members) m.ejected = Ejected::no;
  }
}

}  // namespace remora
