// Exchange: one request and its response, phase by phase. `run` is the request path; READ IT FIRST
// (exchange.cpp).
//
// It holds the parts of one request (request.h) and dies with the response. What outlives a request is lent
// to it: the connection's state, its turn, the memory to work in. Everything that can be decided without I/O
// is decided elsewhere (route, edits, failure, lifecycle, balance); here are the order and the waiting.
//
// Threading: its worker's thread. Lifetime: of one request; made and destroyed by the Connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "http/http1.h"
#include "net/connecting.h"
#include "proxy/edits.h"
#include "proxy/request.h"
#include "proxy/turn.h"
#include "proxy/worker_context.h"
#include "remora/task.h"

namespace remora {

/// Which URLs lead to the pool that serves a request: those may carry its token.
class RoutedScope final : public UrlScope {
 public:
  explicit RoutedScope(const Request& request) : request_(request) {}
  bool leads_here(std::string_view path) const override;
  std::string as_routed(std::string_view path) const override;
  std::size_t deciding_bytes() const noexcept override;

 private:
  const Request& request_;
};

class Exchange final {
 public:
  /// What becomes of the client's connection.
  enum class End : std::uint8_t {
    keep,    // another request may come
    close,   // end it
    linger,  // end it, but let the client read what was sent (it may still be sending)
  };

  /// What an exchange borrows from its connection; all of it outlives the exchange.
  struct Surroundings {
    WorkerContext& worker;
    ConnectionState& connection;
    Turn& turn;
    WorkingMemory& memory;
    Http1Client& client;
    Http1Backend& backend;
  };

  /// The request's head is in `memory.request`.
  explicit Exchange(const Surroundings& in);

  /// Serves the request.
  Task<End> run();
  /// Answers what is no request: the codec's failure, or `late`, the time for its head is over.
  Task<End> refuse_head(bool late);

 private:
  enum class Step : std::uint8_t { done, blocked, more, client_failed, backend_failed };

  // Phases, in order.
  bool admit();
  bool find_route();
  bool authenticate();
  bool redirects();
  void refuse(Refusal what, std::string_view why) const;
  Task<bool> check_revocation();
  void find_session(bool asked_store = false);
  bool accept_session();
  bool admit_session();
  bool choose_backend();
  bool choose_member(const Failure& before);
  bool take_place();
  Task<bool> wait_for_place();
  bool still_serves();
  Task<void> attempt();
  bool try_again();
  void mark_session();
  void put_response();
  bool deliver_at_once();
  Task<End> deliver();
  Task<End> answer();

  // Parts of phases.
  bool take_own_connection();
  bool take_idle_connection();
  Task<bool> open_connection();
  void put_request();
  Step pump_attempt();
  struct Patience;
  Patience patience() const noexcept;
  bool waits_on(const Patience&);
  void teach_balancer();
  bool client_is_too_slow();
  Task<bool> forward_interim();
  bool pump_request();
  void record_for_replay(Body body, std::size_t taken);
  Step pump_response();
  Step pump_rewritten();
  bool splice_ahead();
  bool may_splice(const Side& from, const Side& to, Splice&) noexcept;
  Step splice(Side& from, Side& to, Splice&, std::uint64_t& passed);
  Task<bool> relay();
  End end_response(bool complete);
  Task<void> tunnel();
  struct Lane;
  Step pump_lane(Lane&);
  asio::const_buffer put_answer();
  End finish();
  /// The client must not send another request on this connection.
  bool last_answer() const noexcept;
  void release_backend();
  void keep_backend();
  void note_connection_auth();
  void count_exchange();
  void log_exchange();
  std::uint16_t final_status() const noexcept;
  std::string_view verdict_kind() const noexcept;
  std::string_view masked(std::string_view url);
  void fail(Failure::Side, Failure::Kind, std::uint16_t status = 0) noexcept;

  // The session (exchange_session.cpp).
  bool has_sessions() const noexcept;
  RequestView view() const noexcept;
  SessionCounts& counts() const noexcept;
  LoadBalancer& balancer() const noexcept { return *request_.snapshot->balancers[request_.pool_index]; }
  // A slow page, or a hung server? (exchange_doubt.cpp)
  Clock::Steady next_doubt() const noexcept;
  void doubt();
  bool may_leave() const noexcept;
  bool leaves_hung(bool no_time_left);
  void pass_over_the_hung() noexcept;
  bool somebody_else() const noexcept;

