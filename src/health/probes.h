// The I/O half of probing: one probe of one backend.
#pragma once

#include <optional>
#include <string>

#include "health/probe_answer.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/wake.h"
#include "remora/config.h"
#include "remora/task.h"

namespace remora {

struct ProbeTarget {
  config::Probe probe;
  Endpoint endpoint;
  std::string host;  // Host field and TLS server name
  std::string server_name;
  std::shared_ptr<const ClientTls> tls;
};

/// Probes once, within the probe's timeout; then the connection is ended in a way that the backend need not
/// note, within another second at most.
Task<ProbeVerdict> probe_once(Loop& loop, Wake& wake, const ProbeTarget& target);

/// What the first bytes of an answer say; nothing while undecided. Pure.
std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe);

}  // namespace remora
