// Admission: the first phase of a request, before its session is looked up: client address and rate limits,
// route, authentication, redirects.
//
// Only check_revocation() waits. If a function says that the request ends here, it has set the local reply or
// the attempt's failure.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "auth/verifier.h"
#include "proxy/phase.h"
#include "proxy/session_records.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "remora/task.h"

namespace remora {

class Admission : private Phase {
 public:
  explicit Admission(ExchangeParts& parts, SessionRecords& records) : Phase(parts), records_(records) {}

  /// Finds out the client's address (trusted proxies), removes `strip_client_headers`, sets the request id,
  /// and applies the client's rate limit. False: 429, `reply().retry_after` in seconds; with HTTP/2 421 or
  /// the failure `http1_required`; with gRPC 400 if its deadline is malformed.
  bool admit();
  /// Chooses the route. False: 404, 501, or the failure `ambiguous_target` (400).
  bool find_route();
  /// Verifies the JWTs that the route, or the affinity of its pools, asks for. Claims count only if their
  /// token passed. False: the route's own verifier refuses the request; status and challenge are set.
  bool authenticate();
  /// True: the route is a redirect, and the reply is set (400 if the template needs a host that the client
  /// did not name).
  bool redirects();
  /// Asks the store whether verified tokens were revoked; call it if `request().may_be_revoked`. False: the
  /// route's own verifier refuses the request. Other revoked tokens only lose their claims.
  Task<bool> check_revocation();

 private:
  bool fits_connection();
  bool extends_connect();
  bool take_grpc_deadline();
  Task<JwtOutcome> look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims);

  SessionRecords& records_;
};

}  // namespace remora
