// /metrics in Prometheus text format: the counters summed over all workers, and table sizes.
//
// Threading: control thread. docs/operating.md describes each metric family.
#pragma once

#include <string>

#include "admin/api.h"

namespace remora {

std::string metrics_text(AdminActions& actions);

}  // namespace remora
