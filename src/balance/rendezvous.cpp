#include "balance/rendezvous.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmath>

namespace remora {

const Member* rendezvous(std::uint64_t key, const PoolSnapshot& pool, const Tried& tried) noexcept {
  for (const bool backup : {false, true}) {
    const Member* best = nullptr;
    double best_score = 0;
    for (const Member& m : pool.members) {
      if (m.backup != backup || !m.accepts_new() || tried.contains(m.backend.get())) continue;
      const std::uint64_t h = XXH3_64bits_withSeed(&m.backend->hash, sizeof m.backend->hash, key);
      const double unit = (static_cast<double>(h >> 11) + 0.5) * 0x1.0p-53;  // in (0, 1)
      const double score = -static_cast<double>(m.weight) / std::log(unit);
      if (best == nullptr || score > best_score) {
        best = &m;
        best_score = score;
      }
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

}  // namespace remora
