#include "balance/rendezvous.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmath>

namespace remora {

RendezvousScore::RendezvousScore(std::uint64_t key, const Member& m) noexcept
    : chance(XXH3_64bits_withSeed(&m.backend->hash, sizeof m.backend->hash, key) >> 11),
      weight(m.hash_weight()) {}

double RendezvousScore::value() const noexcept {
  if (value_ >= 0) return value_;
  const double unit = (static_cast<double>(chance) + 0.5) * 0x1.0p-53;  // in (0, 1)
  return value_ = -static_cast<double>(weight) / std::log(unit);
}

const Member* rendezvous_for_session(std::uint64_t key, const PoolSnapshot& pool,
                                     const Tried& tried) noexcept {
  return rendezvous_among(key, pool, [&](const Member& m) {
    return m.accepts_keyed() && m.has_room() && !tried.contains(m.backend.get());
  });
}

const Member* rendezvous(std::uint64_t key, const PoolSnapshot& pool, const Tried& tried,
                         double bounded_load) noexcept {
  const auto untried = [&](const Member& m) { return m.accepts_keyed() && !tried.contains(m.backend.get()); };
  if (bounded_load > 0) {
    double in_flight = 1, weights = 0;  // includes this request
    for (const Member& m : pool.members) {
      if (!m.accepts_keyed()) continue;
      in_flight += m.backend->in_flight.load(std::memory_order_relaxed);
      weights += m.hash_weight();
    }
    const Member* const roomy = rendezvous_among(key, pool, [&](const Member& m) {
      const double most = std::ceil(bounded_load * in_flight * m.hash_weight() / weights);
      return untried(m) && m.backend->in_flight.load(std::memory_order_relaxed) + 1 <= most;
    });
    if (roomy != nullptr) return roomy;
  }
  return rendezvous_among(key, pool, untried);
}

}  // namespace remora
