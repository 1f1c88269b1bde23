// Pools of a split: which of them begins a session. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "proxy/route.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// Some backend of the pool accepts new sessions.
inline bool in_service(const PoolSnapshot& pool) noexcept {
  return std::any_of(pool.members.begin(), pool.members.end(),
                     [](const Member& m) { return m.accepts_new(); });
}

/// Some backend of the pool accepts new sessions, and has room for one.
inline bool takes_session(const PoolSnapshot& pool) noexcept {
  return std::any_of(pool.members.begin(), pool.members.end(),
                     [](const Member& m) { return m.accepts_new() && m.has_room(); });
}

/// Draws a target by weight, of those whose pool satisfies `fits(pool)`. `key`: a random number or a hash.
/// Returns an index into the route's targets; nothing: none fits.
template <class Fits>
std::optional<std::size_t> draw_target(const RouteView& route, std::uint64_t key, Fits fits) {
  std::uint64_t sum = 0;
  for (const auto& target : route.targets)
    if (fits(target.pool)) sum += target.weight;
  if (sum == 0) return std::nullopt;
  std::uint64_t at = key % sum;
  for (std::size_t i = 0; i < route.targets.size(); ++i) {
    const auto& target = route.targets[i];
    if (!fits(target.pool)) continue;
    if (at < target.weight) return i;
    at -= target.weight;
  }
  return std::nullopt;
}

}  // namespace remora
