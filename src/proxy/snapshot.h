// The whole routing state at one instant, immutable; and one worker's view of it.
//
// Built by the control thread, posted to every worker. A request keeps the one that it began with.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "affinity/foreign_tokens.h"
#include "auth/verifier.h"
#include "http/head.h"
#include "net/tls.h"
#include "pool/pool_view.h"
#include "proxy/limits.h"
#include "proxy/pool_store.h"
#include "proxy/refusals.h"
#include "proxy/route.h"
#include "remora/affinity_kind.h"
#include "remora/load_balancer.h"
#include "util/arena.h"
#include "util/ref.h"

namespace remora {

/// What a listener keeps from snapshot to snapshot; shared by all workers.
struct ListenerShared {
  explicit ListenerShared(std::size_t workers) : traffic(workers) {}
  std::atomic<std::uint32_t> open{0};       // connections
  std::atomic<std::uint64_t> strangers{0};  // refused: their PROXY line would not have been believed
  RefusalCounts refused;
  ClientLimits limits;
  std::atomic<bool> retired{false};    // left the configuration: its connections end with their next answer
  std::vector<TrafficCounts> traffic;  // answers to clients and their whole time; by worker
};

struct ListenerView {
  config::Listener config;
  std::shared_ptr<const ServerTls> tls;  // null: plain
  std::shared_ptr<ListenerShared> shared;
  std::size_t slot = 0;  // in Snapshot::listeners
};

struct Snapshot {
  std::uint64_t generation = 0;
  std::shared_ptr<const Router> router;
  std::vector<std::shared_ptr<const PoolView>> pools;
  std::vector<std::shared_ptr<const PoolStore>> pool_stores;  // of pools; null: nothing of it is kept
  /// By slot: the same listener has the same slot as long as the process lives. Null: its last connection
  /// has ended.
  std::vector<std::shared_ptr<const ListenerView>> listeners;
  std::vector<std::size_t> serving;  // the slots of the configuration's listeners, in its order
  std::vector<UrlSecret> url_secrets;
  std::vector<ForeignTokens> foreign_tokens;  // of pools: what the others' clients may bring along
  std::vector<std::shared_ptr<const JwtVerifier>> verifiers;
  std::vector<std::string> claim_headers;  // what verifiers forward, and no client may send
};

/// The path that routes see: without parameters that name a session, and only then normalised. `normal`: the
/// same path normalised as it is.
std::string_view routed_path(const Snapshot& snapshot, std::string_view path, std::string_view normal,
                             TextArena& arena);

/// Which route a request takes.
struct Routed {
  const RouteView* route = nullptr;  // null: none
  const char* refused = nullptr;     // why it may not go on; static text. Null: it may
};
Routed choose_route(const Snapshot& snapshot, const RequestHead& head, TextArena& arena);

/// A URL as logs may show it.
std::string_view masked_url(const Snapshot& snapshot, std::string_view url, TextArena& arena);

/// Adds what one worker has of its own: the balancers.
struct WorkerSnapshot : RefCounted<WorkerSnapshot> {
  std::shared_ptr<const Snapshot> shared;
  std::vector<std::unique_ptr<LoadBalancer>> balancers;  // of shared->pools
};

}  // namespace remora
