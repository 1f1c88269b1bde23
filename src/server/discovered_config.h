// Applies DNS answers to a configuration. Pure.
#pragma once

#include "proxy/snapshot.h"
#include "remora/config.h"
#include "server/watched_name.h"

namespace remora {

/// Returns `config` with each discovery entry replaced by one backend per address, and with addresses for the
/// host names that backends follow.
///
/// A name without an answer yet changes nothing: its backends keep their addresses from `active`. `active` is
/// null before the first snapshot.
config::Config with_discovered(const config::Config& config, const WatchedNames& names,
                               const Snapshot* active);

}  // namespace remora
