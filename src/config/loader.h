// The configuration file: YAML in, plain values out, or every error of the file at once.
//
// The only user of yaml-cpp. Each error is one line, `file:line:column: key: what is wrong`, with the nearest
// valid key when one was misspelt. `${NAME}` is replaced from the environment after parsing, so that a value
// cannot change the structure. Secrets are read here and never appear in an error.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "remora/affinity_kind.h"
#include "remora/config.h"

namespace remora::config {

struct LoadError {
  std::vector<std::string> lines;  // sorted by place
};
using Loaded = std::variant<Config, LoadError>;

/// The kinds of affinity that a file can ask for; each reads its own settings.
using Kinds = std::span<const AffinityKind* const>;

/// Reads and checks a file. Relative paths inside are relative to the working directory.
Loaded load_file(const std::filesystem::path& file, Kinds kinds);
/// The same for text; `name` stands for the file in errors.
Loaded load_text(std::string_view text, const std::string& name, Kinds kinds);

/// Its tokens or states are sealed: a key is needed.
bool needs_key(const Pool& pool);

/// What is no error in a file, and yet hardly meant: for `remora check` and the log.
std::vector<std::string> doubts(const Config& config);

}  // namespace remora::config
