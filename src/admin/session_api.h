// The session API as a function: what apps ask of their sessions' state over a local socket, when they would
// rather call than answer headers.
//
//   GET, HEAD /v1/sessions/ID    the state, with ETag (its version) and Remora-TTL; 404: none
//   PUT       /v1/sessions/ID    keeps the body; Remora-Session as the request brought it (who may write),
//                                If-Match, If-None-Match: *, Remora-TTL in seconds
//   DELETE    /v1/sessions/ID    takes it away; Remora-Session and If-Match likewise
//
// ID is the one in Remora-Session; `?pool=NAME` when several pools keep state. 403: the field's proof (mac)
// is missing or false; 409: the session belongs to another server by now, or its state was deleted after the
// request began that brought the field; 412: the version is another; 413;
// 503 with Retry-After: the store is away; 507: it is full. The same record, seal and epochs as hand-off:
// both can be used side by side. Threading: the session server's. Lifetime: borrows nothing beyond the call.
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
  std::string body;  // the state, or one line that says what is wrong
  std::string etag, ttl;
};

struct SessionApiContext {
  std::shared_ptr<const Snapshot> snapshot;
  SessionStore& sessions;
  CryptoScratch& scratch;
  const Clock& clock;
  std::chrono::milliseconds timeout;
  Wake& wake;
};

Task<SessionApiAnswer> answer_session_api(SessionApiRequest request, SessionApiContext context);

}  // namespace remora
