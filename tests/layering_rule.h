// The modules' layers, and what the tests that hold them read: the project's sources and their includes.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace remora::test {

/// Which modules a module may include and link. `core` is include/remora with src/core. Modules of one layer
/// meet through contracts only.
inline const std::map<std::string, std::set<std::string>>& allowed_modules() {
  static const std::map<std::string, std::set<std::string>> allowed{
      {"util", {}},
      {"core", {"util"}},
      {"net", {"core", "util"}},
      {"http", {"net", "core", "util"}},
      {"affinity", {"net", "core", "util"}},
      {"auth", {"core", "util"}},
      {"session", {"net", "core", "util"}},
      {"balance", {"net", "core", "util"}},
      {"pool", {"net", "core", "util"}},
      {"health", {"pool", "http", "net", "core", "util"}},  // probes work on a pool's view, by both protocols
      {"observe", {"net", "core", "util"}},
      {"proxy",
       {"http", "affinity", "auth", "session", "balance", "pool", "health", "observe", "net", "core",
        "util"}},
      {"config", {"net", "core", "util"}},
      {"admin", {"proxy", "auth", "session", "pool", "net", "core", "util"}},
      {"cli", {"admin", "core", "util"}},
      {"server",
       {"config", "admin", "proxy", "http", "affinity", "auth", "session", "balance", "pool", "health",
        "observe", "net", "core", "util"}},
  };
  return allowed;
}

inline std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Every header and source file of src and include.
inline std::vector<std::filesystem::path> sources() {
  std::vector<std::filesystem::path> out;
  const std::filesystem::path root(REMORA_SOURCE_DIR);
  for (const auto& folder : {root / "src", root / "include"})
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder))
      if (e.path().extension() == ".h" || e.path().extension() == ".cpp") out.push_back(e.path());
  return out;
}

/// The module that a folder's name stands for.
inline std::string module_named(const std::string& folder) {
  return folder == "remora" ? "core" : folder;
}

/// The module that a source belongs to: the folder right below `src`, or `include/remora`.
inline std::string module_of(const std::filesystem::path& source) {
  std::filesystem::path folder = source.parent_path();
  while (folder.parent_path().filename() != "src" && folder.filename() != "remora" &&
         folder.filename() != "src")
    folder = folder.parent_path();
  return module_named(folder.filename());
}

/// The modules whose headers this text includes.
inline std::set<std::string> included_modules(const std::string& text) {
  static const std::regex include(R"(#include "([a-z_0-9]+)/)");
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), include), end; it != end; ++it)
    out.insert(module_named((*it)[1]));
  return out;
}

}  // namespace remora::test
