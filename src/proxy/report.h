// Report: the last phase of a request: counters per listener and route, and the access log line.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "proxy/request.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"

namespace remora {

class Report {
 public:
  explicit Report(ExchangeParts& parts)
      : worker_(parts.worker),
        connection_(parts.connection),
        turn_(parts.turn),
        memory_(parts.memory),
        request_(parts.request),
        session_(parts.session),
        attempt_(parts.attempt),
        response_(parts.response),
        reply_(parts.reply) {}

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

  WorkerContext& worker_;
  ConnectionState& connection_;
  Turn& turn_;
  WorkingMemory& memory_;
  Request& request_;
  SessionState& session_;
  AttemptState& attempt_;
  ResponseState& response_;
  LocalReply& reply_;
};

}  // namespace remora
