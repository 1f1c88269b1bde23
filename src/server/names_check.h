// Names of backends that lead nowhere now: for `remora check`.
#pragma once

#include <string>
#include <vector>

#include "remora/config.h"

namespace remora {

/// One sentence each. Asks name servers, for a few seconds at most.
std::vector<std::string> unresolved_names(const config::Config& config);

}  // namespace remora
