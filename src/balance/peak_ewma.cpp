// Least expected latency: an exponentially weighted mean of the time to the response head that jumps up with
// each slow answer and decays slowly, times the requests in flight (Finagle's peak EWMA).

#include <cmath>

#include "balance/policy.h"

namespace remora {

namespace {

class PeakEwma final : public TieredBalancer {
 public:
  PeakEwma(BalancerInput pool, std::uint64_t seed)
      : TieredBalancer(pool), first_(pool->members.data()), latency_(pool->members.size()), random_(seed) {}

  void observe(const Backend& backend, std::chrono::nanoseconds took,
               std::chrono::steady_clock::time_point now) override {
    for (std::size_t i = 0; i < latency_.size(); ++i) {
      if (first_[i].backend.get() != &backend) continue;
      Mean& mean = latency_[i];
      const double sample = static_cast<double>(took.count());
      if (sample >= mean.value) {
        mean.value = sample;
      } else {
        const double age = std::chrono::duration<double>(now - mean.at).count();
        const double keep = std::exp(-age / decay_seconds);
        mean.value = mean.value * keep + sample * (1 - keep);
      }
      mean.at = now;
      return;
    }
  }

 private:
  static constexpr double decay_seconds = 10;
  struct Mean {
    double value = 0;
    std::chrono::steady_clock::time_point at{};
  };

  const Member* choose(const Tier& tier, const Tried& tried) override {
    const Member* best = nullptr;
    double best_cost = 0;
    const std::size_t start = random_.below(tier.size());
    for (std::size_t i = 0; i < tier.size(); ++i) {
      const Member* m = tier[(start + i) % tier.size()];
      if (!usable(*m, tried)) continue;
      const double mean = latency_[static_cast<std::size_t>(m - first_)].value;
      const double cost = (mean + 1) * (load(*m) + 1) / m->weight;
      if (best == nullptr || cost < best_cost) {
        best = m;
        best_cost = cost;
      }
    }
    return best;
  }

  const Member* first_;
  std::vector<Mean> latency_;
  FastRandom random_;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_peak_ewma(BalancerInput pool, std::uint64_t seed) {
  return std::make_unique<PeakEwma>(std::move(pool), seed);
}

}  // namespace remora
