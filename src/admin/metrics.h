// /metrics: the counters of all workers summed, and what the tables hold, in Prometheus' text format.
//
// Threading: control thread. Counting sessions walks their tables: some milliseconds per 100,000.
#pragma once

#include <string>

#include "proxy/snapshot.h"
#include "session/memory.h"

namespace remora {

std::string metrics_text(const Snapshot& snapshot, SessionMemory& memory, Moment now);

}  // namespace remora
