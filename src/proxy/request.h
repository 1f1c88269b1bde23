// The parts of one request while it is served: each phase works on those that it needs. All of them die with
// the response; what outlives it stands in connection_state.h and working_memory.h.
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
#include "pool/queue.h"
#include "proxy/body_rate.h"
#include "proxy/connection_state.h"
#include "proxy/doubters.h"
#include "proxy/failure.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "proxy/working_memory.h"
#include "session/lifecycle.h"
#include "session/open_session.h"
#include "session/recognise.h"
#include "session/store_writer.h"

namespace remora {

/// What was asked, by whom, and which route and pool are to answer it.
struct Request {
  Request(RequestHead& h, const ConnectionState& connection, Ref<WorkerSnapshot> now_in_force,
          Clock::Steady now)
      : head(h), arrival(connection.arrival), snapshot(std::move(now_in_force)), began(now) {}

  /// Its sessions are kept, as the route and the pool say. REQUIRES: both are known.
  bool has_sessions() const noexcept { return !pool->affinity.empty() && route->config.affinity; }
  LoadBalancer& balancer() const noexcept { return *snapshot->balancers[pool_index]; }
  /// Through proxies that nobody declared: the address is theirs, and stands for many.
  bool comes_through_unknown_proxies() const noexcept;

  RequestHead& head;
  Arrival arrival;
  const Ref<WorkerSnapshot> snapshot;  // all of the request is served by it
  const Clock::Steady began;           // its head was there
  struct {
    std::string_view text;
    bool from_client = false;
    char made[32];
  } id;
  const RouteView* route = nullptr;
  const PoolView* pool = nullptr;
  std::size_t pool_index = 0;  // into Snapshot::pools
  config::PoolTimeouts timeouts;
  std::chrono::milliseconds suspect_after{0};  // a backend that is silent for so long may hang; 0: never
  bool may_be_revoked = false;                 // a token of it passed that could have been taken back
  BodyRate body_rate;
  struct {
    std::chrono::nanoseconds queue{0}, connect{0}, first_byte{0};
  } took;
};

/// What is to be kept in the store before the response head leaves.
struct ToKeep {
  bool bind = false, renames = false;     // the app's id is to be known to all; to the same id of theirs
  std::optional<SessionKey> former_name;  // the id of the app's that it had before (login)
  std::optional<SessionId> renewed;       // the id of ours that it had before
  std::optional<StoreWriter::Job> save;
};

/// Whose request it is, and where the session is served.
struct SessionState {
  /// A hash says where it lives, so its server's own errors are its own, as with a bound session.
  bool is_keyed() const noexcept {
    return recognised.what == Recognised::What::derived || recognised.what == Recognised::What::unbound;
  }

  Recognised recognised;
  bool bound = false;  // the session has a backend, and it is the attempt's
  Served served;
  bool agree = false;                   // the session moved: the store has not heard of it yet
  Clock::Wall announced_at{};           // when the backend was told whose session it is; zero: it was not
  std::string state;                    // for the backend, in base64; empty: none
  std::string state_note;               // what Remora-Session says of it
  std::optional<SessionKey> bound_key;  // what the table knows the session by
  OpenSession open;                     // counted as open for `rebalance`
  Clock::Steady touched;                // when the tables last heard that the session is in use
  bool asked_sister = false;            // nobody was left in the pool, so another of the split was tried
  const PoolView* left_pool = nullptr;  // where it was, when it goes on in another pool of a split
  bool clears_tokens = false;           // the client is to forget them

  std::optional<ToKeep> keep;
  ToKeep& kept() { return keep ? *keep : keep.emplace(); }
};

/// The attempts at backends: the present one, and what is to be known of those before.
struct AttemptState {
  explicit AttemptState(Wake& wake) : doubter(wake) {}

  /// `acted`: the backend may have begun to act on the request.
  void fail(Failure::Side side, Failure::Kind kind, std::uint16_t status = 0, bool acted = false) noexcept {
    failure = {};
    failure.side = side;
    failure.kind = kind;
    failure.status = status;
    failure.acted = acted;
  }

  const Member* member = nullptr;
  Failure failure;
  Tried tried;
  Place place;
  CountedRetry retry;
  unsigned count = 0, same_backend_left = 0;
  bool stale = false;            // the last attempt met a dead idle connection
  bool fresh_only = false;       // no more idle connections for this request
  bool left_hung = false;        // one backend was left because it hung
  bool replay_overflow = false;  // the body is too long to be kept: it cannot be sent again
  // Authentication of connections (http/connection_auth.h): the backend's belongs to this client alone; this
  // request is a later leg of a handshake on it; the response asks for one more.
  bool belongs = false, leg = false, leg_due = false;

  // Of the present one.
  TrafficCounts* traffic = nullptr;  // of its backend, for this worker
  Clock::Steady began, last_progress;
  std::size_t replay_at = 0;
  unsigned interims = 0, doubts = 0;
  bool continued = false;       // the backend said 100
  bool request_broken = false;  // the backend takes no more of the request
  bool asked_client = false;    // whether it is still there
  Doubter doubter;
  Splice request_splice;
};

/// The response on its way to the client.
struct ResponseState {
  std::uint64_t bytes = 0;
  bool closes = false;  // the client's connection, after it
  Splice splice;
  std::size_t rewritten_at = 0;
  bool rewritten_last = false;
  bool watches = false;     // the first event may name the session, and has not been seen yet
  std::size_t watched = 0;  // bytes of the body that were looked at and the client has not been sent
};

/// The response that remora makes itself.
struct LocalReply {
  std::uint16_t status = 0;  // 0: there is none
  std::uint32_t retry_after = 0;
  std::string location;
  std::string_view challenge;  // WWW-Authenticate; empty: none
  std::string body;            // configured; empty: made from the status
};

/// All of them, and what they are served with: what an exchange gives to each of its phases, which take what
/// they need.
struct ExchangeParts {
  WorkerContext& worker;
  ConnectionState& connection;
  Turn& turn;
  WorkingMemory& memory;
  ServerStream& client;
  ClientStream& backend;

  Request request;  // first: the others refer to its snapshot
  SessionState session;
  AttemptState attempt;
  ResponseState response;
  LocalReply reply;
};

}  // namespace remora
