// The admin listener: /healthz (this process lives), /readyz (it takes new requests), /metrics, the page at
// /, and the API (api.h).
//
// With a token everything but the two questions and the page's own files needs `Authorization: Bearer TOKEN`.
// Without one it answers only to `localhost` and plain addresses as Host, so that no web page can reach it
// through a name of its own (DNS rebinding).
// Threading: control thread. Its connections are few and bounded; a slow client costs a socket for a while.
#pragma once

#include "admin/api.h"
#include "admin/local_server.h"
#include "net/loop.h"
#include "remora/config.h"

namespace remora {

class AdminServer {
 public:
  /// Opens the address, or takes over `inherited` (a listening socket; -1: none). Throws std::runtime_error
  /// with one line that says what to do. `actions` outlives it. REQUIRES: `settings` has an address.
  AdminServer(Loop& loop, const config::Admin& settings, int inherited, AdminActions& actions);
  int fd() const { return server_.fd(); }

 private:
  LocalServer server_;
};

}  // namespace remora
