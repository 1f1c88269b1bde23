// Explains where a request would go and why: the decisions of the request path (decide.h, decide_pool.h),
// step by step, without sending anything or changing any table. It explains the first choice: failed
// attempts, full backends and the limits of a listener's clients are not foreseen.
//
// No I/O: the store and revocation lists are not asked. Threading: any thread; `scratch` must belong to the
// caller, `memory` is shared.
#pragma once

#include <string>
#include <vector>

#include "affinity/seal.h"
#include "proxy/snapshot.h"
#include "session/memory.h"

namespace remora {

/// The request to explain.
struct ExplainRequest {
  std::string method = "GET", target = "/";
  std::vector<std::pair<std::string, std::string>> fields;  // including Host and Cookie
  ClientAddress client;  // the other end of the connection: a trusted proxy may report another client
  bool secure = false;
  std::uint64_t draw = 0;  // the random number that draws a pool of a split; 0: the first that may be drawn
};

/// The outcome, and how it came about.
struct Explanation {
  /// One line per decision: "route: ...", "affinity cookie: ...", "session: ...", "backend: ...".
  std::vector<std::string> steps;
  std::string pool, backend;  // empty: none
  /// The backends of which the balancer chooses one, if it is not certain which; `backend` is one of them.
  std::vector<std::string> candidates;
  std::uint16_t status = 0;  // status of the local reply; 0: the backend responds
  Reason reason = Reason::none;
  Cause cause = Cause::none;
  std::uint32_t epoch = 0;
};

/// Never fails: a request that remora would refuse is explained with the status of its refusal.
Explanation explain(const Snapshot& snapshot, const ExplainRequest& request, SessionMemory& memory,
                    CryptoScratch& scratch, ClockReading now);

}  // namespace remora
