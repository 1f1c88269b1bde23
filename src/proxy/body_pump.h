// BodyPump: forwards the request body to the backend and the response body to the client, as far as possible
// without waiting. Bytes are copied, spliced past this process, or rewritten by an affinity kind.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/phase.h"
#include "proxy/session_response.h"

namespace remora {

/// Outcome of one step of a transfer. `more`: stopped for fairness; nothing would block.
enum class Step : std::uint8_t { done, blocked, more, client_failed, backend_failed };

class BodyPump : private Phase {
 public:
  explicit BodyPump(ExchangeParts& parts, SessionResponse& marks) : Phase(parts), marks_(marks) {}

  /// Forwards as much of the request body as possible now, and keeps a copy for retries. False: reading from
  /// the client failed. A backend that takes no more only sets `attempt().request_broken`: it may have
  /// responded already.
  bool pump_request();
  /// Forwards as much of the response body as possible now. `done`: all of the response was sent.
  Step pump_response();

 private:
  void record_for_replay(Body body, std::size_t taken);
  void note_events(const Body& body, std::size_t taken) noexcept;
  bool prefill_pipe();
  bool may_splice(const RawPath* from, const RawPath* to, Splice& splice) noexcept;
  Step splice(RawPath& from, RawPath& to, Splice& splice, std::uint64_t& passed);
  Step pump_rewritten();

  static constexpr int rounds_per_turn = 8;  // then the worker's other connections get their turn

  SessionResponse& marks_;
};

}  // namespace remora
