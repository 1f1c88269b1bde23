// Fewest requests in flight for its weight. Up to 16 members are looked at one by one; above that the best of
// four weighted samples is taken, so that a choice costs the same with 16 members and with 5,000.

#include <algorithm>

#include "balance/policy.h"

namespace remora {

namespace {

class LeastRequests final : public TieredBalancer {
 public:
  LeastRequests(BalancerInput pool, std::uint64_t seed) : TieredBalancer(std::move(pool)), random_(seed) {}

 private:
  static constexpr std::size_t scan_up_to = 16;
  static constexpr int samples = 4;

  // (load + 1) / weight, compared without division.
  static bool less(const Member& a, const Member& b) noexcept {
    return (std::uint64_t{load(a)} + 1) * b.weight < (std::uint64_t{load(b)} + 1) * a.weight;
  }

  const Member* choose(const Tier& tier, const Tried& tried) override {
    if (tier.size() <= scan_up_to) return scan(tier, tried);
    const Member* best = nullptr;
    for (int i = 0; i < samples; ++i) {
      const Member* m = tier[random_.below(tier.size())];
      if (usable(*m, tried) && (best == nullptr || less(*m, *best))) best = m;
    }
    return best != nullptr ? best : scan(tier, tried);
  }

  // Starts anywhere, so that ties fall evenly.
  const Member* scan(const Tier& tier, const Tried& tried) {
    const Member* best = nullptr;
    const std::size_t start = random_.below(tier.size());
    for (std::size_t i = 0; i < tier.size(); ++i) {
      const Member* m = tier[start + i < tier.size() ? start + i : start + i - tier.size()];
      if (usable(*m, tried) && (best == nullptr || less(*m, *best))) best = m;
    }
    return best;
  }

  FastRandom random_;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_least_requests(BalancerInput pool, std::uint64_t seed) {
  return std::make_unique<LeastRequests>(std::move(pool), seed);
}

}  // namespace remora
