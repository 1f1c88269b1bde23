// Probing: one checker on the control thread for all workers, one coroutine per backend.
//
// A probe is a connection of its own. At most 64 KiB of an answer are read, and only its head matters. A
// flip is reported once; the control thread then publishes a new snapshot.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "health/probes.h"
#include "health/tracker.h"
#include "net/loop.h"
#include "pool/pool_view.h"
#include "util/random.h"

namespace remora {

class HealthChecker {
 public:
  /// `flipped` is called on the loop's thread.
  using Flipped = std::function<void(const std::shared_ptr<Backend>&, Health now, const std::string& why)>;
  /// `settled`: a doubt was looked into; on the loop's thread, behind a flip that came of it.
  using Settled = std::function<void(const std::shared_ptr<Backend>&)>;
  /// One probe, within its timeout.
  using Prober = std::function<Task<ProbeVerdict>(Loop&, Wake&, const ProbeTarget&)>;
  HealthChecker(Loop& loop, Flipped flipped, Settled settled, Prober prober = probe_once);
  ~HealthChecker();

  /// Begins probing what is new, ends what is gone; a changed probe or address begins anew but keeps its
  /// state.
  void configure(const std::vector<std::shared_ptr<const PoolView>>& pools);
  /// The last known state; unknown where nothing probes.
  Health state(const Backend& backend) const;
  /// What the last probe said if it did not pass.
  std::string note(const Backend& backend) const;
  /// Another process saw it so: where to begin. Before configure.
  void adopt(const std::string& pool, const std::string& id, Health state) { adopted_[{pool, id}] = state; }
  /// Requests wait for it and cannot tell why: probes it now, whatever the schedule says. Good: it is slow.
  /// Bad twice: it is down. `within`: what the first of the two may take, for those who cannot wait for
  /// longer.
  void look_into(const std::shared_ptr<Backend>& backend, std::chrono::milliseconds within);
  void stop();

 private:
  struct Target;
  static Task<ProbeVerdict> probe_addresses(Target& t, Wake& wake, ProbeTarget what, HealthChecker& checker);
  static Task<void> probe(std::shared_ptr<Target> target, HealthChecker& checker);
  static Task<void> watch(std::shared_ptr<Target> target, HealthChecker& checker);
  static Task<void> examine(std::shared_ptr<Target> target, std::chrono::milliseconds within,
                            HealthChecker& checker);
  static Task<bool> passes(std::shared_ptr<Target> target, std::chrono::milliseconds within,
                           HealthChecker& checker);
  bool nobody_up(const std::string& pool) const;

  Loop& loop_;
  Flipped flipped_;
  Settled settled_;
  Prober prober_;
  FastRandom random_;
  std::map<const Backend*, std::shared_ptr<Target>> targets_;
  std::map<std::pair<std::string, std::string>, Health> adopted_;
};

}  // namespace remora
