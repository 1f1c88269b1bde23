// Picks the better of two weighted random members (Mitzenmacher 2001): nearly as even as a full scan. A draw
// costs O(log n), unless most members are not usable.

#include <algorithm>

#include "balance/policy.h"

namespace remora {

namespace {

class RandomTwo final : public TieredBalancer {
 public:
  RandomTwo(BalancerInput pool, std::uint64_t seed) : TieredBalancer(std::move(pool)), random_(seed) {}

 private:
  const Member* choose(const Tier& tier, const Pick& pick) override {
    const Member* a = draw(tier, pick, nullptr);
    const Member* b = draw(tier, pick, a);
    if (a == nullptr || b == nullptr) return a;
    return (std::uint64_t{load(*a)} + 1) * b->weight <= (std::uint64_t{load(*b)} + 1) * a->weight ? a : b;
  }

  /// Prefix sums of the weights of a tier, computed once.
  const std::vector<std::uint64_t>& sums_of(const Tier& tier) {
    auto& [of, sums] = sums_[sums_[0].of == &tier || sums_[0].of == nullptr ? 0 : 1];
    if (of != &tier) {
      of = &tier;
      std::uint64_t sum = 0;
      for (const Member* m : tier) sums.push_back(sum += m->weight);
    }
    return sums;
  }

  const Member* draw(const Tier& tier, const Pick& pick, const Member* except) {
    constexpr int draws = 8;
    const auto& sums = sums_of(tier);
    for (int i = 0; i < draws; ++i) {
      const auto it = std::upper_bound(sums.begin(), sums.end(), random_.below(sums.back()));
      const Member* const m = tier[static_cast<std::size_t>(it - sums.begin())];
      if (m != except && usable(*m, pick)) return m;
    }
    return draw_among_usable(tier, pick, except);
  }

  const Member* draw_among_usable(const Tier& tier, const Pick& pick, const Member* except) {
    std::uint64_t sum = 0;
    for (const Member* m : tier)
      if (m != except && usable(*m, pick)) sum += m->weight;
    if (sum == 0) return nullptr;
    std::uint64_t at = random_.below(sum);
    for (const Member* m : tier) {
      if (m == except || !usable(*m, pick)) continue;
      if (at < m->weight) return m;
      at -= m->weight;
    }
    return nullptr;
  }

  FastRandom random_;
  struct {
    const Tier* of = nullptr;
    std::vector<std::uint64_t> sums;
  } sums_[2];  // one for the ordinary members, one for the backups
};

}  // namespace

std::unique_ptr<LoadBalancer> make_random_two(BalancerInput pool, std::uint64_t seed, const Clock&) {
  return std::make_unique<RandomTwo>(std::move(pool), seed);
}

}  // namespace remora
