// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by logarithms): each key has its own
// order of preference over the members, and adding or removing one of n moves only about 1/n of the keys.
#pragma once

#include <cstdint>

#include "remora/pool_snapshot.h"

namespace remora {

/// How much `key` prefers a member; the highest wins. Weight 0 is never preferred.
double rendezvous_score(std::uint64_t key, const Member& member) noexcept;

/// The key's first choice among members that accept new sessions and for which `allowed(const Member&)`
/// holds; backups only when no ordinary member is left. nullptr: none.
template <class Allowed>
const Member* rendezvous_if(std::uint64_t key, const PoolSnapshot& pool, Allowed allowed) noexcept {
  for (const bool backup : {false, true}) {
    const Member* best = nullptr;
    double best_score = 0;
    for (const Member& m : pool.members) {
      if (m.backup != backup || !m.accepts_new() || !allowed(m)) continue;
      const double score = rendezvous_score(key, m);
      if (best == nullptr || score > best_score) {
        best = &m;
        best_score = score;
      }
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

/// `bounded_load` above 0: a member with more than that factor of its share of the requests in flight is
/// passed over for the key's next choice (Mirrokni, Thorup, Zadimoghaddam 2016); when all are, the first
/// choice stands.
const Member* rendezvous(std::uint64_t key, const PoolSnapshot& pool, const Tried& tried,
                         double bounded_load = 0) noexcept;

}  // namespace remora
