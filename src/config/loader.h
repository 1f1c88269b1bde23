// Loads the configuration file: YAML in, plain structs out, or every error in the file at once.
//
// The only user of yaml-cpp. Each error is one line, `file:line:column: key: what is wrong`, and suggests
// the nearest valid key for a misspelled one. `${NAME}` is replaced from the environment after parsing, so a
// value cannot change the structure. Secrets are read here and never appear in an error.
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
  std::vector<std::string> lines;  // sorted by position
};
using Loaded = std::variant<Config, LoadError>;

/// The affinity kinds that a file may use. Each kind reads its own settings.
using Kinds = std::span<const AffinityKind* const>;

/// Reads and checks a file. Relative paths inside it are relative to the working directory.
Loaded load_file(const std::filesystem::path& file, Kinds kinds);
/// Same, for text in memory. `name` is the file name used in errors.
Loaded load_text(std::string_view text, const std::string& name, Kinds kinds);

/// True if the pool seals tokens or states, and so needs a key.
bool needs_key(const Pool& pool);

/// Whether a pool keeps sessions in a token or a table, not only by hash.
bool keeps_sessions(const Pool& pool);

/// Whether sessions are to survive this process, in `state_dir`.
bool persists_sessions(const Config& config);

/// Warnings about valid settings that are probably mistakes. Shown by `remora check` and logged.
std::vector<std::string> warnings(const Config& config);

}  // namespace remora::config