  // The pools of a split (exchange_split.cpp).
  void find_session_in_split(bool asked_store);
  void settle_in(std::size_t pool, const Recognised& found);
  void go_on_in(std::size_t pool, const Binding& binding, bool ask_first);
  void learn_in_new_pool(const Recognised& there, const Binding& binding, bool ask_first);
  void use_timeouts();
  bool go_to_sister();
  bool move_to_sister(std::size_t pool, std::uint64_t key);
  void end_in_sisters(const Binding& over, bool leaves_mark = true);
  void clear_tokens(bool goes_on);

  bool serve_at(const Member* member) noexcept;
  const Member* usable_bound(std::uint64_t backend) const noexcept;
  const Member* place_of_own_connection() const noexcept;
  bool should_leave() const noexcept;
  bool choose_for_session(const Failure& before);
  bool choose_for_unbound();
  bool place_new();
  bool place_successor();
  bool comes_through_strangers() const noexcept;
  std::uint64_t first_requests_of() const noexcept;
  const Member* place_of_first_requests(std::uint64_t client) noexcept;
  const Member* usable_new(std::uint64_t backend) const noexcept;
  bool may_begin_session();
  void begin_session(const SessionId& id, Reason reason);
  bool move_session(Reason why);
  const Member* target_of_move(Reason why) const noexcept;
  Binding record_move(const Binding& wanted, Reason why);
  bool lose_session();
  double mean_load() const noexcept;
  bool wants_rebalance();
  bool is_outdated() const;
  void watch_events(const ResponseView& response);
  void look_at_events(const Body& body);
  void bind_learned(const SessionKey& key);
  bool is_kept_back() const noexcept;
  bool is_keyed() const noexcept;
  bool obey(Control control, const ResponseView& response);
  void learn(const ResponseView& response);
  bool may_get_cookie() const noexcept;
  void mark(const ResponseView& response);
  void touch_session();
  Clock::Steady next_touch() const noexcept;
  void leave_session();
  Recognised recognise_in(const PoolView& pool);

  // The store (exchange_store.cpp).
  const PoolStore* pool_store() const noexcept;
  bool keeps_state() const noexcept;
  bool is_named() const noexcept;
  SessionKey name_of_session() const noexcept;
  SessionKey own_record() const;
  Record record() const;
  StoreCall store_call(std::chrono::milliseconds timeout) noexcept;
  Task<void> ask_store();
  Task<JwtOutcome> look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims);
  Task<bool> agree_on_move();
  Task<Result<SessionStore::Standing>> settle_move(SessionKey key, Record wanted);
  bool begin_anew(const Record& over);
  void follow(const Record& stands);
  void take_state(const Record& stands, bool lost = false);
  bool go_on_without_state();
  void tell_later(const Record& wanted, bool only_if_there = false);
  void tell_end(const Binding& over);
  void hear_state(const SessionFields& said, bool may_wait);
  Task<void> keep_session();
  Task<void> keep_name();
  enum class Copied : std::uint8_t { done, failed, unreadable };  // failed: the store; later it may do
  Task<Copied> copy_state(const PoolStore& keeper, SessionKey from);
  Task<void> carry_state(SessionId former);
  Task<Copied> bring_state();
  Task<void> keep_state();

  void fail_from_client() noexcept;
  const config::RetryOn& retry_rules() const noexcept;
  bool status_is_failure() const noexcept;
  void expect_outcome() const noexcept;
  void note_outcome();
  const config::ListenerTimeouts& client_timeouts() const noexcept {
    return connection_.listener->config.timeouts;
  }

  static constexpr int rounds_per_turn = 8;      // then other connections of this worker get theirs
  static constexpr unsigned max_interims = 100;  // before one final response

  BoundConnections* own_connections() const noexcept { return connection_.bound->get(); }
  /// The end of a request gives back all that it borrowed.
  bool holds_nothing() const noexcept { return !attempt_.place && !attempt_.retry && !session_.open; }

  WorkerContext& worker_;
  ConnectionState& connection_;
  Turn& turn_;
  WorkingMemory& memory_;
  Http1Client& client_;
  Http1Backend& backend_;

  Request request_;  // first: the others refer to its snapshot
  RoutedScope scope_{request_};
  SessionState session_;
  AttemptState attempt_;
  ResponseState response_;
  LocalReply reply_;
};

}  // namespace remora
