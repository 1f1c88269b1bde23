// BodyPump: moves what can be moved now of a request body to the backend, and of a response body to the
// client: by copying, by splicing, or through an affinity kind that rewrites it.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/session_response.h"

namespace remora {

/// What a step of a transfer came to. `more`: stopped for fairness, not because something would block.
enum class Step : std::uint8_t { done, blocked, more, client_failed, backend_failed };

class BodyPump {
 public:
  explicit BodyPump(ExchangeParts& parts, SessionResponse& marks)
      : worker_(parts.worker),
        turn_(parts.turn),
        memory_(parts.memory),
        client_(parts.client),
        backend_(parts.backend),
        request_(parts.request),
        attempt_(parts.attempt),
        response_(parts.response),
        marks_(marks) {}

  /// Sends what can be sent of the request now. False: the client's side failed.
  bool pump_request();
  /// Moves what can be moved of the response now.
  Step pump_response();

 private:
  void record_for_replay(Body body, std::size_t taken);
  bool splice_ahead();
  bool may_splice(const RawPath* from, const RawPath* to, Splice& splice) noexcept;
  Step splice(RawPath& from, RawPath& to, Splice& splice, std::uint64_t& passed);
  Step pump_rewritten();

  static constexpr int rounds_per_turn = 8;  // then other connections of this worker get theirs

  WorkerContext& worker_;
  Turn& turn_;
  WorkingMemory& memory_;
  ServerStream& client_;
  ClientStream& backend_;
  Request& request_;
  AttemptState& attempt_;
  ResponseState& response_;
  SessionResponse& marks_;
};

}  // namespace remora
