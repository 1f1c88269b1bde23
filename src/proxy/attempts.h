// Attempts: sends the request to the chosen backend, waits for the response head, and decides whether a
// failed attempt is retried. One attempt needs a permit (`max_in_flight`), then a connection: the client's
// own, an idle one or a new one. Failures are left in `attempt().failure`.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/body_pump.h"
#include "proxy/edits.h"
#include "proxy/phase.h"
#include "proxy/session_records.h"

namespace remora {

class Attempts : private Phase {
 public:
  explicit Attempts(ExchangeParts& parts, SessionRecords& records, BodyPump& pump)
      : Phase(parts), records_(records), pump_(pump) {}

  /// Acquires a permit at the chosen backend; without `max_in_flight` it only counts the request. False: the
  /// backend is full; call wait_for_permit().
  bool acquire_permit();
  /// After a failed attempt: whether to try once more. True: choose a backend again; `attempt().tried` holds
  /// those to avoid. False: the failure stands.
  bool try_again();
  /// Sets the failure to the reason why reading from the client failed.
  void fail_from_client() noexcept;
  /// The backend is full: queues for a permit, for at most `timeouts.queue`. False: the queue timeout passed,
  /// the backend went out of service, or the client left (failure set).
  Task<bool> wait_for_permit();
  /// A request that queued chose its backend long ago. False: that backend is down or out of service by now
  /// (failure `out_of_service`). Nothing was sent, so another backend can be chosen.
  bool still_serves();
  /// Sends the request while it still arrives, and waits for the final response head. Sets
  /// `attempt().failure` or `memory().response`.
  Task<void> send();
  /// True: the client's mean rate is too low (`limits.body_rate`), and the failure is set. Call it when all
  /// bytes received so far were counted.
  bool client_is_too_slow();
  /// Releases the permit and the backend connection. The connection is kept for reuse if it is reusable, else
  /// closed.
  void release_backend();

 private:
  /// How long to wait for the next step toward a response head, and for whom.
  struct ResponseDeadline {
    Clock::Steady deadline, ask_at;
    bool clients_turn;  // we wait for bytes from the client, not for the backend
  };
  const config::RetryOn& retry_rules() const noexcept;
  void fail(Failure::Side side, Failure::Kind kind, std::uint16_t status = 0) noexcept;
  void fail_from_backend() noexcept;
  bool in_service();
  bool take_reserved_connection();
  bool is_extended_connect() const noexcept {
    return request().head.tunnel && request().head.version == Version::http2;
  }
  bool answers_extended_connect();
  void note_connection_auth();
  bool take_idle_connection();
  Step pump_attempt();
  ResponseDeadline response_deadline() const noexcept;
  bool waits_on(const ResponseDeadline& until);
  void teach_balancer();
  void prefetch_outcome() const noexcept;
  void note_outcome();
  Task<bool> open_connection();
  Connector::Target target() const noexcept;
  void put_request();
  Failure::Kind retried_response();
  bool is_to_be_replayed();
  void rewind() noexcept;
  bool take_retry();
  Task<bool> forward_interim();
  void keep_backend();
  Clock::Steady next_suspicion() const noexcept;
  void suspect();
  bool may_leave() const noexcept;
  bool leaves_hung(bool no_time_left);
  void pass_over_the_hung() noexcept;
  bool somebody_else() const noexcept;

  static constexpr unsigned max_interims = 100;  // before one final response
  static constexpr unsigned interims_per_turn = 8;

  SessionRecords& records_;
  BodyPump& pump_;
};

}  // namespace remora
