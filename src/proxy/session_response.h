// SessionResponse: applies a response to its session. Learns ids of the app, obeys Remora-Session-Control,
// and issues, refreshes or clears the client's tokens.
//
// Threading: its worker's thread. Lifetime: of one request.
#pragma once

#include "http/message_stream.h"
#include "proxy/phase.h"
#include "proxy/session_lookup.h"

namespace remora {

class SessionResponse : private Phase {
 public:
  explicit SessionResponse(ExchangeParts& parts, SessionRecords& records, SessionLookup& lookup)
      : Phase(parts), records_(records), lookup_(lookup) {}

  /// Call it once, at the final response head. Updates the tables, and adds tokens to the response if needed.
  void settle();
  /// The session has moved, ended or been renewed since this request was sent: its response must change
  /// nothing.
  bool is_outdated() const;
  /// Looks for the app's id in the first event of an event stream. Call it before `body` is sent, so that the
  /// table knows the id before the client does.
  void look_at_events(const Body& body);
  /// Records activity: a long response or tunnel must not let its session look idle.
  void touch_session();
  /// When touch_session() is due: a quarter of `idle_timeout` after the last; max(): never.
  Clock::Steady next_touch() const noexcept;
  /// At the end of the request: counts the reason, closes the open-request count, records activity if due.
  void finish_session();
  /// Makes the client forget its tokens: all of them, or (`goes_on`) only those of the pool that the session
  /// left.
  void clear_tokens(bool goes_on);

 private:
  bool apply_control(const SessionFields& fields, const ResponseView& response);
  void steer_to(std::string_view backend);
  void learn(const ResponseView& response);
  void bind_learned(const SessionKey& key);
  void watch_events(const ResponseView& response);
  bool is_kept_back() const noexcept;
  bool may_get_cookie() const noexcept;
  void mark(const ResponseView& response);

  SessionRecords& records_;
  SessionLookup& lookup_;
};

}  // namespace remora
