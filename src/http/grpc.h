// What gRPC adds to HTTP/2, as far as a proxy must know it: which requests are gRPC, deadlines, and statuses
// in trailers (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md, doc/statuscodes.md).
//
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace remora {

/// The statuses that remora sends itself.
enum class GrpcStatus : std::uint8_t {
  unknown = 2,
  deadline_exceeded = 4,
  permission_denied = 7,
  resource_exhausted = 8,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  unauthenticated = 16,
};

/// Whether a Content-Type names gRPC: application/grpc, alone or with a format (+proto). gRPC-Web is another
/// protocol.
bool is_grpc_type(std::string_view content_type) noexcept;
/// A gRPC call: a POST, as all of them are, with such a Content-Type. The one place that decides it, also for
/// heads that are refused: needs the method's text and the fields only.
bool is_grpc_request(const RequestHead& head) noexcept;
/// A response whose Content-Type is gRPC.
bool is_grpc_response(const ResponseHead& head) noexcept;

/// The status that a local reply has instead of this HTTP status (doc/http-grpc-status-mapping.md; but rates
/// and sizes over a limit are RESOURCE_EXHAUSTED).
GrpcStatus grpc_status_for(std::uint16_t http_status) noexcept;

/// The number of the status, for grpc-status.
std::string_view number_of(GrpcStatus status) noexcept;

/// Whether a response is trailers-only with the status UNAVAILABLE: the server says that it did not serve the
/// call.
bool is_grpc_unavailable(const ResponseHead& head) noexcept;

/// The field grpc-timeout of a request.
struct GrpcTimeout {
  bool malformed = false;  // or repeated
  std::optional<std::chrono::nanoseconds> value;
};
GrpcTimeout read_grpc_timeout(const Head& head) noexcept;
/// The value of grpc-timeout for this time: in the smallest unit that fits, rounded down.
void append_grpc_timeout(std::chrono::nanoseconds rest, std::string& out);

}  // namespace remora
