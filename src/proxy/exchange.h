// Exchange: one request and its response, phase by phase. `run` is the road; READ IT FIRST (exchange.cpp).
//
// An Exchange is the working memory of one active connection: it serves request after request and allocates
// nothing in the steady state. It talks to two Sides and knows no protocol. Everything that can be decided
// without I/O is decided elsewhere (route, edits, failure, lifecycle, balance); here are the order and the
// waiting.
//
// Threading: its worker's thread. Lifetime: borrowed by a Connection while it is active.
#pragma once

#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "http/first_event.h"
#include "http/http1.h"
#include "net/connecting.h"
#include "net/splice.h"
#include "net/wake.h"
#include "pool/bound_connections.h"
#include "pool/counted_retry.h"
#include "pool/queue.h"
#include "proxy/body_rate.h"
#include "proxy/edits.h"
#include "proxy/failure.h"
#include "proxy/worker_context.h"
#include "remora/task.h"
#include "session/lifecycle.h"
#include "session/open_session.h"
#include "session/recognise.h"
#include "util/arena.h"

namespace remora {

class Exchange final : private UrlScope {
 public:
  /// What the connection does next.
  enum class End : std::uint8_t {
    keep,    // another request may come
    close,   // end the connection
    linger,  // end it, but let the client read what was sent (it may still be sending)
    park,    // nothing came for a while: wait without holding memory
  };

  explicit Exchange(WorkerContext& worker) : worker_(worker), wake_(worker.loop.wheel) {}

  /// A connection becomes active. `stream` is open, its TLS and PROXY line are done. `own`: the client's own
  /// backend connections, which outlive its active time; null until it has one.
  void begin(StreamRef stream, std::shared_ptr<const ListenerView> listener, const ClientAddress& peer,
             Clock::Steady idle_since, std::unique_ptr<BoundConnections>& own);
  /// It ends, or it is given up in the middle of a request: what was borrowed or counted goes back.
  void end() noexcept;

  /// Serves requests until the connection's turn ends; never `keep`.
  Task<End> run();
  Wake& wake() noexcept { return wake_; }
  /// When the last request ended.
  Clock::Steady idle_since() const noexcept { return idle_since_; }

 private:
  enum class Step : std::uint8_t { done, blocked, more, client_failed, backend_failed };

  // Phases, in order.
  bool head_came();
  Task<End> await_head();
  void begin_request();
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
  void forget();
  void trim() noexcept;
  bool had_its_turn() noexcept;
  bool pick_pool();
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
  /// Waits for any event; true when the deadline passed. With `more_` set it only lets others run. No
  /// coroutine, so that waiting costs no frame.
  auto wait(Clock::Steady deadline) {
    return asio::async_initiate<const asio::deferred_t, void(bool)>(
        [this](auto handler, Clock::Steady until) { begin_wait(until, std::move(handler)); }, asio::deferred,
        deadline);
  }
  /// Everybody else whose event has come is served first.
  auto let_others_run() {
    more_ = true;
    return wait(Clock::Steady::max());
  }
  template <class Handler>
  void begin_wait(Clock::Steady until, Handler handler) {
    auto resume = [this, until, handler = std::move(handler)](unsigned bits) mutable {
      std::move(handler)((bits & Wake::deadline) != 0 && now() >= until);
    };
    const bool only_yields = std::exchange(more_, false);
    if (!only_yields) wake_.until(until);
    if (!only_yields && !wake_.any_pending()) return wake_.call(std::move(resume));
    const unsigned bits = only_yields ? 0 : wake_.take();
    asio::post(worker_.loop.ctx.get_executor(), [this, bits, resume = std::move(resume)]() mutable {
      wake_.new_turn();
      resume(bits);
    });
  }
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
  void put_answer();
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
  bool leads_here(std::string_view path) const override;
  std::string as_routed(std::string_view path) const override;
  std::size_t deciding_bytes() const noexcept override;
  Moment moment() const noexcept;
  SessionCounts& counts() const noexcept;
  LoadBalancer& balancer() const noexcept { return *snapshot_->balancers[pool_index_]; }
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
  /// The clocks, read once between two waits.
  Clock::Steady now() const noexcept;
  Clock::Wall wall_now() const noexcept;
  const config::ListenerTimeouts& client_timeouts() const noexcept { return listener_->config.timeouts; }

  static constexpr int rounds_per_turn = 8;  // then other connections of this worker get theirs
  static constexpr unsigned requests_per_turn = 8;
  static constexpr unsigned max_interims = 100;  // before one final response

