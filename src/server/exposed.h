// Secrets that others on this machine can read or replace: said at the start, at a reload and by `check`.
#pragma once

#include <string>
#include <vector>

#include "remora/config.h"

namespace remora {

/// One sentence each, with what to do. Nothing is refused for it: a container may know why.
std::vector<std::string> exposed_secrets(const config::Config& config);

}  // namespace remora
