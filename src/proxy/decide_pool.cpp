#include "proxy/decide_pool.h"

#include <algorithm>

#include "balance/rendezvous.h"
#include "proxy/decide.h"

namespace remora {

using What = Recognized::What;

std::size_t draw_pool(const Snapshot& snapshot, const RouteView& route, std::uint64_t key) noexcept {
  const auto takes = [&](std::size_t pool) { return takes_session(*snapshot.pools[pool]->snapshot); };
  const auto serves = [&](std::size_t pool) { return in_service(*snapshot.pools[pool]->snapshot); };
  auto drawn = draw_target(route, key, takes);
  if (!drawn) drawn = draw_target(route, key, serves);
  if (!drawn) drawn = draw_target(route, key, [](std::size_t) { return true; });
  return route.targets[drawn.value_or(0)].pool;
}

std::optional<std::size_t> pool_with(const Snapshot& snapshot, const RouteView& route, std::size_t pool,
                                     std::uint64_t backend) noexcept {
  const auto has = [&](std::size_t p) { return snapshot.pools[p]->snapshot->find(backend) != nullptr; };
  if (has(pool)) return pool;
  for (const auto& target : route.targets)
    if (has(target.pool)) return target.pool;
  return std::nullopt;
}

void carry_over(Recognized& found, std::span<const std::shared_ptr<const Affinity>> kinds) noexcept {
  const auto issued = std::find_if(kinds.begin(), kinds.end(), [](const auto& kind) {
    return kind->family() == Affinity::Family::issued;
  });
  found.kind = issued == kinds.end() ? 0 : static_cast<std::size_t>(issued - kinds.begin());
  found.learned = found.old_key = found.stale = false;
  found.came_by_cookie = false;
  found.behind = true;
  if (found.moved_for == Reason::none) found.moved_for = Reason::failover;
}

Learning decide_learning(const Recognized& there, const Binding& binding, bool ask_first) noexcept {
  if (!there.learned || !there.lookup.stored) return Learning::none;
  const bool own = there.what != What::unbound && there.binding.id == binding.id;
  if (own ? there.cause == Cause::ended : there.what == What::session) return Learning::none;
  if (ask_first && there.stale) return Learning::ask_store;
  return own ? Learning::adopt : Learning::bind;
}

std::optional<OtherPoolDecision> decide_other_pool(const Snapshot& snapshot, const RouteView& route,
                                                   std::size_t pool, bool bound, std::uint64_t key,
                                                   const Tried& tried) noexcept {
  if (route.targets.size() < 2) return std::nullopt;
  auto drawn = draw_target(route, key, [&](std::size_t other) {
    return other != pool && takes_session(*snapshot.pools[other]->snapshot);
  });
  if (!drawn)
    drawn = draw_target(route, key, [&](std::size_t other) {
      return other != pool && in_service(*snapshot.pools[other]->snapshot);
    });
  if (!drawn) return std::nullopt;
  OtherPoolDecision d{route.targets[*drawn].pool};
  const PoolView& view = *snapshot.pools[d.pool];
  if (!bound || view.affinity.empty()) return d;
  const auto untried = [&](const Member& m) { return !tried.contains(m.backend.get()); };
  d.member = rendezvous_if(key, *view.snapshot, [&](const Member& m) { return untried(m) && m.has_room(); });
  if (d.member == nullptr) d.member = rendezvous_if(key, *view.snapshot, untried);
  return d.member != nullptr ? std::optional(d) : std::nullopt;
}

const config::Fallback* decide_fallback(const PoolView& pool, const Failure& last,
                                        const Tried& tried) noexcept {
  using Kind = Failure::Kind;
  if (!pool.config.fallback) return nullptr;
  switch (last.kind) {
    case Kind::none:
    case Kind::refused:
    case Kind::connect_timeout:
    case Kind::hung:
    case Kind::out_of_service:
    case Kind::no_backend:
      break;
    default:
      return nullptr;
  }
  const auto& all = pool.snapshot->members;
  const bool somebody = std::any_of(all.begin(), all.end(), [&](const Member& m) {
    return m.accepts_new() && !tried.contains(m.backend.get());
  });
  return somebody ? nullptr : &*pool.config.fallback;
}

bool can_lead_to(const Snapshot& snapshot, const RouteView& route, std::size_t pool) noexcept {
  for (const auto& target : route.targets)
    for (std::optional<std::size_t> at = target.pool; at; at = snapshot.pools[*at]->fallback_pool)
      if (*at == pool) return true;
  return false;
}

Home home_of(const Snapshot& snapshot, const RouteView& route, std::uint64_t backend,
             const Tried& tried) noexcept {
  for (const auto& target : route.targets) {
    const Member* const m = usable_bound(*snapshot.pools[target.pool]->snapshot, backend, tried);
    if (m != nullptr) return {target.pool, m};
  }
  return {};
}

}  // namespace remora
