// Snapshot: the whole routing state at one instant, immutable; and one worker's view of it.
//
// Threading: any thread reads it. Lifetime: built by the control thread and posted to every worker; a request
// keeps the snapshot that it began with.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "affinity/foreign_tokens.h"
#include "auth/verifier.h"
#include "http/message.h"
#include "net/tls.h"
#include "pool/pool_view.h"
#include "proxy/limits.h"
#include "proxy/pool_store.h"
#include "proxy/refusals.h"
#include "proxy/route.h"
#include "remora/affinity_kind.h"
#include "remora/counter.h"
#include "remora/load_balancer.h"
#include "util/arena.h"
#include "util/ref.h"

namespace remora {

/// What came to a listener by HTTP/2. Written by one worker, summed when read.
struct alignas(64) Http2Counts {
  Counter requests, connections;
};

/// State of a listener that survives reloads; shared by all workers.
struct ListenerShared {
  explicit ListenerShared(std::size_t workers) : traffic(workers), http2(workers) {}
  std::atomic<std::uint32_t> open{0};       // connections
  std::atomic<std::uint64_t> strangers{0};  // connections refused because the peer may not send a PROXY line
  RefusalCounts refused;
  ClientLimits limits;
  std::atomic<bool> retired{false};    // removed by a reload: connections close after their next response
  std::vector<TrafficCounts> traffic;  // responses to clients and their total time; one entry per worker
  std::vector<Http2Counts> http2;      // one entry per worker
};

/// A listener as of one snapshot.
struct ListenerView {
  config::Listener config;
  std::shared_ptr<const ServerTls> tls;  // null: no TLS
  std::shared_ptr<ListenerShared> shared;
  std::size_t slot = 0;  // index in Snapshot::listeners
};

struct Snapshot {
  std::uint64_t generation = 0;
  std::shared_ptr<const Router> router;
  std::vector<std::shared_ptr<const PoolView>> pools;
  std::vector<std::shared_ptr<const PoolStore>> pool_stores;  // one per pool; null: no store
  /// By slot: a listener keeps its slot for the life of the process. Null: the listener was removed and its
  /// last connection has closed.
  std::vector<std::shared_ptr<const ListenerView>> listeners;
  std::vector<std::size_t> serving;  // slots of the configured listeners, in the order of the file
  std::vector<UrlSecret> url_secrets;
  std::vector<ForeignTokens> foreign_tokens;  // one per pool: tokens of other pools that its clients may send
  std::vector<std::shared_ptr<const JwtVerifier>> verifiers;
  std::vector<std::string> claim_headers;  // fields that verifiers add; clients must not send them
};

/// The path that routes match: session parameters removed first, then normalized. `normal`: `path` normalized
/// as it is.
std::string_view routed_path(const Snapshot& snapshot, std::string_view path, std::string_view normal,
                             TextArena& arena);

/// Result of choose_route().
struct Routed {
  const RouteView* route = nullptr;  // null: no route matches
  const char* refused = nullptr;     // why the request must be refused (static text); null: it may continue
};
/// Finds the route of a request. Also refuses a path that a backend could parse as another route's.
Routed choose_route(const Snapshot& snapshot, const RequestHead& head, TextArena& arena);

/// A URL for logs, with session tokens masked. A view of `url` or of the arena.
std::string_view masked_url(const Snapshot& snapshot, std::string_view url, TextArena& arena);

/// A worker's view of the snapshot: adds the worker's own balancers.
struct WorkerSnapshot : RefCounted<WorkerSnapshot> {
  std::shared_ptr<const Snapshot> shared;
  std::vector<std::unique_ptr<LoadBalancer>> balancers;  // one per pool of `shared`
};

}  // namespace remora
