// How request and response heads are edited on their way: hop-by-hop fields, Host, Forwarded, Via, configured
// edits. Pure.
//
// Fields are removed first and added afterwards, so that no client can make us remove what we add
// (`Connection: X-Forwarded-For`). Fields that pass keep their order, case and duplicates.
//
// Output heads hold views of the input, the configuration and the arena.
#pragma once

#include "auth/verifier.h"
#include "http/message.h"
#include "http/message_stream.h"
#include "pool/pool_view.h"
#include "proxy/arrival.h"
#include "proxy/route.h"
#include "proxy/upgrades.h"
#include "util/arena.h"

namespace remora {

/// Removes the fields that `strip_client_headers` names, before routes, affinity or verifiers see them. Do
/// not call it for trusted proxies.
void drop_stripped(std::vector<Field>& fields, std::span<const std::string> names);

/// Input of edit_request(). All its views and references must outlive the resulting head.
struct RequestContext {
  const RequestHead& head;
  const Arrival& arrival;
  const PoolView& pool;
  const RouteView& route;
  const Member& member;
  const RequestEdits& affinity;
  std::string_view announcement;                 // value of Remora-Session; empty: none
  std::string_view state;                        // value of Remora-State; empty: none
  std::string_view request_id_name, request_id;  // empty: off
  bool request_id_from_client = false;
  std::span<const std::string> claim_headers;  // no client may send these
  const PassedVerifiers& passed;
  /// `strip_client_headers`: also refused as trailers, and in spellings that apps could take for them. Lower
  /// case; a final `*` matches any ending.
  std::span<const std::string> stripped = {};
  std::string_view grpc_timeout = {};  // replaces the value of grpc-timeout; empty: it passes as it is
};

/// Makes the request head for the backend.
void edit_request(const RequestContext& in, TextArena& arena, OutHead& out);

/// Input of edit_response(); its views and references must outlive the resulting head.
struct ResponseContext {
  const ResponseHead& head;
  const RouteView& route;
  const ResponseEdits& affinity;
  std::string_view date;        // if the backend sent none (RFC 9110 6.6.1); else empty
  bool close = false;           // close the client connection afterwards
  bool via = true;              // `via` of the pool
  Method method = Method::get;  // of the request
  bool grpc = false;            // to an HTTP/2 client: trailers-only responses and trailers pass as they are
  std::span<const std::string> token_fields = {};  // of the pool: only remora sets these
};

/// Makes the response head for the client.
void edit_response(const ResponseContext& in, OutHead& out);

/// Appends the fields that affinity adds; no configuration removes those.
void append_added(const ResponseEdits& edits, OutHead& out);

/// Applies the route's edits to a local reply.
void edit_local_reply(const RouteView& route, OutHead& out);

/// Makes an interim response (1xx) for the client, without hop-by-hop fields.
void edit_interim(const ResponseHead& head, OutHead& out, std::span<const std::string> token_fields = {});

/// The trailers without the pool's token fields; null: there are none. `room` receives them if there is
/// something to leave out.
const std::vector<Field>* without_token_fields(const std::vector<Field>* trailers,
                                               std::span<const std::string> token_fields,
                                               std::vector<Field>& room);

/// Whether the response, as the client will see it, may be stored by shared caches (http/caching.h).
bool offered_to_shared_caches(const ResponseHead& head, Method method, const RouteView& route,
                              Clock::Wall now);

}  // namespace remora
