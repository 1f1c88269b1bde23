// The standard health check of gRPC (grpc.health.v1.Health/Check): its request, and what a response says.
//
// Both messages have one field, so they are read and written by hand:
//   HealthCheckRequest { string service = 1; }   HealthCheckResponse { ServingStatus status = 1; }
//
// Pure: bytes in, verdict out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "health/probe_answer.h"
#include "http/h2/http2_reader.h"

namespace remora {

constexpr std::string_view grpc_health_method = "/grpc.health.v1.Health/Check";
/// The longest name of a service that can be asked for.
constexpr std::size_t max_grpc_service = 1024;

/// The body of a request about this service; empty: about the server as a whole. REQUIRES: no longer than
/// max_grpc_service.
std::string grpc_health_request(std::string_view service);

/// The number of the ServingStatus in the body of a response; none: it is no such message.
std::optional<std::uint64_t> serving_status(std::string_view body) noexcept;

/// Passes if the server says SERVING, and that the call has succeeded.
class GrpcHealthAnswer final : public Http2Response {
 public:
  void take_head(std::string_view status, const Fields& fields) override;
  void take_data(std::string_view bytes) override;
  void take_trailers(const Fields& fields) override;
  void end(const std::string& why) override;
  bool decided() const noexcept override { return verdict_.has_value(); }
  /// nullopt: the response is not complete yet.
  const std::optional<ProbeVerdict>& verdict() const noexcept { return verdict_; }

 private:
  void fail(std::string why);
  void look_at(const Fields& fields);

  static constexpr std::size_t max_body = 4096;

  std::optional<ProbeVerdict> verdict_;
  std::string body_, status_, message_;  // of grpc-status, grpc-message
  std::uint64_t generation_ = 0;
};

}  // namespace remora
