// The state of one request, in parts: each phase works on the parts that it needs. All parts are destroyed
// with the exchange; longer-lived state is in connection_state.h and working_memory.h.
//
// Threading: their worker's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message_stream.h"
#include "net/splice.h"
#include "pool/counted_retry.h"
#include "pool/permit.h"
#include "proxy/body_rate.h"
#include "proxy/connection_state.h"
#include "proxy/connector.h"
#include "proxy/failure.h"
#include "proxy/suspect_waiters.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "proxy/working_memory.h"
#include "session/lifecycle.h"
#include "session/open_session.h"
#include "session/recognize.h"
#include "session/store_writer.h"

namespace remora {

/// The request, its client, and the route and pool that serve it.
struct Request {
  Request(RequestHead& h, const ConnectionState& connection, Ref<WorkerSnapshot> now_in_force,
          Clock::Steady now)
      : head(h), arrival(connection.arrival), snapshot(std::move(now_in_force)), began(now) {}

  /// Whether pool and route use affinity. REQUIRES: `pool` and `route` are set.
  bool has_sessions() const noexcept { return !pool->affinity.empty() && route->config.affinity; }
  /// The balancer of `pool`, on this worker. REQUIRES: `pool` is set.
  LoadBalancer& balancer() const noexcept { return *snapshot->balancers[pool_index]; }
  /// The client's own deadline has passed.
  bool is_overdue(Clock::Steady now) const noexcept { return now >= deadline; }
  /// The request came through proxies that are not in `trusted_proxies`: the client address is theirs, and
  /// stands for many clients.
  bool comes_through_unknown_proxies() const noexcept;

  RequestHead& head;
  Arrival arrival;
  const Ref<WorkerSnapshot> snapshot;  // used for the whole request
  const Clock::Steady began;           // when the head was complete
  struct {
    std::string_view text;
    bool from_client = false;
    char made[32];
  } id;
  const RouteView* route = nullptr;
  const PoolView* pool = nullptr;
  std::size_t pool_index = 0;  // into Snapshot::pools
  config::PoolTimeouts timeouts;
  std::chrono::milliseconds suspect_after{0};  // a backend silent for this long may hang; 0: never suspect it
  bool may_be_revoked = false;                 // a verified token may have been revoked
  bool grpc = false;                           // by its Content-Type; replies must be gRPC, too
  /// The client's own deadline for the whole exchange (grpc-timeout).
  Clock::Steady deadline = Clock::Steady::max();
  BodyRate body_rate;
  /// The Sec-WebSocket-Accept that an HTTP/1.1 backend must send to an HTTP/2 client's WebSocket. Else empty.
  std::string_view websocket_accept;
  struct {
    std::chrono::nanoseconds queue{0}, connect{0}, first_byte{0};
  } took;
};

/// What must be written to the store before the response head is sent.
struct ToKeep {
  bool bind = false, renames = false;     // publish the app's id; its record gets a renewed id of ours
  std::optional<SessionKey> former_name;  // the app's previous id (login)
  std::optional<SessionId> renewed;       // our previous session id
  std::optional<StoreWriter::Job> save;
};

/// The session of the request, and where it is served.
struct SessionState {
  /// The backend follows from a hash. Retries follow the rules for bound sessions (`bound_retry_on`).
  bool is_keyed() const noexcept {
    return recognized.what == Recognized::What::derived || recognized.what == Recognized::What::unbound;
  }

  Recognized recognized;
  bool bound = false;  // the session stays on its backend, which is the attempt's
  Served served;
  std::uint32_t ended_epoch = 0;        // the epoch of the session that this response ended; 0: it ended none
  bool agree = false;                   // the session moved, and the store must confirm it
  Clock::Wall announced_at{};           // when the backend was told the session; zero: it was not
  std::string state;                    // the app's state for the backend, in base64; empty: none
  std::string state_note;               // parameters about the state in Remora-Session
  std::optional<SessionKey> bound_key;  // key of the session in the table of learned ids
  OpenSession open;                     // open-request count for `rebalance`
  Clock::Steady touched;                // when the tables were last told that the session is in use
  bool tried_other_pool = false;        // another pool of the split was tried
  const PoolView* left_pool = nullptr;  // the former pool, if the session moved to another pool of the split
  bool clears_tokens = false;           // the reply clears the client's tokens

