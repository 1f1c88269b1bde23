// Where a daemon can be asked and where it serves, as its file says. Only these parts are read, so that a
// mistake elsewhere, or a secret that this user cannot read, does not matter.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "remora/config.h"

namespace remora::config {

struct Reach {
  std::optional<Address> admin;  // none: off
  std::string token;             // empty: none, or not readable
  std::vector<Address> listeners;
  std::string error;  // the file cannot be read or understood; the rest is then empty
};

Reach load_reach(const std::filesystem::path& file);
Reach reach_of(std::string_view text, const std::string& name);

}  // namespace remora::config
