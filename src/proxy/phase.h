// Phase: what the phases of an exchange have in common: access to the parts of its state (request.h).
//
// One pointer for all parts: a reference to each, in each phase, would be 700 bytes more of every request in
// flight, and with hundreds of HTTP/2 streams that is what no longer lies in the cache when a response comes.
//
// Threading: its worker's thread. Lifetime: that of its Exchange.
#pragma once

#include "proxy/request.h"

namespace remora {

class Phase {
 protected:
  explicit Phase(ExchangeParts& parts) noexcept : phase_parts_(parts) {}

  // Borrowed, and of longer life than the exchange.
  WorkerContext& worker() const noexcept { return phase_parts_.worker; }
  ConnectionState& connection() const noexcept { return phase_parts_.connection; }
  Turn& turn() const noexcept { return phase_parts_.turn; }
  WorkingMemory& memory() const noexcept { return phase_parts_.memory; }
  ServerStream& client() const noexcept { return phase_parts_.client; }
  BackendStream& backend() const noexcept { return phase_parts_.backend; }
  Connector& connector() const noexcept { return phase_parts_.connector; }
  // The exchange's own.
  Request& request() const noexcept { return phase_parts_.request; }
  SessionState& session() const noexcept { return phase_parts_.session; }
  AttemptState& attempt() const noexcept { return phase_parts_.attempt; }
  ResponseState& response() const noexcept { return phase_parts_.response; }
  LocalReply& reply() const noexcept { return phase_parts_.reply; }

 private:
  ExchangeParts& phase_parts_;
};

}  // namespace remora
