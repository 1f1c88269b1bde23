// Attempts: sends the request to the backend that was chosen, waits for the response head, and decides
// whether a failed attempt is followed by another.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/body_pump.h"
#include "proxy/edits.h"
#include "proxy/session_records.h"

namespace remora {

class Attempts {
 public:
  explicit Attempts(ExchangeParts& parts, SessionRecords& records, BodyPump& pump)
      : worker_(parts.worker),
        connection_(parts.connection),
        turn_(parts.turn),
        memory_(parts.memory),
        client_(parts.client),
        backend_(parts.backend),
        request_(parts.request),
        session_(parts.session),
        attempt_(parts.attempt),
        response_(parts.response),
        records_(records),
        pump_(pump) {}

  bool take_place();
  /// After a failed attempt: whether, and against which rules, the request is sent once more.
  bool try_again();
  void fail_from_client() noexcept;
  /// The backend is full: waits in line up to `timeouts.queue`.
  Task<bool> wait_for_place();
  /// Who stood in line chose long ago: the backend may be down by now, or have been taken out of service.
  /// Then another is chosen, as nothing was sent.
  bool still_serves();
  /// Sends the request while it comes in, and waits for the final response head. Sets attempt_.failure or
  /// memory_.response.
  Task<void> send();
  /// True: on the whole the client's bytes come too slowly (`limits.body_rate`). To be asked when all that
  /// have come were counted.
  bool client_is_too_slow();
  /// The backend's connection is kept if it is fit for it; its place is free for the next.
  void release_backend();

 private:
  /// What the wait for a response head depends on now.
  struct Patience {
    Clock::Steady deadline, ask_at;
    bool clients_turn;  // it is the client whose bytes are missing
  };
  const config::RetryOn& retry_rules() const noexcept;
  void fail(Failure::Side side, Failure::Kind kind, std::uint16_t status = 0) noexcept;
  bool take_own_connection();
  void note_connection_auth();
  bool take_idle_connection();
  Step pump_attempt();
  Patience patience() const noexcept;
  bool waits_on(const Patience& patient);
  void teach_balancer();
  void expect_outcome() const noexcept;
  void note_outcome();
  Task<bool> open_connection();
  void put_request();
  bool status_is_failure() const noexcept;
  Task<bool> forward_interim();
  void keep_backend();
  Clock::Steady next_doubt() const noexcept;
  void doubt();
  bool may_leave() const noexcept;
  bool leaves_hung(bool no_time_left);
  void pass_over_the_hung() noexcept;
  bool somebody_else() const noexcept;

  static constexpr unsigned max_interims = 100;  // before one final response
  static constexpr unsigned interims_per_turn = 8;

  WorkerContext& worker_;
  ConnectionState& connection_;
  Turn& turn_;
  WorkingMemory& memory_;
  ServerStream& client_;
  ClientStream& backend_;
  Request& request_;
  SessionState& session_;
  AttemptState& attempt_;
  ResponseState& response_;
  SessionRecords& records_;
  BodyPump& pump_;
};

}  // namespace remora
