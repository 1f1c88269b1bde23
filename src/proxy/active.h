// Active: what a client connection needs only while it serves requests: its HTTP/1 stream, buffers, the
// current Exchange. An HTTP/2 connection uses it to wait; each of its streams has a Workspace of its own
// (stream_task.h).
//
// Threading: its worker's thread. Lifetime: lent to a Connection from its first byte until it is parked or
// closed. The worker keeps spare ones for reuse.
#pragma once

#include "proxy/workspace.h"

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
  void begin(std::shared_ptr<const ListenerView> listener, const ClientAddress& peer,
             std::unique_ptr<BoundConnections>& own);
  /// The connection speaks HTTP/1: client() is its stream.
  void begin_http1(TransportRef stream);
  /// Prepares for the next request: drops what the last one left in the buffers and in the client's stream.
  void clear();
  /// The client's end of HTTP/1.
  ServerStream& client() noexcept { return client_; }
  /// REQUIRES: the request head is in `work.memory.request`, or reading it failed or timed out.
  Exchange& make_exchange() { return work.make_exchange(state, client_); }
  /// The connection is about to be parked or closed: returns everything that was borrowed or counted.
  void end() noexcept;

  Workspace work;
  ConnectionState state;

 private:
  Http1ServerStream client_;
};

}  // namespace remora
