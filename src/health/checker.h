// Active health checks: one checker on the control thread for all workers, one coroutine per backend.
//
// Each probe uses its own connection. Only the head of the response matters; it is limited to 64 KiB. Each
// change of state is reported once; the control thread then publishes a new snapshot.
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
  /// Called when a backend's state changes, on the loop's thread.
  using Flipped = std::function<void(const std::shared_ptr<Backend>&, Health now, const std::string& why)>;
  /// Called when look_into() has finished, on the loop's thread, after `flipped` if the state changed.
  using Settled = std::function<void(const std::shared_ptr<Backend>&)>;
  /// Runs one probe, within its timeout.
  using Prober = std::function<Task<ProbeVerdict>(Loop&, EventFlags&, const ProbeTarget&)>;
  HealthChecker(Loop& loop, Flipped flipped, Settled settled, Prober prober = probe_once);
  ~HealthChecker();

  /// Starts probing new backends and stops probing removed ones. A changed probe or address restarts the
  /// probing but keeps the state.
  void configure(const std::vector<std::shared_ptr<const PoolView>>& pools);
  /// The last known state; `unknown` if the backend is not probed.
  Health state(const Backend& backend) const;
  /// Why the last probe failed; empty if it passed.
  std::string note(const Backend& backend) const;
  /// Sets the initial state of a backend, as seen by another process. Call it before configure().
  void adopt(const std::string& pool, const std::string& id, Health state) { adopted_[{pool, id}] = state; }
  /// Probes a backend at once, regardless of the schedule, because requests wait for it without a known
  /// reason. A probe that passes: the backend is slow. Two that fail: it is down. `within`: time limit of
  /// the first probe, for callers that cannot wait longer.
  void look_into(const std::shared_ptr<Backend>& backend, std::chrono::milliseconds within);
  void stop();

 private:
  struct Target;
  static Task<ProbeVerdict> probe_addresses(Target& t, EventFlags& wake, ProbeTarget what,
                                            HealthChecker& checker);
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
