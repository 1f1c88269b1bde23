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

/// Probes once, within the probe's timeout. Returns nothing when it passed, else why not.
Task<std::optional<std::string>> probe_once(Loop& loop, Wake& wake, const ProbeTarget& target);

/// Whether the first bytes of an answer pass: nothing while undecided; "" passed; else why not. Pure.
std::optional<std::string> judge_answer(std::string_view bytes, const config::Probe& probe);

}  // namespace remora