  // For the life of the connection.
  WorkerContext& worker_;
  Wake wake_;
  std::shared_ptr<const ListenerView> listener_;
  Arrival arrival_;
  Clock::Steady idle_since_;
  // The client's own backend connections, null until it has one: of its Connection, and as it is now.
  std::unique_ptr<BoundConnections>* own_ = nullptr;
  BoundConnections* held_ = nullptr;
  unsigned turn_ = 0, requests_in_turn_ = 0;  // of `wake_`: how many requests began without waiting
  struct {                                    // where the first request without a session went
    std::uint64_t backend = 0;
    std::size_t pool = 0;
    Clock::Steady at;
  } first_placed_;
  Http1Client client_{response_limits()};
  Http1Backend backend_;

  // Reused from request to request.
  RequestHead request_;
  ResponseHead response_;
  TextArena arena_;
  RequestEdits request_edits_{arena_};
  ResponseEdits response_edits_{arena_};
  std::string rewritten_;  // of the response body, on its way to the client
  std::size_t rewritten_at_ = 0;
  bool rewritten_last_ = false;
  Splice request_splice_, response_splice_;
  std::string announcement_, replay_, answer_text_;

  // Of the current request.
  Ref<WorkerSnapshot> snapshot_;
  const RouteView* route_ = nullptr;
  const PoolView* pool_ = nullptr;
  std::size_t pool_index_ = 0;
  const Member* member_ = nullptr;
  config::PoolTimeouts timeouts_;
  PassedVerifiers passed_;  // whose claims count
  bool may_be_revoked_ = false;
  Recognised recognised_;
  bool bound_ = false;  // the session has a backend, and it is `member_`
  Served served_;
  bool agree_ = false;                      // the session moved: the store has not heard of it yet
  Clock::Wall announced_at_{};              // when the backend was told whose session it is; zero: it was not
  std::string state_;                       // for the backend, in base64; empty: none
  std::string state_note_;                  // what Remora-Session says of it
  struct {                                  // what the response head waits for
    bool bind = false, renames = false;     // the app's id is to be known to all; to the same id of theirs
    std::optional<SessionKey> former_name;  // the id of the app's that it had before (login)
    std::optional<SessionId> renewed;       // the id of ours that it had before
    std::optional<StoreWriter::Job> save;
  } keep_;
  bool keeps_ = false;     // something was written to keep_, which is large: otherwise it is not looked at
  Clock::Steady touched_;  // when the tables last heard that the session is in use
  std::optional<SessionKey> bound_key_;  // what the table knows the session by
  OpenSession open_session_;             // counted as open for `rebalance`
  Tried tried_;
  Place place_;
  TrafficCounts* traffic_ = nullptr;  // of the backend of the last attempt, for this worker
  CountedRetry retry_;
  unsigned attempts_ = 0, same_backend_left_ = 0, interims_ = 0;
  BodyRate body_rate_;
  FirstEvent first_event_;   // of an event stream that may name the session
  bool watches_ = false;     // it has not been seen yet
  std::size_t watched_ = 0;  // bytes of the body that it was fed and the client has not been sent
  bool continued_ = false;   // this attempt's backend said 100
  std::chrono::milliseconds suspect_after_{0};  // 0: never
  unsigned doubts_ = 0;                         // of this attempt's backend, so far
  bool left_hung_ = false;                      // one backend was left because it hung
  Doubter doubter_{wake_};
  bool asked_sister_ = false;            // nobody was left in the pool, so another of the split was tried
  const PoolView* left_pool_ = nullptr;  // where the session was, when it goes on in another pool of a split
  Failure failure_;
  std::size_t replay_at_ = 0;
  // Authentication of connections (http/connection_auth.h): the backend's belongs to this client alone; this
  // request is a later leg of a handshake on it; the response asks for one more.
  bool belongs_ = false, leg_ = false, leg_due_ = false;
  bool stale_ = false;       // the last attempt met a dead idle connection
  bool fresh_only_ = false;  // no more idle connections for this request
  bool asked_client_ = false;
  bool more_ = false;  // stopped for fairness, not because something would block
  bool replay_overflow_ = false, request_broken_ = false, forced_close_ = false, clear_session_ = false;
  std::uint64_t response_bytes_ = 0;
  char request_id_[32];
  std::string_view request_id_text_;
  bool request_id_from_client_ = false;

  // The answer that remora makes itself.
  std::uint16_t answer_status_ = 0;
  std::uint32_t retry_after_ = 0;
  std::string location_;
  std::string_view challenge_;  // WWW-Authenticate; empty: none
  std::string answer_body_;     // configured; empty: made from the status
  asio::const_buffer answer_run_;

  struct {  // what the clocks said, in which turn of `wake_`
    Clock::Steady steady;
    Clock::Wall wall;
    unsigned steady_turn = 0, wall_turn = 0;
  } mutable read_;
  Clock::Steady started_, head_at_, attempt_at_, moved_at_;
  std::chrono::nanoseconds queue_time_{0}, connect_time_{0}, first_byte_time_{0};
};

}  // namespace remora
