// What an Exchange tells clients of gRPC instead of an HTTP status: local replies that are trailers only, and
// trailers that end a response whose backend is gone.

#include "http/grpc.h"
#include "http/reason.h"
#include "proxy/exchange.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

namespace {

/// What a failure, or a local reply of this HTTP status, is to gRPC.
struct Outcome {
  GrpcStatus status;
  std::string_view message;  // ASCII without `%`: grpc-message needs no percent-encoding
};

Outcome outcome(std::uint16_t http_status, Kind failure) noexcept {
  if (failure == Kind::deadline) return {GrpcStatus::deadline_exceeded, "Deadline Exceeded"};
  return {grpc_status_for(http_status), reason_phrase(http_status)};
}

}  // namespace

/// A local reply that is trailers only: HTTP status 200, no body, and the gRPC status among the fields.
asio::const_buffer Exchange::add_grpc_status(OutHead& out) {
  const Outcome told = outcome(reply().status, attempt().failure.kind);
  out.status = 200;
  out.reason = reason_phrase(200);
  out.fields.push_back({"Content-Type", "application/grpc", Known::content_type});
  out.fields.push_back({"grpc-status", number_of(told.status), Known::other});
  out.fields.push_back({"grpc-message", told.message, Known::other});
  // HTTP/2 ends the stream with the head itself.
  if (request().head.version != Version::http2)
    out.fields.push_back({"Content-Length", "0", Known::content_length});
  out.body = {BodyLength::Kind::known, 0};
  return {};
}

/// Whether a response that cannot be completed may end with a status in trailers instead of a reset: a client
/// would take some resets for a fault of its own. Only a response that promised no length can end anywhere.
bool Exchange::can_end_with_status() const noexcept {
  return request().grpc && request().head.version == Version::http2 &&
         attempt().failure.side != FailSide::client && !client().gone() && client().is_open() &&
         !memory().response_edits.body && is_grpc_response(memory().response) &&
         memory().response.body.kind == BodyLength::Kind::unknown;
}

/// Ends the response with trailers that say what has failed. False: the client does not take them.
Task<bool> Exchange::end_with_status() {
  const Outcome told = outcome(status_for(attempt().failure), attempt().failure.kind);
  const std::vector<Field> trailers{{"grpc-status", number_of(told.status)}, {"grpc-message", told.message}};
  const bool taken = co_await end_early(&trailers);
  co_return taken;
}

}  // namespace remora
