// Detects secrets that other users on this machine can read or replace. Runs at startup, on reload and in
// `remora check`.
#pragma once

#include <string>
#include <vector>

#include "remora/config.h"

namespace remora {

/// One sentence for each problem, with the fix. These are only warnings: in a container it may be intended.
std::vector<std::string> exposed_secrets(const config::Config& config);

}  // namespace remora
