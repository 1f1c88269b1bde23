// The session API as a function: apps use it to read and write their sessions' state over a local socket,
// instead of through response headers.
//
//   GET, HEAD /v1/sessions/ID    returns the state, with ETag (its version) and Remora-TTL; 404: none
//   PUT       /v1/sessions/ID    stores the body; Remora-Session as received with the request (proves who may
//                                write), If-Match, If-None-Match: *, Remora-TTL in seconds
//   DELETE    /v1/sessions/ID    deletes it; Remora-Session and If-Match as for PUT
//
// ID is the one in Remora-Session. `?pool=NAME` is needed if several pools keep state. Errors: 403: the
// field's proof (mac) is missing or invalid; 409: the session has moved to another backend or has ended, or
// its state was deleted after the request that carried the field began; 412: the version does not match; 413:
// too large; 503 with Retry-After: the store is unavailable; 507: the store is full.
// Uses the same record, seal and epochs as hand-off, so both can be used side by side. Threading: the session
// server's thread. Lifetime: borrows nothing beyond the call.
#pragma once

#include <string>
#include <string_view>

#include "proxy/snapshot.h"
#include "session/session_store.h"

namespace remora {

struct SessionApiRequest {
  std::string method, target, session, if_match, if_none_match, ttl, body;
};
struct SessionApiAnswer {
  unsigned status = 200;
  std::string body;  // the state, or one line that describes the error
  std::string etag, ttl;
};

struct SessionApiContext {
  std::shared_ptr<const Snapshot> snapshot;
  SessionStore& sessions;
  CryptoScratch& scratch;
  const Clock& clock;
  std::chrono::milliseconds timeout;
  EventFlags& wake;
};

Task<SessionApiAnswer> answer_session_api(SessionApiRequest request, SessionApiContext context);

}  // namespace remora
