// The addresses where a daemon serves, and its admin address, from its configuration file. Only these keys
// are read, so errors elsewhere, or secrets that this user cannot read, do not matter.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "remora/config.h"

namespace remora::config {

struct Reach {
  std::optional<Address> admin;  // none: the admin server is off
  std::string token;             // empty: no token, or it is unreadable
  std::vector<Address> listeners;
  std::string error;  // set if the file cannot be read or parsed; everything else is then empty
};

/// Reads at most 4 MiB of the file. Failures are reported in `error`.
Reach load_reach(const std::filesystem::path& file);
/// Same, for text in memory. `name` is the file name used in errors.
Reach reach_of(std::string_view text, const std::string& name);

}  // namespace remora::config
