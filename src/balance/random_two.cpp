// The better of two weighted random members (Mitzenmacher 2001): nearly as even as looking at all of them.

#include <algorithm>

#include "balance/policy.h"

namespace remora {

namespace {

class RandomTwo final : public TieredBalancer {
 public:
  RandomTwo(BalancerInput pool, std::uint64_t seed) : TieredBalancer(std::move(pool)), random_(seed) {}

 private:
  const Member* choose(const Tier& tier, const Tried& tried) override {
    const Member* a = draw(tier, tried, nullptr);
    const Member* b = draw(tier, tried, a);
    if (a == nullptr || b == nullptr) return a;
    return (std::uint64_t{load(*a)} + 1) * b->weight <= (std::uint64_t{load(*b)} + 1) * a->weight ? a : b;
  }

  const Member* draw(const Tier& tier, const Tried& tried, const Member* except) {
    std::uint64_t sum = 0;
    for (const Member* m : tier)
      if (m != except && usable(*m, tried)) sum += m->weight;
    if (sum == 0) return nullptr;
    std::uint64_t at = random_.below(sum);
    for (const Member* m : tier) {
      if (m == except || !usable(*m, tried)) continue;
      if (at < m->weight) return m;
      at -= m->weight;
    }
    return nullptr;
  }

  FastRandom random_;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_random_two(BalancerInput pool, std::uint64_t seed) {
  return std::make_unique<RandomTwo>(std::move(pool), seed);
}

}  // namespace remora
