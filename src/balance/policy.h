// Base class of the policies: the members that may be picked, in two tiers.
// Threading: a policy belongs to one worker and one snapshot.
#pragma once

#include <memory>
#include <vector>

#include "remora/clock.h"
#include "remora/load_balancer.h"
#include "util/random.h"

namespace remora {

/// Holds the members that accept new sessions, as of one snapshot, in two tiers: ordinary ones and backups.
///
/// A policy only chooses within one tier. Members at `max_in_flight` are skipped while another is free; if
/// all are full, the least loaded one is returned, and the exchange queues there. A session never goes to a
/// member without room for it (`max_sessions`).
class TieredBalancer : public LoadBalancer {
 public:
  explicit TieredBalancer(std::shared_ptr<const PoolSnapshot> pool);
  const Member* pick(const Tried& tried, Purpose purpose) final;
  std::vector<const Member*> candidates(const Tried& tried, Purpose purpose) const final;

 protected:
  using Tier = std::vector<const Member*>;
  /// What is placed, and where it was tried already.
  struct Pick {
    const Tried& tried;
    Purpose purpose;
  };
  /// Chooses from `tier`, skipping members for which usable() is false; nullptr if none is left.
  virtual const Member* choose(const Tier& tier, const Pick& pick) = 0;
  /// The same for a new session; overridden by policies with a forecast.
  virtual const Member* choose_for_session(const Tier& tier, const Pick& pick) { return choose(tier, pick); }
  /// The members of `tier` that choose() may return. The default: every usable one, because the choice
  /// depends on chance or on what this worker has picked before.
  virtual Tier may_choose(const Tier& tier, const Pick& pick) const;
  static bool usable(const Member& m, const Pick& pick) noexcept;
  static std::uint32_t load(const Member& m) noexcept {
    return m.backend->in_flight.load(std::memory_order_relaxed);
  }

 private:
  static bool fits(const Member& m, const Pick& pick) noexcept;
  const Member* least_loaded(const Pick& pick) const noexcept;

  std::shared_ptr<const PoolSnapshot> pool_;
  Tier ordinary_, backups_;
};

using BalancerInput = std::shared_ptr<const PoolSnapshot>;
std::unique_ptr<LoadBalancer> make_round_robin(BalancerInput, std::uint64_t seed, const Clock&);
std::unique_ptr<LoadBalancer> make_least_requests(BalancerInput, std::uint64_t seed, const Clock&);
std::unique_ptr<LoadBalancer> make_random_two(BalancerInput, std::uint64_t seed, const Clock&);
std::unique_ptr<LoadBalancer> make_peak_ewma(BalancerInput, std::uint64_t seed, const Clock&);
std::unique_ptr<LoadBalancer> make_first(BalancerInput, std::uint64_t seed, const Clock&);

/// Creates the configured policy. `seed` differs per worker, so that workers do not pick in lockstep. The
/// clock outlives the policy.
std::unique_ptr<LoadBalancer> make_balancer(config::Balance, BalancerInput, std::uint64_t seed,
                                            const Clock& clock = real_clock());

}  // namespace remora
