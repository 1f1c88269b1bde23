// What is decided about the pool of a request: which pool of a split serves it, and how its session continues
// in another pool of the split. SessionLookup and Placement carry it out; explain() shows it. Pure.
#pragma once

#include <optional>

#include "proxy/failure.h"
#include "proxy/snapshot.h"
#include "proxy/split.h"
#include "session/recognize.h"

namespace remora {

struct PoolDecision {
  std::size_t pool = 0;             // index into Snapshot::pools
  Recognized found;                 // what was recognized in `pool`; with `left`, in the pool that was left
  std::optional<std::size_t> left;  // the session has moved from there to `pool`
  bool drawn = false;               // no session decides: `pool` was drawn by weight
};

/// The pool of a split that serves a request. `key` decides a draw. `recognize_in(const PoolView&)` returns
/// what a pool's affinity recognizes.
template <class RecognizeIn>
PoolDecision decide_pool(const Snapshot& snapshot, const RouteView& route, std::uint64_t key,
                         RecognizeIn recognize_in);

/// The first pool of the route that has this backend, from `pool` if that has it. Nothing: none has.
std::optional<std::size_t> pool_with(const Snapshot& snapshot, const RouteView& route, std::size_t pool,
                                     std::uint64_t backend) noexcept;

/// A session that was recognized in one pool continues in another, with these kinds (at least one).
void carry_over(Recognized& found, std::span<const std::shared_ptr<const Affinity>> kinds) noexcept;

/// The app's id leads nowhere in the pool in which its session continues: what the table does about it.
enum class Learning : std::uint8_t {
  none,       // there is no id to learn, or it names another session there, or one that has ended
  ask_store,  // a shared store may know more
  adopt,      // the session was there before
  bind,       // the id is new there
};
/// `there`: what the new pool recognizes. `ask_first`: a store that may know more is to be asked.
Learning decide_learning(const Recognized& there, const Binding& binding, bool ask_first) noexcept;

/// What happens if `pool` has no backend left for a request.
struct OtherPoolDecision {
  std::size_t pool = 0;            // serves it instead
  const Member* member = nullptr;  // the session moves there; null: the request starts over in `pool`
};
/// `bound`: the request has a session. Nothing: no other pool can serve it.
std::optional<OtherPoolDecision> decide_other_pool(const Snapshot& snapshot, const RouteView& route,
                                                   std::size_t pool, bool bound, std::uint64_t key,
                                                   const Tried& tried) noexcept;

/// The fallback that serves a request which no backend of `pool` can serve. Null: there is none; or a backend
/// is in service: it has no room, or answered with an error (`last`, the last attempt's failure).
const config::Fallback* decide_fallback(const PoolView& pool, const Failure& last,
                                        const Tried& tried) noexcept;

/// Requests of this route can be served by the pool, as a fallback too.
bool can_lead_to(const Snapshot& snapshot, const RouteView& route, std::size_t pool) noexcept;

/// Where a session belongs that has moved to `backend`: a backend may be in several pools of the route, and
/// the first one counts.
struct Home {
  std::size_t pool = 0;
  const Member* member = nullptr;  // null: none of them can serve it
};
Home home_of(const Snapshot& snapshot, const RouteView& route, std::uint64_t backend,
             const Tried& tried) noexcept;

/// Draws a pool of a split by weight, of those with a backend in service and room for a session; if there is
/// none, of those with a backend in service; if there is none, of all.
std::size_t draw_pool(const Snapshot& snapshot, const RouteView& route, std::uint64_t key) noexcept;

template <class RecognizeIn>
PoolDecision decide_pool(const Snapshot& snapshot, const RouteView& route, std::uint64_t key,
                         RecognizeIn recognize_in) {
  using What = Recognized::What;
  PoolDecision moved_away;
  PoolDecision drawn;
  drawn.pool = draw_pool(snapshot, route, key);
  drawn.drawn = true;
  for (const auto& target : route.targets) {
    const Recognized found = recognize_in(*snapshot.pools[target.pool]);
    if (target.pool == drawn.pool) drawn.found = found;
    if (found.what != What::session) continue;
    const auto home = pool_with(snapshot, route, target.pool, found.binding.backend);
    if (!home || *home == target.pool) return {target.pool, found, std::nullopt, false};
    // The session is known here but has moved to another pool: that pool's own knowledge comes first. Of
    // several sessions, or of several tokens of one, the latest move counts.
    if (moved_away.left && found.binding.epoch <= moved_away.found.binding.epoch) continue;
    moved_away = {*home, found, target.pool, false};
  }
  if (!moved_away.left) return drawn;
  const Recognized there = recognize_in(*snapshot.pools[moved_away.pool]);
  if (there.learned && there.cause == Cause::ended && there.binding.id == moved_away.found.binding.id)
    return {moved_away.pool, there, std::nullopt, false};
  return moved_away;
}

}  // namespace remora
