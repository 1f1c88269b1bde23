// A pool as the request path sees it: the snapshot of its members with everything needed to use them.
//
// Built on the control thread, immutable afterwards, posted to the workers inside one Snapshot.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "net/address.h"
#include "net/tls.h"
#include "remora/affinity.h"
#include "remora/pool_snapshot.h"

namespace remora {

/// Shared by all workers and all snapshots of a pool: exchanges that are being retried. Only retries touch
/// it.
struct PoolCounters {
  alignas(64) std::atomic<std::uint32_t> retrying{0};
};

struct PoolView {
  config::Pool config;
  std::shared_ptr<const PoolSnapshot> snapshot;
  std::vector<Endpoint> endpoints;           // of snapshot->members, in the same order
  std::shared_ptr<const Affinity> affinity;  // null: none
  std::shared_ptr<const ClientTls> tls;      // null: plain
  std::shared_ptr<PoolCounters> counters;

  const Endpoint& endpoint(const Member& m) const noexcept {
    return endpoints[static_cast<std::size_t>(&m - snapshot->members.data())];
  }
};

/// Retries may be this share of the requests in flight, but three are always allowed. Pure.
bool within_budget(std::uint32_t retries, std::uint32_t requests, double share) noexcept;

}  // namespace remora
