// Picks the least expected latency: an exponentially weighted mean of the time to the response head, which
// jumps up with each slow response and decays slowly, times the requests in flight (Finagle's peak EWMA).
// Above 16 members it picks the best of four samples, as least_requests does.

#include <cmath>

#include "balance/policy.h"

namespace remora {

namespace {

class PeakEwma final : public TieredBalancer {
 public:
  PeakEwma(BalancerInput pool, std::uint64_t seed)
      : TieredBalancer(pool), pool_(pool), latency_(pool->members.size()), random_(seed) {}

  void observe(const Backend& backend, std::chrono::nanoseconds took,
               std::chrono::steady_clock::time_point now, Took how) override {
    const Member* const member = pool_->find(backend.hash);
    if (member == nullptr) return;
    Mean& mean = latency_of(*member);
    const double sample = static_cast<double>(took.count());
    // A lower bound below the mean adds no information.
    if (sample < mean.value && how == Took::at_least) return;
    if (sample >= mean.value) {
      mean.value = sample;
    } else {
      const double age = std::chrono::duration<double>(now - mean.at).count();
      const double keep = std::exp(-age / decay_seconds);
      mean.value = mean.value * keep + sample * (1 - keep);
    }
    mean.at = now;
  }

 private:
  static constexpr double decay_seconds = 10;
  static constexpr std::size_t scan_up_to = 16;
  static constexpr int samples = 4;
  struct Mean {
    double value = 0;
    std::chrono::steady_clock::time_point at{};
  };

  const Member* choose(const Tier& tier, const Pick& pick) override {
    const Member* best = nullptr;
    double best_cost = 0;
    const auto consider = [&](const Member* m) {
      if (!usable(*m, pick)) return;
      const double cost = (latency_of(*m).value + 1) * (load(*m) + 1) / m->weight;
      if (best != nullptr && cost >= best_cost) return;
      best = m;
      best_cost = cost;
    };
    if (tier.size() > scan_up_to)
      for (int i = 0; i < samples; ++i) consider(tier[random_.below(tier.size())]);
    if (best != nullptr) return best;
    const std::size_t start = random_.below(tier.size());
    for (std::size_t i = 0; i < tier.size(); ++i) consider(tier[(start + i) % tier.size()]);
    return best;
  }
  Mean& latency_of(const Member& m) noexcept {
    return latency_[static_cast<std::size_t>(&m - pool_->members.data())];
  }

  const BalancerInput pool_;
  std::vector<Mean> latency_;
  FastRandom random_;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_peak_ewma(BalancerInput pool, std::uint64_t seed, const Clock&) {
  return std::make_unique<PeakEwma>(std::move(pool), seed);
}

}  // namespace remora
