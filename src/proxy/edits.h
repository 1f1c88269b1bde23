// How heads change on their way: hop-by-hop fields, Host, Forwarded, Via, configured edits. Pure.
//
// Strip first, add afterwards, so that no client can make us remove what we add (`Connection:
// X-Forwarded-For`). Order, case and duplicates of what passes are kept.
#pragma once

#include "auth/verifier.h"
#include "http/head.h"
#include "http/message_stream.h"
#include "pool/pool_view.h"
#include "proxy/arrival.h"
#include "proxy/route.h"
#include "util/arena.h"

namespace remora {

/// Whether an Upgrade of the request may go on to the backend: only to a protocol that the route names. An
/// upgrade hides all that follows from routes, authentication, limits and the log (h2c smuggling). Without
/// it the request goes on as plain HTTP (RFC 9110 7.8).
bool passes_upgrade(const std::vector<Field>& fields, const config::Route& route) noexcept;
/// Whether a 101 names protocols, and none but those that passed (RFC 9110 7.8).
bool switches_as_asked(const std::vector<Field>& response, const std::vector<Field>& request,
                       const config::Route& route) noexcept;

/// Takes away what `strip_client_headers` names, before routes, affinity or verifiers look at it. Not for
/// trusted proxies.
void drop_stripped(std::vector<Field>& fields, std::span<const std::string> names);

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
  /// `strip_client_headers`: nobody may send these in trailers or disguised. Small letters; a final `*`
  /// stands for any ending.
  std::span<const std::string> stripped = {};
};

/// The head that the backend gets.
void edit_request(const RequestContext& in, TextArena& arena, OutHead& out);

struct ResponseContext {
  const ResponseHead& head;
  const RouteView& route;
  const ResponseEdits& affinity;
  std::string_view date;        // for a backend that sent none (RFC 9110 6.6.1); else empty
  bool close = false;           // this client connection ends afterwards
  bool via = true;              // `via` of the pool
  Method method = Method::get;  // of the request
};

/// The head that the client gets.
void edit_response(const ResponseContext& in, OutHead& out);

/// What the route changes in answers of our own.
void edit_answer(const RouteView& route, OutHead& out);

/// An interim response, stripped likewise.
void edit_interim(const ResponseHead& head, OutHead& out);

/// The response is offered to shared caches, as the client will see it (http/caching.h).
bool offered_to_shared_caches(const ResponseHead& head, Method method, const RouteView& route,
                              Clock::Wall now);

}  // namespace remora
