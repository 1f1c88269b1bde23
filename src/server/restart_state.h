// State for the successor in a hot restart, other than sockets and sessions, as one JSON text: pool numbers,
// the index key, administrative overrides, backends' health and generations, the last DNS answers.
//
// The two processes may be of different versions: unknown members are ignored, and missing ones keep their
// defaults.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/backend_status.h"
#include "server/builder.h"
#include "server/discovery.h"

namespace remora {

std::string restart_state(const SnapshotBuilder& builder, const BackendStatus& status,
                          const Discovery& discovery);
/// Call before the first snapshot. Returns backends that the caller must keep alive until that snapshot has
/// them.
std::vector<std::shared_ptr<Backend>> adopt_restart_state(const std::string& text, SnapshotBuilder& builder,
                                                          BackendStatus& status, Discovery& discovery);

}  // namespace remora
