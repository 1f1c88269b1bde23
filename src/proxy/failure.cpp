#include "proxy/failure.h"

namespace remora {

using Kind = Failure::Kind;

std::string_view to_string(Kind k) noexcept {
  switch (k) {
    case Kind::none:
      return "none";
    case Kind::refused:
      return "refused";
    case Kind::connect_timeout:
      return "connect";
    case Kind::reset:
      return "reset";
    case Kind::unprocessed:
      return "unprocessed";
    case Kind::timeout:
      return "timeout";
    case Kind::hung:
      return "hung";
    case Kind::malformed:
      return "malformed";
    case Kind::status:
      return "status";
    case Kind::grpc_unavailable:
      return "grpc_unavailable";
    case Kind::replayed:
      return "replayed";
    case Kind::gone:
      return "client_gone";
    case Kind::client_timeout:
      return "client_timeout";
    case Kind::client_malformed:
      return "client_malformed";
    case Kind::ambiguous_target:
      return "ambiguous_target";
    case Kind::too_large:
      return "too_large";
    case Kind::no_backend:
      return "no_backend";
    case Kind::queue_full:
      return "queue";
    case Kind::out_of_service:
      return "out_of_service";
    case Kind::handshake_lost:
      return "handshake_lost";
    case Kind::deadline:
      return "deadline";
    case Kind::http1_required:
      return "http1_required";
  }
  return "none";
}

bool listed(const Failure& f, const config::RetryOn& on) noexcept {
  switch (f.kind) {
    case Kind::refused:
      return on.refused;
    case Kind::connect_timeout:
      return on.connect;
    case Kind::reset:
      return on.reset;
    case Kind::timeout:
      return on.timeout;
    case Kind::unprocessed:
      return true;
    case Kind::replayed:
      return true;
    case Kind::hung:
      return true;  // `suspect_after: off` turns this off
    case Kind::grpc_unavailable:
      return on.grpc_unavailable;
    case Kind::status:
      return (f.status == 502 && on.s502) || (f.status == 503 && on.s503) || (f.status == 504 && on.s504);
    default:
      return false;
  }
}

bool may_repeat(const Failure& f, const config::RetryOn& on, Method method, bool body_left) noexcept {
  const bool undone = f.kind == Kind::grpc_unavailable || f.kind == Kind::replayed;
  const bool once_is_enough = f.acted && !idempotent(method) && !undone;
  return listed(f, on) && body_left && !once_is_enough;
}

std::uint16_t status_for(const Failure& f) noexcept {
  switch (f.kind) {
    case Kind::none:
    case Kind::gone:
    case Kind::http1_required:
      return 0;
    case Kind::refused:
    case Kind::reset:
    case Kind::unprocessed:
    case Kind::malformed:
    case Kind::handshake_lost:
      return 502;
    case Kind::connect_timeout:
    case Kind::timeout:
    case Kind::hung:
    case Kind::deadline:
      return 504;
    case Kind::client_timeout:
      return 408;
    case Kind::too_large:
      return 413;
    case Kind::ambiguous_target:
      return 400;
    case Kind::status:
    case Kind::client_malformed:
      return f.status;
    case Kind::no_backend:
    case Kind::queue_full:
    case Kind::out_of_service:
    case Kind::grpc_unavailable:
    case Kind::replayed:
      return 503;
  }
  return 500;
}

}  // namespace remora
