// Picks the member with the fewest requests in flight for its weight; for new sessions, the least expected
// load. Scans up to 16 members; above that it picks the best of four random samples, so that a choice costs
// the same with 16 members and with 5,000.

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/policy.h"
#include "util/prefetch.h"

namespace remora {

namespace {

class LeastRequests final : public TieredBalancer {
 public:
  LeastRequests(BalancerInput pool, std::uint64_t seed, const Clock& clock)
      : TieredBalancer(std::move(pool)), clock_(clock), random_(seed) {}

 private:
  static constexpr std::size_t scan_up_to = 16;
  static constexpr int samples = 4;

  const Member* choose(const Tier& tier, const Pick& pick) override {
    return least(tier, pick, [](const Member& m) { return load_of_request(m); });
  }

  const Member* choose_for_session(const Tier& tier, const Pick& pick) override {
    const Clock::Steady now = clock_.steady_now();
    return least(tier, pick, [now](const Member& m) { return load_of_session(m, now); });
  }

  /// All members of the least load: which of them comes first is drawn.
  Tier may_choose(const Tier& tier, const Pick& pick) const override {
    if (tier.size() > scan_up_to) return TieredBalancer::may_choose(tier, pick);
    const Clock::Steady now = clock_.steady_now();
    Tier all;
    double least_load = 0;
    for (const Member* m : tier) {
      if (!usable(*m, pick)) continue;
      const double its =
          (pick.purpose == Purpose::session ? load_of_session(*m, now) : load_of_request(*m)) / m->weight;
      if (!all.empty() && its > least_load) continue;
      if (!all.empty() && its < least_load) all.clear();
      all.push_back(m);
      least_load = its;
    }
    return all;
  }

  static double load_of_request(const Member& m) noexcept { return load(m) + 1.0; }
  /// Requests in flight complement the forecast: they show which backend has become slow.
  static double load_of_session(const Member& m, Clock::Steady now) noexcept {
    return (expected_load(*m.backend, now) + 1.0) * (load(m) + in_flight_noise);
  }
  /// Damping: a difference of a few requests in flight is noise; dozens are not.
  static constexpr double in_flight_noise = 64;

  template <class Load>
  const Member* least(const Tier& tier, const Pick& pick, Load load_of) {
    if (tier.size() > scan_up_to) {
      const Member* drawn[samples];
      for (const Member*& m : drawn) prefetch_line(m = tier[random_.below(tier.size())]);
      for (const Member* m : drawn) prefetch_line(&m->backend->in_flight);
      const Member* best = nullptr;
      double best_load = 0;
      for (const Member* m : drawn) consider(*m, pick, load_of, best, best_load);
      if (best != nullptr) return best;
    }
    const Member* best = nullptr;
    double best_load = 0;
    const std::size_t start = random_.below(tier.size());  // random start, so that ties are spread evenly
    for (std::size_t i = 0; i < tier.size(); ++i)
      consider(*tier[start + i < tier.size() ? start + i : start + i - tier.size()], pick, load_of, best,
               best_load);
    return best;
  }

  template <class Load>
  static void consider(const Member& m, const Pick& pick, Load load_of, const Member*& best,
                       double& best_load) {
    if (!usable(m, pick)) return;
    const double its = load_of(m) / m.weight;
    if (best != nullptr && its >= best_load) return;
    best = &m;
    best_load = its;
  }

  const Clock& clock_;
  FastRandom random_;
};

}  // namespace

std::unique_ptr<LoadBalancer> make_least_requests(BalancerInput pool, std::uint64_t seed,
                                                  const Clock& clock) {
  return std::make_unique<LeastRequests>(std::move(pool), seed, clock);
}

}  // namespace remora
