// The admin listener: /healthz (process is alive), /readyz (accepts new requests), /metrics, the page at /,
// and the API (api.h).
//
// With a token, everything except the two health endpoints and the page's own files needs `Authorization:
// Bearer TOKEN`. Without one, it accepts only `localhost` or a literal address as Host, so that no web page
// can reach it through a name of its own (DNS rebinding), and rejects writes from other sites' pages (CSRF).
// Threading: control thread. Connections are few and bounded; a slow client only holds a socket for a while.
#pragma once

#include "admin/api.h"
#include "admin/local_server.h"
#include "net/loop.h"
#include "remora/config.h"

namespace remora {

class AdminServer {
 public:
  /// Opens the address, or takes over `inherited` (a listening socket; empty: none). Throws
  /// std::runtime_error with one line that says what to do. `actions` must outlive this object. REQUIRES:
  /// `settings` has an address.
  AdminServer(Loop& loop, const config::Admin& settings, UniqueFd inherited, AdminActions& actions);
  int fd() const { return server_.fd(); }

 private:
  LocalServer server_;
};

}  // namespace remora
