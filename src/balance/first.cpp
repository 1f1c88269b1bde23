// Picks the first member in configuration order that is not full: fills one backend before the next, so that
// the last ones can be switched off at night. Without `max_in_flight` it never reaches the next one.

#include "balance/policy.h"

namespace remora {

namespace {

class First final : public TieredBalancer {
 public:
  using TieredBalancer::TieredBalancer;

 private:
  const Member* choose(const Tier& tier, const Pick& pick) override { return first(tier, pick); }
  Tier may_choose(const Tier& tier, const Pick& pick) const override {
    const Member* const m = first(tier, pick);
    return m != nullptr ? Tier{m} : Tier{};
  }
  static const Member* first(const Tier& tier, const Pick& pick) noexcept {
    for (const Member* m : tier)
      if (usable(*m, pick)) return m;
    return nullptr;
  }
};

}  // namespace

std::unique_ptr<LoadBalancer> make_first(BalancerInput pool, std::uint64_t, const Clock&) {
  return std::make_unique<First>(std::move(pool));
}

}  // namespace remora
