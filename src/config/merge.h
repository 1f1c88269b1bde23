// YAML features that generators rely on: merge keys (`<<: *defaults`, https://yaml.org/type/merge.html), and
// top-level `x-...` keys for anchors (as in compose files).
#pragma once

#include "config/reader.h"

namespace remora::config {

/// Replaces each `<<` with the entries it refers to. The map's own entries win; in a list, earlier maps win.
/// Nodes keep their positions in the file. Errors are reported.
void resolve_merges(YAML::Node& root, Diagnostics& errors);

/// Removes the root's keys that start with `x-`.
void drop_extensions(YAML::Node& root);

}  // namespace remora::config
