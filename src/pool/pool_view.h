// A pool as the request path sees it: the snapshot of its members with everything needed to use them.
//
// Built on the control thread, immutable afterwards, posted to the workers inside one Snapshot.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "net/address.h"
#include "net/tls.h"
#include "remora/affinity.h"
#include "remora/pool_snapshot.h"
#include "remora/session_counts.h"

namespace remora {

/// At most so many per second, without bursts; shared by all workers.
class RateLimit {
 public:
  bool allow(double per_second, std::chrono::steady_clock::time_point now) noexcept;

 private:
  std::atomic<std::int64_t> next_ns_{0};
};

/// So many per second, and as many at once after a quiet second; shared by all workers.
class TokenBucket {
 public:
  explicit TokenBucket(std::uint32_t per_second) noexcept : every_(1'000'000'000 / per_second) {}
  bool take(std::chrono::steady_clock::time_point now) noexcept;

 private:
  const std::int64_t every_;
  std::atomic<std::int64_t> full_at_{0};  // when all tokens will be back
};

/// Shared by all workers and all snapshots of a pool.
struct PoolCounters {
  explicit PoolCounters(std::size_t workers) : sessions(workers) {}
  alignas(64) std::atomic<std::uint32_t> retrying{0};  // exchanges; only retries touch it
  TokenBucket retry_reserve{10};                       // beyond their share of the requests in flight
  RateLimit rebalance;
  RateLimit drain;                      // of moves past a drain's deadline
  std::vector<SessionCounts> sessions;  // by worker
};

/// The addresses of one backend, whose name has several: the one that answered last is tried first. Shared by
/// all workers, and kept while the addresses stay the same.
class Trial {
 public:
  explicit Trial(std::vector<Endpoint> endpoints) : all(std::move(endpoints)) {}
  const std::vector<Endpoint> all;
  std::size_t first() const noexcept { return first_.load(std::memory_order_relaxed); }
  void answered(std::size_t place) const noexcept { first_.store(place, std::memory_order_relaxed); }

 private:
  mutable std::atomic<std::size_t> first_{0};
};

struct PoolView {
  config::Pool config;
  std::uint16_t number = 0;  // the same for this name as long as the process lives: tables keep it
  std::shared_ptr<const PoolSnapshot> snapshot;
  std::vector<Endpoint> endpoints;                   // of snapshot->members, in the same order; of size 0:
                                                     // its name has no address
  std::vector<std::shared_ptr<const Trial>> trials;  // likewise; null: it has one address at most
  std::vector<std::uint64_t> connection_keys;        // likewise; see connection_key()
  std::vector<std::shared_ptr<const Affinity>> affinity;  // tried in order; empty: none
  std::shared_ptr<const ClientTls> tls;                   // null: plain
  std::uint64_t tls_files = 0;                            // a hash of the files that `tls` was made of
  std::shared_ptr<PoolCounters> counters;

  const Endpoint& endpoint(const Member& m) const noexcept { return endpoints[place_of(m)]; }
  const std::shared_ptr<const Trial>& trial(const Member& m) const noexcept { return trials[place_of(m)]; }
  std::uint64_t connection_key(const Member& m) const noexcept { return connection_keys[place_of(m)]; }

 private:
  std::size_t place_of(const Member& m) const noexcept {
    return static_cast<std::size_t>(&m - snapshot->members.data());
  }
};

/// Connections with the same key lead to the same address under the same TLS settings, so one may stand for
/// another: a hash of both.
std::uint64_t connection_key(const Endpoint&, const ClientTls*) noexcept;

/// Retries may be this share of the requests in flight, but three are always allowed. Pure.
bool within_budget(std::uint32_t retries, std::uint32_t requests, double share) noexcept;

}  // namespace remora
