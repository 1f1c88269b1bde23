// Report: the last phase of a request: counters per listener and route, and the access log line.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/phase.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"

namespace remora {

class Report : private Phase {
 public:
  explicit Report(ExchangeParts& parts) : Phase(parts) {}

  /// Counts final status and total time for the listener and the route.
  void count_exchange();
  /// Writes the access log line, if the log is on.
  void log_exchange();

 private:
  std::string_view masked(std::string_view url);
  std::string_view verdict_kind() const noexcept;
  bool is_grpc_reply() const noexcept;
  std::uint16_t final_status() const noexcept;
  std::uint32_t epoch() const noexcept;
};

}  // namespace remora
