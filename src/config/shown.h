// The configuration file in a form that is safe to show: the parsed tree, written out again with secrets
// hidden. Comments are lost, since they are not part of the tree. Internal to src/config.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

namespace remora::config {

/// Values are hidden by where they stand (password, token, header names, ...). In any other value,
/// credentials in URLs are hidden; for keys that end in `url`, the whole query too. `${NAME}` is shown as
/// written.
std::string shown_text(const YAML::Node& document);

/// A rejected value, quoted for an error line. `key`: its full key.
std::string shown_value(const std::string& key, const std::string& raw);

}  // namespace remora::config
