// YAML as tools write it: merge keys (`<<: *defaults`, https://yaml.org/type/merge.html), and keys `x-...` at
// the top, where anchors can stand (as in compose files).
#pragma once

#include "config/reader.h"

namespace remora::config {

/// Puts the entries of `<<` into the map that has it, which then has none; its own entries win, then the
/// earlier map of a list. Everything keeps its place in the file. What is wrong is reported.
void resolve_merges(YAML::Node& root, Diagnostics& errors);

/// Removes the keys of the root that begin with `x-`.
void drop_extensions(YAML::Node& root);

}  // namespace remora::config
