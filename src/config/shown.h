// The file as it may be shown: the tree that was read, written anew, with secrets hidden. Comments are not
// part of the tree, so they do not show. Internal to src/config.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

namespace remora::config {

/// What is hidden is decided by where a value stands (password, token, a header's name, ...) and, in any
/// value, what a URL carries. `${NAME}` stays as it was written.
std::string shown_text(const YAML::Node& document);

/// A refused value, to be quoted in an error line. `key`: its full key.
std::string shown_value(const std::string& key, const std::string& raw);

}  // namespace remora::config
