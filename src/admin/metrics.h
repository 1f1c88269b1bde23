// /metrics: the counters of all workers summed, and what the tables hold, in Prometheus' text format.
//
// Threading: control thread. docs/operating.md explains each family.
#pragma once

#include <string>

#include "admin/api.h"

namespace remora {

std::string metrics_text(AdminActions& actions);

}  // namespace remora
