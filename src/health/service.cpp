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

void Returns::see(const Member& m, bool began, bool probed, Clock::Steady now) {
  const auto [it, fresh] = entries_.try_emplace(m.backend.get());
  Entry& e = it->second;
  if (fresh) e.serves = began;
  // A drain does not restart a slow start, and before the first probe nothing is known.
  if (m.admin == Admin::drain || (probed && m.health == Health::unknown)) return;
  const bool serves = m.admin != Admin::maint && m.health != Health::down && m.ejected == Ejected::no;
  if (serves && !e.serves) e.since = now;
  if (!serves) e.since.reset();
  e.serves = serves;
}

std::optional<Clock::Steady> Returns::since(const Backend& backend) const {
  const auto it = entries_.find(&backend);
  return it == entries_.end() ? std::nullopt : it->second.since;
}

void hold_untested(PoolSnapshot& pool) noexcept {
  for (const bool backup : {false, true}) {
    const bool known = std::any_of(pool.members.begin(), pool.members.end(), [&](const Member& m) {
      return m.backup == backup && m.health == Health::up && m.accepts_new();
    });
    for (Member& m : pool.members)
      if (m.backup == backup) m.untested = known && m.health == Health::unknown;
  }
}

void end_streams(PoolSnapshot& pool, const config::Drain& drain) noexcept {
  const bool ends = drain.streams == config::DrainStreams::end;
  const bool somebody =
      std::any_of(pool.members.begin(), pool.members.end(), [](const Member& m) { return m.accepts_new(); });
  for (Member& m : pool.members)
    m.ends_streams = ends && (m.admin == Admin::maint || (m.leaving && m.admin == Admin::drain && somebody));
}

void rescue(PoolSnapshot& pool, double panic) noexcept {
  std::size_t wanted = 0, in_service = 0;
  for (Member& m : pool.members) {
    m.panic = m.untested = false;
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
