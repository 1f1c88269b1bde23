// The I/O part of health checks: one probe of one backend.
// Threading: the loop's thread.
#pragma once

#include <optional>
#include <string>

#include "health/probe_answer.h"
#include "net/event_flags.h"
#include "net/loop.h"
#include "net/tls.h"
#include "remora/config.h"
#include "remora/task.h"

namespace remora {

struct ProbeTarget {
  config::Probe probe;
  Endpoint endpoint;
  std::string host;  // value of the Host field
  std::string server_name;
  std::shared_ptr<const ClientTls> tls;
  config::BackendProtocol protocol = config::BackendProtocol::http1;  // automatic: HTTP/1.1, but gRPC
};

/// Probes once, within the probe's timeout. Then closes the connection cleanly, so that the backend logs no
/// error; this takes at most 1.25 s more.
Task<ProbeVerdict> probe_once(Loop& loop, EventFlags& wake, const ProbeTarget& target);

/// The verdict from the first bytes of a response; nullopt while undecided. Pure.
std::optional<ProbeVerdict> judge_answer(std::string_view bytes, const config::Probe& probe);

}  // namespace remora
