// Finds names of backends that currently do not resolve, for `remora check`.
#pragma once

#include <string>
#include <vector>

#include "remora/config.h"

namespace remora {

/// One sentence for each such name. Makes DNS lookups; blocks for a few seconds at most.
std::vector<std::string> unresolved_names(const config::Config& config);

}  // namespace remora
