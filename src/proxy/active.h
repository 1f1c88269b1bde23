// Active: what a client connection needs only while it serves requests: streams, buffers, the current
// Exchange. Besides explain.cpp, the only file of src/proxy that names a
// protocol (HTTP/1).
//
// Threading: its worker's thread. Lifetime: lent to a Connection from its first byte until it is parked or
// closed. The worker keeps spare ones for reuse.
#pragma once

#include <memory>
#include <optional>

#include "http/h1/streams.h"
#include "proxy/connection_source.h"
#include "proxy/exchange.h"

namespace remora {

/// The working set of one active connection.
class Active {
 public:
  explicit Active(WorkerContext& worker);
  /// Allocates whole pages with mmap, so that memory freed after a burst really returns to the kernel. Throws
  /// std::bad_alloc.
  static void* operator new(std::size_t size);
  static void operator delete(void* p, std::size_t size) noexcept;

  /// Starts serving a connection. `own`: see ConnectionSource::begin().
  void begin(TransportRef stream, std::shared_ptr<const ListenerView> listener, const ClientAddress& peer,
             std::unique_ptr<BoundConnections>& own);
  /// Prepares for the next request: drops what the last one left in the buffers and in the client's stream.
  void clear();
  /// The client's end; independent of the protocol.
  ServerStream& client() noexcept { return client_; }
  /// REQUIRES: the request head is in `memory.request`, or reading it failed or timed out.
  Exchange& make_exchange();
  /// The connection is about to be parked or closed: returns everything that was borrowed or counted.
  void end() noexcept;

  Turn turn;
  ConnectionState state;
  WorkingMemory memory;
  std::optional<Exchange> exchange;  // the request being served, if any

 private:
  Http1ServerStream client_;
  Http1ClientStream http1_;
  BackendStream backend_{http1_};
  ConnectionSource connector_;
  WorkerContext& worker_;
};

}  // namespace remora
