// Active: what a client connection needs while requests come. The one place that knows which protocol is
// spoken.
//
// Threading: its worker's thread. Lifetime: lent to a Connection from its first byte until it rests; spare
// ones are kept by the worker.
#pragma once

#include <memory>
#include <optional>

#include "http/h1/streams.h"
#include "proxy/exchange.h"

namespace remora {

/// What a connection needs while it is active.
class Active {
 public:
  explicit Active(WorkerContext& worker);
  /// Pages of its own, so that those of a past burst really go back to the kernel.
  static void* operator new(std::size_t size);
  static void operator delete(void* p, std::size_t size) noexcept;

  void begin(StreamRef stream, std::shared_ptr<const ListenerView> listener, const ClientAddress& peer,
             std::unique_ptr<BoundConnections>& own);
  /// Between two requests.
  void clear();
  /// The client's end, of whatever protocol.
  ServerStream& client() noexcept { return client_; }
  /// The head of one is in `memory`.
  Exchange& make_exchange();
  /// The connection rests or ends: all that was borrowed or counted goes back.
  void end() noexcept;

  Turn turn;
  ConnectionState state;
  WorkingMemory memory;
  std::optional<Exchange> exchange;  // of the request that is being served

 private:
  Http1ServerStream client_;
  Http1ClientStream backend_;
  WorkerContext& worker_;
};

}  // namespace remora
