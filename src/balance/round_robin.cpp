// Smooth weighted round robin, as in nginx: each turn every member gains its weight as credit; the member
// with the highest credit is picked and pays the sum. So {5, 1, 1} gives a a b a c a a instead of five in a
// row. With equal weights this is plain rotation, which needs no scan.

#include "balance/policy.h"

namespace remora {

namespace {

class RoundRobin final : public TieredBalancer {
 public:
  RoundRobin(BalancerInput pool, std::uint64_t seed) : TieredBalancer(pool), first_(pool->members.data()) {
    FastRandom random(seed);
    next_ = random.next();
    for (const Member& m : pool->members) equal_ = equal_ && m.weight == first_->weight;
    for (const Member& m : pool->members)
      // Random start per worker, as for next_.
      credit_.push_back(static_cast<std::int64_t>(random.below(std::uint64_t{m.weight} + 1)));
  }

 private:
  const Member* choose(const Tier& tier, const Pick& pick) override {
    if (equal_) {
      for (std::size_t i = 0; i < tier.size(); ++i)
        if (const Member* m = tier[next_++ % tier.size()]; usable(*m, pick)) return m;
      return nullptr;
    }
    const Member* best = nullptr;
    std::int64_t sum = 0;
    for (const Member* m : tier) {
      if (!usable(*m, pick)) continue;
      credit(*m) += m->weight;
      sum += m->weight;
      if (best == nullptr || credit(*m) > credit(*best)) best = m;
    }
    if (best != nullptr) credit(*best) -= sum;
    return best;
  }
  std::int64_t& credit(const Member& m) noexcept { return credit_[static_cast<std::size_t>(&m - first_)]; }

  const Member* first_;
  bool equal_ = true;
  std::size_t next_ = 0;  // random start per worker
  std::vector<std::int64_t> credit_;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_round_robin(BalancerInput pool, std::uint64_t seed, const Clock&) {
  return std::make_unique<RoundRobin>(std::move(pool), seed);
}

}  // namespace remora
