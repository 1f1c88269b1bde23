// Weighted rendezvous hashing (Thaler and Ravishankar 1998; logarithmic weights): each key has its own order
// of preference over the members, and adding or removing one of n members moves only about 1/n of the keys.
// Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "remora/pool_snapshot.h"

namespace remora {

/// How much `key` prefers a member; the highest score wins. Weight 0 is never preferred. Members of equal
/// weight are compared by `chance` alone, so that the logarithm is computed only if weights differ.
struct RendezvousScore {
  RendezvousScore(std::uint64_t key, const Member& member) noexcept;
  double value() const noexcept;
  bool operator>(const RendezvousScore& o) const noexcept {
    return weight == o.weight ? chance > o.chance : value() > o.value();
  }
  std::uint64_t chance;
  std::uint32_t weight;

 private:
  mutable double value_ = -1;  // not computed yet
};

/// The key's first choice among members for which `allowed(const Member&)` holds; backups only if no
/// ordinary member is allowed; nullptr if none is.
template <class Allowed>
const Member* rendezvous_among(std::uint64_t key, const PoolSnapshot& pool, Allowed allowed) noexcept {
  for (const bool backup : {false, true}) {
    const Member* best = nullptr;
    std::optional<RendezvousScore> best_score;
    for (const Member& m : pool.members) {
      if (m.backup != backup || !allowed(m)) continue;
      const RendezvousScore score(key, m);
      if (best != nullptr && !(score > *best_score)) continue;
      best = &m;
      best_score = score;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

/// The same among members that accept new sessions.
template <class Allowed>
const Member* rendezvous_if(std::uint64_t key, const PoolSnapshot& pool, Allowed allowed) noexcept {
  return rendezvous_among(key, pool, [&](const Member& m) { return m.accepts_new() && allowed(m); });
}

/// The key's first choice for a session that begins: among members that accept keyed requests and have room.
const Member* rendezvous_for_session(std::uint64_t key, const PoolSnapshot& pool,
                                     const Tried& tried) noexcept;

/// The member of a key that is placed by hash only, among members that accept keyed requests. `bounded_load`
/// above 0: a member with more than that factor of its share of the requests in flight is skipped for the
/// key's next choice (Mirrokni, Thorup, Zadimoghaddam 2016); if all are above it, the first choice stands.
const Member* rendezvous(std::uint64_t key, const PoolSnapshot& pool, const Tried& tried,
                         double bounded_load = 0) noexcept;

}  // namespace remora
