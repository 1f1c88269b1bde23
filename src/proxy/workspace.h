// Workspace: what an exchange borrows besides its client's stream and connection: how it waits, its buffers,
// a backend's stream, and a source of connections to backends. Besides active.h and http2_connection.h, the
// only file of src/proxy that names a protocol (HTTP/1, to backends).
//
// Threading: its worker's thread. Lifetime: reused by one exchange after the other, first of one client
// connection or stream, then of another.
#pragma once

#include <memory>
#include <optional>

#include "http/h1/streams.h"
#include "proxy/connection_source.h"
#include "proxy/exchange.h"

namespace remora {

class Workspace {
 public:
  explicit Workspace(WorkerContext& worker);

  /// Another client connection, or another stream, starts to use it. `own`: see ConnectionSource::begin().
  void begin(std::unique_ptr<BoundConnections>& own) noexcept;
  /// REQUIRES: the request head is in `memory.request`, or reading it failed or timed out.
  Exchange& make_exchange(ConnectionState& connection, ServerStream& client);
  /// Nobody uses it for now: returns everything that was borrowed or counted.
  void end() noexcept;

  Turn turn;
  WorkingMemory memory;
  std::optional<Exchange> exchange;  // the request being served, if any

 private:
  Http1ClientStream http1_;
  BackendStream backend_{http1_};
  ConnectionSource connector_;
  WorkerContext& worker_;
};

}  // namespace remora
