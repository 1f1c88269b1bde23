// Failure: what went wrong in a request, and the two decisions that follow: retry, or which status to reply
// with. Pure.
//
// A failure has a side, a kind, and whether the backend may have acted on the request. Rule: a request on
// which a backend may have acted is never sent twice, unless its method is idempotent (RFC 9110 9.2.2).
#pragma once

#include <cstdint>
#include <string_view>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

/// One failure; `kind` none: no failure.
struct Failure {
  enum class Side : std::uint8_t { none, client, backend, self } side = Side::none;
  enum class Kind : std::uint8_t {
    none,
    refused,           // connection refused, or TLS failed
    connect_timeout,   // connect timeout, or unreachable
    reset,             // closed or broken before the response head
    unprocessed,       // the backend said that it did not act on the request (HTTP/2)
    timeout,           // no response head in time
    hung,              // no response head, and the backend fails its probes too
    malformed,         // invalid response head
    status,            // a status that `retry_on` lists
    grpc_unavailable,  // a response that is no more than the gRPC status UNAVAILABLE
    replayed,          // the app asked that another backend serve the request (Remora-Replay)
    gone,              // the client went away
    client_timeout,    // the client stopped sending, or sent too slowly
    client_malformed,
    ambiguous_target,  // a server that parses the path differently could be led to another route
    too_large,
    no_backend,
    queue_full,
    out_of_service,  // the backend went out of service while the request was queued: nothing was sent
    handshake_lost,  // the next leg of an authentication came, but its connection is gone
    deadline,        // the client's deadline passed (grpc-timeout)
    http1_required,  // authentication of the connection, which HTTP/2 cannot have
  } kind = Kind::none;
  bool acted = false;        // bytes of the request were sent: the backend may have acted on it
  std::uint16_t status = 0;  // Kind::status: the backend's status; client_malformed: the status to reply with
  /// There is a failure.
  explicit operator bool() const noexcept { return kind != Kind::none; }
};

/// The name in the access log.
std::string_view to_string(Failure::Kind) noexcept;

/// Whether a `retry_on` list names this kind; true for `hung` and `unprocessed`.
bool listed(const Failure&, const config::RetryOn&) noexcept;

/// Whether the same request may be sent again. A server that says UNAVAILABLE, and nothing else, has not
/// served the call, so it may be sent again whatever its method: by listing it the operator says that the
/// servers mean it so, as gRPC clients assume. `body_left`: its body was kept, so it can be sent from the
/// start.
bool may_repeat(const Failure&, const config::RetryOn&, Method, bool body_left) noexcept;

/// The status of the local reply when no attempt is left; 0: no reply, because the client is gone or is to
/// repeat it.
std::uint16_t status_for(const Failure&) noexcept;

}  // namespace remora
