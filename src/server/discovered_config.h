// What DNS knows, written into a configuration. Pure.
#pragma once

#include "proxy/snapshot.h"
#include "remora/config.h"
#include "server/watched_name.h"

namespace remora {

/// `config` with each discovery entry replaced by one backend for each of its addresses, and with the
/// addresses of the names that backends follow.
///
/// A name without an answer yet changes nothing: its backends stay where `active` has them. `active`: null
/// before the first snapshot.
config::Config with_discovered(const config::Config& config, const WatchedNames& names,
                               const Snapshot* active);

}  // namespace remora
