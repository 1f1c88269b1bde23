// What went wrong in an attempt, and the two decisions that follow: try again? else which status? Pure.
//
// A failure has a side, a kind, and whether the backend may have begun to act: "nothing that a backend may
// have begun to execute is ever sent twice, unless its method is idempotent" (RFC 9110 9.2.2).
#pragma once

#include <cstdint>
#include <string_view>

#include "remora/config.h"
#include "remora/http_view.h"

namespace remora {

struct Failure {
  enum class Side : std::uint8_t { none, client, backend, self } side = Side::none;
  enum class Kind : std::uint8_t {
    none,
    refused,          // nobody listens, or TLS was refused
    connect_timeout,  // or unreachable
    reset,            // closed or broken before the response head
    timeout,          // no response head in time
    hung,             // none yet, and the backend fails its probes too
    malformed,        // a response head that is none
    status,           // a status that the configuration retries
    gone,             // the client went away
    client_timeout,   // the client stopped sending
    client_malformed,
    ambiguous_target,  // its path leads elsewhere for a server that reads it in another way
    too_large,
    no_backend,
    queue_full,
    out_of_service,  // the backend's, while the request stood in line for it: nothing was sent
    handshake_lost,  // the next leg of an authentication came, and the connection it belongs to is gone
  } kind = Kind::none;
  bool acted = false;        // bytes of the request were sent: it may have been executed
  std::uint16_t status = 0;  // Kind::status: which; client_malformed: what to answer
  explicit operator bool() const noexcept { return kind != Kind::none; }
};

std::string_view to_string(Failure::Kind) noexcept;

/// Whether the kind stands in a `retry_on` list.
bool listed(const Failure&, const config::RetryOn&) noexcept;

/// Whether the same request may be sent once more. `body_left`: its body can be sent from the start.
bool may_repeat(const Failure&, const config::RetryOn&, Method, bool body_left) noexcept;

/// What the client is told when no attempt is left; 0: nothing, it is gone.
std::uint16_t status_for(const Failure&) noexcept;

}  // namespace remora
