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
#include "server/admin_overrides.h"
#include "session/moment.h"

namespace remora {

/// Builds snapshots, and keeps what must outlive them: the Backend objects, the ticket keys.
/// Threading: control thread.
class SnapshotBuilder {
 public:
  /// Reads certificates, opens nothing, asks nobody, changes nothing that is in force. Backends whose name
  /// has no address yet are there, and nobody can reach them. Throws std::runtime_error with one line per
  /// problem.
  std::shared_ptr<const Snapshot> build(const config::Config& config, std::shared_ptr<const KeyRing> keys);
  /// From now on it is the one in force: listeners that it lacks are retired, limits count.
  void commit(std::shared_ptr<const Snapshot> built);
  bool started() const noexcept { return last_ != nullptr; }
  /// The one in force. REQUIRES: started().
  const std::shared_ptr<const Snapshot>& last() const noexcept { return last_; }
  /// What tables know pools by. Before the first build: taken over from another process.
  const std::map<std::string, std::uint16_t>& pool_numbers() const noexcept { return numbers_; }
  void adopt_pool_numbers(std::map<std::string, std::uint16_t> numbers) { numbers_ = std::move(numbers); }
  const std::string& index_key() const noexcept { return index_key_; }
  void adopt_index_key(std::string key) { index_key_ = std::move(key); }
  /// Null: not in the configuration.
  std::shared_ptr<Backend> find_backend(const std::string& pool, const std::string& id) const;
  std::shared_ptr<Backend> backend_named(const std::string& pool, const std::string& id);
  /// What is behind a `jwks_url` of verifiers, from the next build on.
  void set_fetched_keys(const std::string& url, std::shared_ptr<const JwtKeySet> keys) {
    fetched_keys_[url] = std::move(keys);
  }
  /// Over all pools and workers, since the start.
  std::uint64_t refused(Cause cause) const noexcept;
  /// `workers`: request threads, for per-worker counters.
  explicit SnapshotBuilder(unsigned workers) : workers_(workers) {}

  /// The last built one with what probes and live traffic show now.
  std::shared_ptr<const Snapshot> with_status(const HealthChecker& checker, const Ejector& ejector,
                                              const AdminOverrides& overrides, Moment now);
  /// Some backend is still being warmed up: call with_status again before long.
  bool warming_up() const noexcept { return warming_up_; }

 private:
  void build_verifiers(const config::Config& config, Snapshot& snapshot);
  std::shared_ptr<const ListenerView> build_listener(const config::Listener& listener, unsigned nth);
  std::shared_ptr<const PoolView> build_pool(const config::Pool& pool,
                                             const std::shared_ptr<const KeyRing>& keys,
                                             const std::string& index_key);
  std::shared_ptr<const Trial> trial_of(const std::string& pool, const std::string& id,
                                        const std::vector<Endpoint>& endpoints) const;

  const unsigned workers_;
  /// What names learned sessions when the file does not say: made from the first key once, so that rotating
  /// keys renames nothing.
  std::string index_key_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<const Snapshot> last_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Backend>> backends_;  // by pool and id
  std::map<std::string, std::shared_ptr<PoolCounters>> counters_;
  std::map<std::string, std::shared_ptr<std::vector<JwtCounts>>> jwt_counts_;
  std::map<std::string, std::shared_ptr<RouteTraffic>> route_traffic_;
  std::uint64_t keys_id_ = 0;
  std::map<std::string, std::string> concerns_;  // about the keys of each verifier, as last logged
  std::map<std::string, std::shared_ptr<const JwtKeySet>> fetched_keys_;  // by URL
  std::map<std::string, std::uint16_t> numbers_;
  struct Slot {
    std::size_t number;
    std::shared_ptr<ListenerShared> shared;
  };
  std::map<std::pair<std::string, unsigned>, Slot> slots_;  // by address, and which of those with port 0
  Returns returns_;                                         // for slow_start
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
