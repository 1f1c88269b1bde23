// The whole routing state at one instant, immutable; and one worker's view of it.
//
// Built by the control thread, posted to every worker. A request keeps the one that it began with.
#pragma once

#include <memory>
#include <vector>

#include "net/tls.h"
#include "pool/pool_view.h"
#include "proxy/route.h"
#include "remora/load_balancer.h"
#include "util/ref.h"

namespace remora {

struct ListenerView {
  config::Listener config;
  std::shared_ptr<const ServerTls> tls;  // null: plain
};

struct Snapshot {
  std::uint64_t generation = 0;
  std::shared_ptr<const Router> router;
  std::vector<std::shared_ptr<const PoolView>> pools;
  std::vector<std::shared_ptr<const ListenerView>> listeners;
};

/// Adds what one worker has of its own: the balancers.
struct WorkerSnapshot : RefCounted<WorkerSnapshot> {
  std::shared_ptr<const Snapshot> shared;
  std::vector<std::unique_ptr<LoadBalancer>> balancers;  // of shared->pools
};

}  // namespace remora
