// From configuration values to the runtime objects of a snapshot: the one place where both meet.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "affinity/seal.h"
#include "health/checker.h"
#include "health/ejector.h"
#include "health/service.h"
#include "proxy/snapshot.h"
#include "remora/config.h"

namespace remora {

/// Builds snapshots, and keeps what must outlive them: the Backend objects, the ticket keys.
/// Threading: control thread.
class SnapshotBuilder {
 public:
  /// Reads certificates, resolves names, opens nothing. Throws std::runtime_error with one line per problem.
  std::shared_ptr<const Snapshot> build(const config::Config& config, std::shared_ptr<const KeyRing> keys);
  /// The one in force. REQUIRES: one was built.
  const std::shared_ptr<const Snapshot>& last() const noexcept { return last_; }
  /// Over all pools and workers, since the start.
  std::uint64_t refused(Cause cause) const noexcept;
  /// `workers`: request threads, for per-worker counters.
  explicit SnapshotBuilder(unsigned workers) : workers_(workers) {}

  /// The last built one with what probes and live traffic show now.
  std::shared_ptr<const Snapshot> with_facts(const HealthChecker& checker, const Ejector& ejector,
                                             Clock::Steady now);
  /// Some backend is still being warmed up: call with_facts again before long.
  bool warming_up() const noexcept { return warming_up_; }

 private:
  std::shared_ptr<const PoolView> build_pool(const config::Pool& pool,
                                             const std::shared_ptr<const KeyRing>& keys,
                                             const std::string& index_key);

  const unsigned workers_;
  /// What names learned sessions when the file does not say: made from the first key once, so that rotating
  /// keys renames nothing.
  std::string index_key_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<const Snapshot> last_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Backend>> backends_;  // by pool and id
  std::map<std::string, std::shared_ptr<PoolCounters>> counters_;
  std::map<std::string, std::uint16_t> numbers_;
  std::map<const Backend*, Clock::Steady> returned_;  // to service; for slow_start
  bool warming_up_ = false;
};

/// The keys of the configuration, or the one kept in `state_dir`, made there if need be.
/// Throws std::runtime_error with one line that says what to do.
std::shared_ptr<const KeyRing> load_keys(const config::Config& config);

/// What names learned sessions when `store.index_key` is not given.
std::string default_index_key(const KeyRing& keys);

/// A fresh key as `remora keygen` prints it.
std::string generate_key();

}  // namespace remora
