// What the next process of a hot restart must know, but for sockets and sessions, as one JSON text: pool
// numbers, the index key, administrative overrides, backends' health and generations, the last DNS answers.
//
// Both processes may be of different versions: unknown members are ignored, missing ones leave their default.
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
/// Before the first snapshot. Returns backends to be kept until that one has them.
std::vector<std::shared_ptr<Backend>> adopt_restart_state(const std::string& text, SnapshotBuilder& builder,
                                                          BackendStatus& status, Discovery& discovery);

}  // namespace remora
