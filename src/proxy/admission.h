// Admission: what is settled before a session is looked for: who asks, which route answers, whose token it
// is.
//
// Nothing here waits but the question whether a token was revoked. A `false` means that the request is
// answered here: the local reply, or the failure, is set.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "auth/verifier.h"
#include "proxy/request.h"
#include "proxy/session_records.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "remora/task.h"

namespace remora {

class Admission {
 public:
  explicit Admission(ExchangeParts& parts, SessionRecords& records)
      : worker_(parts.worker),
        connection_(parts.connection),
        turn_(parts.turn),
        memory_(parts.memory),
        client_(parts.client),
        request_(parts.request),
        attempt_(parts.attempt),
        reply_(parts.reply),
        records_(records) {}

  /// Who is asking, and may they? 429 per client address.
  bool admit();
  bool find_route();
  /// Whose token is this, and does the route want one? What the token says counts only if it was verified.
  bool authenticate();
  /// The route sends its clients elsewhere, those whom it lets in.
  bool redirects();
  Task<bool> check_revocation();

 private:
  Task<JwtOutcome> look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims);

  WorkerContext& worker_;
  ConnectionState& connection_;
  Turn& turn_;
  WorkingMemory& memory_;
  ServerStream& client_;
  Request& request_;
  AttemptState& attempt_;
  LocalReply& reply_;
  SessionRecords& records_;
};

}  // namespace remora
