// Why would this request go where? The same decisions as on the road, step by step, without sending anything
// and without leaving a trace in any table.
//
// Pure but for what it reads. Threading: any thread; `scratch` and `memory` as for a worker.
#pragma once

#include <string>
#include <vector>

#include "affinity/seal.h"
#include "proxy/snapshot.h"
#include "session/memory.h"

namespace remora {

struct ExplainRequest {
  std::string method = "GET", target = "/";
  std::vector<std::pair<std::string, std::string>> fields;  // Host and Cookie among them
  ClientAddress client;
  bool secure = false;
};

struct Explanation {
  /// One line per decision: "route: ...", "affinity cookie: ...", "session: ...", "backend: ...".
  std::vector<std::string> steps;
  std::string pool, backend;  // empty: none
  std::uint16_t status = 0;   // what remora itself would answer; 0: the backend answers
  Reason reason = Reason::none;
  Cause cause = Cause::none;
  std::uint32_t epoch = 0;
};

Explanation explain(const Snapshot& snapshot, const ExplainRequest& request, SessionMemory& memory,
                    CryptoScratch& scratch, Moment now);

}  // namespace remora
