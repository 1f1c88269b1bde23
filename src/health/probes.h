// The I/O half of probing: one probe of one backend.
#pragma once

#include <optional>
#include <string>

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

struct ProbeVerdict {
  std::string failure;           // empty: it passed
  std::uint64_t generation = 0;  // Remora-Generation of the answer; 0: not said
};

/// Probes once, within the probe's timeout.
Task<ProbeVerdict> probe_once(Loop& loop, Wake& wake, const ProbeTarget& target);

/// What the first bytes of an answer say; nothing while undecided. Pure.
std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe);

}  // namespace remora
