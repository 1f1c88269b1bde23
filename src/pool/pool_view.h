// A pool as the request path sees it: the snapshot of its members, plus everything needed to use them.
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

/// Limits events to a rate, without bursts. Shared by all workers.
class RateLimit {
 public:
  bool allow(double per_second, std::chrono::steady_clock::time_point now) noexcept;
  /// Whether allow() would return true now. Counts nothing.
  bool would_allow(std::chrono::steady_clock::time_point now) const noexcept;

 private:
  std::atomic<std::int64_t> next_ns_{0};
};

/// Token bucket of `per_second` tokens: allows a burst of as many after an idle second. Shared by all
/// workers.
class TokenBucket {
 public:
  explicit TokenBucket(std::uint32_t per_second) noexcept : every_(1'000'000'000 / per_second) {}
  bool take(std::chrono::steady_clock::time_point now) noexcept;

 private:
  const std::int64_t every_;
  std::atomic<std::int64_t> full_at_{0};  // when the bucket will be full again
};

/// Moves of sessions after their backend's drain deadline: at a rate, and one more for each stream that was
/// ended a short time ago, because its client is coming back and the ends were spread already. Shared by all
/// workers.
class DrainMoves {
 public:
  /// Counts a move.
  bool allow(std::chrono::steady_clock::time_point now) noexcept;
  /// Whether allow() would return true now. Counts nothing.
  bool would_allow(std::chrono::steady_clock::time_point now) const noexcept;
  void stream_ended(std::chrono::steady_clock::time_point now) noexcept;

  static constexpr double per_second = 100;
  /// Clients that come back later move at the rate.
  static constexpr std::chrono::seconds expected_for{30};

 private:
  bool expects(std::int64_t at_ns) const noexcept;

  RateLimit rate_;
  std::atomic<std::uint32_t> expected_{0};
  std::atomic<std::int64_t> expected_until_ns_{0};
};

/// Shared by all workers and all snapshots of a pool.
struct PoolCounters {
  explicit PoolCounters(std::size_t workers) : sessions(workers) {}
  alignas(64) std::atomic<std::uint32_t> retrying{0};  // exchanges; written by retries only
  TokenBucket retry_reserve{10};                       // retries beyond their share of the requests in flight
  RateLimit rebalance;
  DrainMoves drain;
  std::vector<SessionCounts> sessions;  // by worker
};

/// The addresses of a backend whose name has several. The one that responded last is tried first. Shared by
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
  std::uint16_t number = 0;  // constant for this name while the process lives: tables store it
  std::shared_ptr<const PoolSnapshot> snapshot;
  /// How a member is reached.
  struct Route {
    Endpoint endpoint;                   // size 0: the member's name has no address
    std::shared_ptr<const Trial> trial;  // null: one address at most
    std::uint64_t connection_key = 0;    // see connection_key()
  };
  std::vector<Route> routes;  // one per member of the snapshot, in its order

  std::vector<std::shared_ptr<const Affinity>> affinity;  // tried in order; empty: none
  std::shared_ptr<const ClientTls> tls;                   // null: plain
  std::uint64_t tls_files = 0;                            // hash of the files that `tls` was loaded from
  std::shared_ptr<PoolCounters> counters;

  const Endpoint& endpoint(const Member& m) const noexcept { return routes[place_of(m)].endpoint; }
  const std::shared_ptr<const Trial>& trial(const Member& m) const noexcept {
    return routes[place_of(m)].trial;
  }
  std::uint64_t connection_key(const Member& m) const noexcept { return routes[place_of(m)].connection_key; }

 private:
  std::size_t place_of(const Member& m) const noexcept {
    return static_cast<std::size_t>(&m - snapshot->members.data());
  }
};

/// A hash of address, TLS settings and protocol. Connections with the same key are interchangeable.
std::uint64_t connection_key(const Endpoint&, const ClientTls*, config::BackendProtocol) noexcept;

/// Whether another retry is within the budget: `share` of the requests in flight, but at least three. Pure.
bool within_budget(std::uint32_t retries, std::uint32_t requests, double share) noexcept;

}  // namespace remora