  std::optional<ToKeep> keep;
  ToKeep& kept() { return keep ? *keep : keep.emplace(); }
};

/// The attempts: the current one, and what must be known about earlier ones.
struct AttemptState {
  explicit AttemptState(EventFlags& wake) : suspect_waiter(wake) {}

  /// Sets the failure. `acted`: the backend may have acted on the request.
  void fail(Failure::Side side, Failure::Kind kind, std::uint16_t status = 0, bool acted = false) noexcept {
    failure = {};
    failure.side = side;
    failure.kind = kind;
    failure.status = status;
    failure.acted = acted;
  }

  const Member* member = nullptr;
  Failure failure;
  Failure::Kind overcome = Failure::Kind::none;  // the last failure that led to another choice of a backend
  Reason left_for = Reason::failover;            // `out_of_service`: why the session must leave its backend
  Tried tried;
  const Member* replay_to = nullptr;  // where the app wants the request to be served instead
  Permit permit;
  CountedRetry retry;
  unsigned count = 0, same_backend_left = 0;
  bool stale = false;            // an idle connection was dead, or full, and no new one was tried since
  bool fresh_only = false;       // use no idle connection for this request
  bool replayed = false;         // the app has asked for another backend
  bool left_hung = false;        // a hung backend was left for another
  bool was_unprocessed = false;  // a backend said that it did not act on the request
  bool http1_only = false;       // a backend asked for HTTP/1.1
  bool replay_overflow = false;  // the body was not kept, so it cannot be sent again
  // Connection authentication (http/connection_auth.h). `belongs`: the backend connection is reserved for
  // this client; `leg`: this request is a later leg of its handshake; `leg_due`: the response asks for
  // another leg.
  bool belongs = false, leg = false, leg_due = false;
  bool handshake_lost = false;  // its connection is gone: the client must start over on a new one

  // Fields of the current attempt.
  TrafficCounts* traffic = nullptr;  // the backend's counters for this worker
  Clock::Steady began, last_progress;
  std::size_t replay_at = 0;
  unsigned interims = 0, suspicions = 0;
  bool continued = false;       // the backend sent 100
  bool request_broken = false;  // sending the request to the backend failed
  bool asked_client = false;    // the kernel was asked whether the client is still there
  SuspectWaiter suspect_waiter;
  Splice request_splice;
};

/// Progress of the response to the client.
struct ResponseState {
  std::uint64_t bytes = 0;
  bool closes = false;  // close the client's connection after it
  Splice splice;
  std::size_t rewritten_at = 0;
  bool rewritten_last = false;
  bool watches = false;     // still looking for an app id in the first event of an event stream
  std::size_t watched = 0;  // body bytes inspected but not yet sent
};

/// The response that remora makes itself, if any.
struct LocalReply {
  std::uint16_t status = 0;  // 0: none
  std::uint32_t retry_after = 0;
  std::string location;
  std::string_view challenge;  // WWW-Authenticate; empty: none
  std::string body;            // from the configuration; empty: generated from the status
};

/// All parts, and the borrowed objects around them. The Exchange passes this to each phase, which keeps
/// references to what it needs.
struct ExchangeParts {
  WorkerContext& worker;
  ConnectionState& connection;
  Turn& turn;
  WorkingMemory& memory;
  ServerStream& client;
  BackendStream& backend;
  Connector& connector;

  Request request;  // declared first, so destroyed last: other parts refer to its snapshot
  SessionState session;
  AttemptState attempt;
  ResponseState response;
  LocalReply reply;
};

}  // namespace remora
