// SessionResponse: what a response head says of the session, and what its client is told: tokens are issued,
// refreshed or cleared; ids of the app are learned; Remora-Session-Control is applied.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/session_lookup.h"

namespace remora {

class SessionResponse {
 public:
  explicit SessionResponse(ExchangeParts& parts, SessionRecords& records, SessionLookup& lookup)
      : worker_(parts.worker),
        turn_(parts.turn),
        memory_(parts.memory),
        request_(parts.request),
        session_(parts.session),
        attempt_(parts.attempt),
        response_(parts.response),
        records_(records),
        lookup_(lookup) {}

  /// The tables and the client learn where the session lives, if they have to.
  void settle();
  /// Since this request was sent the session has moved on, or ended.
  bool is_outdated() const;
  /// Before the client hears of its id, the table does.
  void look_at_events(const Body& body);
  /// An open response or tunnel is activity: noted before the session's stamps would make it look idle.
  void touch_session();
  Clock::Steady next_touch() const noexcept;
  void finish_session();
  /// The client forgets the tokens of its session: all of them, or those with which it would go back to the
  /// pool that it left.
  void clear_tokens(bool goes_on);

 private:
  bool apply_control(Control control, const ResponseView& response);
  void learn(const ResponseView& response);
  void bind_learned(const SessionKey& key);
  void watch_events(const ResponseView& response);
  bool is_kept_back() const noexcept;
  bool may_get_cookie() const noexcept;
  void mark(const ResponseView& response);

  WorkerContext& worker_;
  Turn& turn_;
  WorkingMemory& memory_;
  Request& request_;
  SessionState& session_;
  AttemptState& attempt_;
  ResponseState& response_;
  SessionRecords& records_;
  SessionLookup& lookup_;
};

}  // namespace remora
