// Builds a snapshot's runtime objects from configuration values. The only place that knows both.
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
#include "session/clock_reading.h"

namespace remora {

/// Builds snapshots, and owns what must outlive them: the Backend objects and the TLS ticket keys. Threading:
/// control thread.
class SnapshotBuilder {
 public:
  /// Reads certificates; opens no sockets, makes no lookups, and does not change what is active. A backend
  /// whose name has no address yet is included, but unreachable. Throws std::runtime_error with one line per
  /// problem.
  std::shared_ptr<const Snapshot> build(const config::Config& config, std::shared_ptr<const KeyRing> keys);
  /// Makes a snapshot the active one: listeners that it lacks are retired, and its limits apply.
  void commit(std::shared_ptr<const Snapshot> built);
  bool started() const noexcept { return last_ != nullptr; }
  /// The active snapshot. REQUIRES: started().
  const std::shared_ptr<const Snapshot>& last() const noexcept { return last_; }
  /// Numbers that identify pools in tables. May be adopted from another process before the first build.
  const std::map<std::string, std::uint16_t>& pool_numbers() const noexcept { return numbers_; }
  void adopt_pool_numbers(std::map<std::string, std::uint16_t> numbers) { numbers_ = std::move(numbers); }
  const std::string& index_key() const noexcept { return index_key_; }
  void adopt_index_key(std::string key) { index_key_ = std::move(key); }
  /// Returns null if the backend is not in the configuration.
  std::shared_ptr<Backend> find_backend(const std::string& pool, const std::string& id) const;
  std::shared_ptr<Backend> backend_named(const std::string& pool, const std::string& id);
  /// Sets the keys for verifiers with this `jwks_url`, from the next build on.
  void set_fetched_keys(const std::string& url, std::shared_ptr<const JwtKeySet> keys) {
    fetched_keys_[url] = std::move(keys);
  }
  /// Sum over all pools and workers since the start.
  std::uint64_t refused(Cause cause) const noexcept;
  /// `workers`: request threads, for per-worker counters.
  explicit SnapshotBuilder(unsigned workers) : workers_(workers) {}

  /// Updates the active snapshot with the current status from probes, live traffic and operators.
  std::shared_ptr<const Snapshot> with_status(const HealthChecker& checker, const Ejector& ejector,
                                              const AdminOverrides& overrides, ClockReading now);
  /// True during a backend's slow start: call with_status again soon.
  bool warming_up() const noexcept { return warming_up_; }

 private:
  void build_verifiers(const config::Config& config, Snapshot& snapshot);
  std::shared_ptr<const ListenerView> build_listener(const config::Listener& listener, unsigned nth);
  std::uint16_t number_of(const std::string& pool);
  std::shared_ptr<const PoolView> build_pool(const config::Pool& pool,
                                             const std::shared_ptr<const KeyRing>& keys,
                                             const std::string& index_key);
  std::shared_ptr<const Trial> trial_of(const std::string& pool, const std::string& id,
                                        const std::vector<Endpoint>& endpoints) const;

  const unsigned workers_;
  /// Names learned sessions if the file sets no key. Derived once, from the first key, so that rotating keys
  /// does not rename sessions.
  std::string index_key_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<const Snapshot> last_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Backend>> backends_;  // by pool and id
  std::map<std::string, std::shared_ptr<PoolCounters>> counters_;
  std::map<std::string, std::shared_ptr<std::vector<JwtCounts>>> jwt_counts_;
  std::map<std::string, std::shared_ptr<RouteTraffic>> route_traffic_;
  std::uint64_t keys_id_ = 0;
  std::map<std::string, std::string> concerns_;  // about each verifier's keys, as last logged
  std::map<std::string, std::shared_ptr<const JwtKeySet>> fetched_keys_;  // by URL
  std::map<std::string, std::uint16_t> numbers_;
  struct Slot {
    std::size_t number;
    std::shared_ptr<ListenerShared> shared;
  };
  std::map<std::pair<std::string, unsigned>, Slot> slots_;  // by address, and order if several have port 0
  Returns returns_;                                         // for slow_start
  bool warming_up_ = false;
};

/// Returns the configured keys, or the key in `state_dir`, which is created if missing. Throws
/// std::runtime_error with one line that says what to do.
std::shared_ptr<const KeyRing> load_keys(const config::Config& config);

/// The key in `state_dir`, which is created if missing. Throws as load_keys().
std::shared_ptr<const KeyRing> keys_in(const std::string& state_dir);

/// Derives the key that names learned sessions if `store.index_key` is not set.
std::string default_index_key(const KeyRing& keys);

/// Generates a key as printed by `remora keygen`.
std::string generate_key();

}  // namespace remora
