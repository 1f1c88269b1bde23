// The road of a request. The parts of each phase are below it, and in exchange_*.cpp beside it:
//
//   head_came or await_head -> admit -> find_route -> authenticate -> (check_revocation) -> redirects ->
//   find_session -> (ask_store) -> accept_session
//     -> choose_backend -> (agree_on_move) -> take_place -> attempt -> (try_again)
//     -> mark_session -> (keep_session) -> deliver_at_once or deliver -> finish
//
// What usually needs no waiting is a plain function, with a coroutine beside it for the rest: a frame costs
// more than many a phase. So this one serves request after request of its connection.

#include "proxy/exchange.h"

#include <cassert>

#include "proxy/preflight.h"
#include "proxy/redirect.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

Task<Exchange::End> Exchange::run() {
  End end = End::keep;
  while (end == End::keep) {
    forget();
    if (had_its_turn()) co_await let_others_run();
    if (!head_came()) end = co_await await_head();
    if (end != End::keep) break;
    begin_request();
    bool go_on = admit() && find_route() && authenticate();
    if (go_on && may_be_revoked_) go_on = co_await check_revocation();
    if (go_on) go_on = !redirects();
    if (go_on) find_session();
    if (go_on && recognised_.stale) co_await ask_store();
    if (go_on) go_on = accept_session();
    while (go_on) {
      if (!choose_backend()) break;
      if (agree_ && !co_await agree_on_move()) break;
      bool has_place = take_place();
      if (!has_place) has_place = co_await wait_for_place();
      if (has_place && still_serves()) co_await attempt();
      go_on = failure_ && try_again();
    }
    if (failure_ || answer_status_ != 0) {
      end = co_await answer();
      continue;
    }
    mark_session();
    if (keeps_) co_await keep_session();
    put_response();
    if (deliver_at_once())
      end = end_response(true);
    else
      end = co_await deliver();
  }
  co_return end;
}

// Before the road -----------------------------------------------------------------------------------

void Exchange::begin(StreamRef stream, std::shared_ptr<const ListenerView> listener,
                     const ClientAddress& peer, Clock::Steady idle_since,
                     std::unique_ptr<BoundConnections>& own) {
  listener_ = std::move(listener);
  own_ = &own;
  held_ = own.get();
  arrival_ = {};
  arrival_.peer = arrival_.client = peer;
  arrival_.peer_text_size = peer.format(arrival_.peer_text);
  idle_since_ = idle_since;
  first_placed_ = {};
  client_.use(std::move(stream), listener_->config.limits);
  client_.attach(wake_, Wake::client);
  static_cast<void>(wake_.take());
  wake_.new_turn();
}

void Exchange::end() noexcept {
  wake_.no_deadline();
  doubter_.leave();
  place_.free();
  retry_.give_back();
  open_session_ = {};
  backend_.abort();
  backend_.release();
  client_.release();
  request_splice_.end();
  response_splice_.end();
  listener_.reset();
  snapshot_.reset();
  trim();
}

/// What one request needed is not kept for all that follow, nor by an Exchange that waits for a connection.
void Exchange::trim() noexcept {
  constexpr std::size_t max_kept = 64 * 1024;
  arena_.clear();
  for (std::string* text : {&rewritten_, &replay_, &state_, &answer_text_, &announcement_, &location_})
    if (text->capacity() > max_kept) *text = std::string();
  for (std::vector<Field>* fields : {&request_.fields, &response_.fields})
    if (fields->capacity() > max_kept / sizeof(Field)) *fields = std::vector<Field>();
}

/// A client that sends many requests at once must not keep the worker from the others: requests that are
/// answered without waiting (404, 401, 429, redirects) would go on as long as their bytes come.
bool Exchange::had_its_turn() noexcept {
  if (turn_ != wake_.turn()) {
    turn_ = wake_.turn();
    requests_in_turn_ = 0;
  }
  return ++requests_in_turn_ > requests_per_turn;
}

void Exchange::forget() {
  assert(!place_ && !retry_ && !open_session_);  // finish() is the one end of a request
  client_.next();
  arrival_.client = arrival_.peer;                              // until the head says otherwise
  request_.method_text = request_.target = request_.host = {};  // views of what is gone
  request_.fields.clear();
  response_.status = 0;
  snapshot_.reset();  // an idle connection must not keep an old one alive
  route_ = nullptr;
  pool_ = nullptr;
  member_ = nullptr;
  recognised_ = {};
  bound_key_.reset();
  bound_ = false;
  served_ = {};
  agree_ = false;
  state_.clear();
  state_note_.clear();
  if (std::exchange(keeps_, false)) keep_ = {};
  tried_.clear();
  attempts_ = 0;
  left_hung_ = asked_sister_ = false;
  left_pool_ = nullptr;
  failure_ = {};
  replay_.clear();
  replay_at_ = 0;
  belongs_ = leg_ = leg_due_ = stale_ = fresh_only_ = asked_client_ = more_ = replay_overflow_ =
      request_broken_ = forced_close_ = clear_session_ = false;
  response_bytes_ = 0;
  body_rate_.clear();
  if (std::exchange(watches_, false)) first_event_.clear();
  request_splice_.end();
  response_splice_.end();
  if (response_edits_.body) {
    rewritten_.clear();
    rewritten_at_ = 0;
    rewritten_last_ = false;
  }
  request_edits_.clear();
  response_edits_.clear();
  announcement_.clear();
  announced_at_ = {};
  arena_.clear();
  retry_after_ = 0;
  if (std::exchange(answer_status_, std::uint16_t{0}) != 0) {
    location_.clear();
    challenge_ = {};
    answer_body_.clear();
  }
  passed_.clear();
  may_be_revoked_ = false;
  request_id_text_ = {};
  queue_time_ = connect_time_ = first_byte_time_ = {};
}

Clock::Steady Exchange::now() const noexcept {
  if (read_.steady_turn != wake_.turn()) {
    read_.steady_turn = wake_.turn();
    read_.steady = worker_.clock.steady_now();
  }
  return read_.steady;
}

Clock::Wall Exchange::wall_now() const noexcept {
  if (read_.wall_turn != wake_.turn()) {
    read_.wall_turn = wake_.turn();
    read_.wall = worker_.clock.wall_now();
  }
  return read_.wall;
}

// Phases that need no waiting -----------------------------------------------------------------------

/// Who is asking, and may they? 429 per client address.
bool Exchange::admit() {
  arrival_.client = arrival_.peer;
  arrival_.secure = client_.stream().is_tls();
  arrival_.trusted = false;
  if (!listener_->config.trusted_proxies.empty())
    resolve_arrival(request_.fields, listener_->config.trusted_proxies, arrival_);
  // A proxy may send others' requests over this connection, also from the same address: only who proves
  // himself anew is served over what somebody has proved.
  const bool by_proxy = held_ != nullptr && (arrival_.trusted || comes_through_strangers());
  if (held_ != nullptr && (!held_->are_for(arrival_.client) || (by_proxy && !request_.connection_auth))) {
    own_->reset();
    held_ = nullptr;
  }
  const std::vector<std::string>& stripped = listener_->config.strip_client_headers;
  if (!stripped.empty() && !arrival_.trusted) drop_stripped(request_.fields, stripped);

  const std::string& id_name = listener_->config.request_id;
  if (!id_name.empty()) {
    if (arrival_.trusted)
      for (const Field& f : request_.fields)
        if (iequals(f.name, id_name) && !f.value.empty()) request_id_text_ = f.value;
    request_id_from_client_ = !request_id_text_.empty();
    if (!request_id_from_client_) {
      for (std::size_t i = 0; i < sizeof request_id_; i += 16)
        write_hex(worker_.random.next(), request_id_ + i);
      request_id_text_ = {request_id_, sizeof request_id_};
    }
  }
  if (!listener_->config.per_client.requests_per_second || arrival_.client.is_unknown()) return true;
  retry_after_ = listener_->shared->limits.request(arrival_.client, head_at_);
  if (retry_after_ == 0) return true;
  refuse(Refusal::requests, "more a second than per_client.requests_per_second allows");
  answer_status_ = 429;
  return false;
}

bool Exchange::find_route() {
  const Routed routed = choose_route(*snapshot_->shared, request_, arena_);
  if (routed.refused != nullptr) {
    fail(FailSide::self, Kind::ambiguous_target);
    refuse(Refusal::head, routed.refused);
    requests_in_turn_ = requests_per_turn;  // finding that out costs as much as several requests
    return false;
  }
  route_ = routed.route;
  if (route_ == nullptr) {
    answer_status_ = 404;
    return false;
  }
  if (request_.upgrade) request_.upgrade = passes_upgrade(request_.fields, route_->config);
  return true;
}

/// Whose token is this, and does the route want one? What the token says counts only if it was verified.
bool Exchange::authenticate() {
  for (const std::size_t index : route_->verifiers) {
    const JwtVerifier& verifier = *snapshot_->shared->verifiers[index];
    const FoundToken found = find_token(request_.fields, request_.query, verifier.rules);
    JwtVerdict verdict{found.outcome, nullptr};
    if (found.outcome == JwtOutcome::fine)
      verdict =
          worker_.tokens.verify(found.token, verifier.rules, *verifier.keys, verifier.keys_id, wall_now());
    (*verifier.counts)[worker_.index].count(verdict.outcome);
    if (verdict.outcome == JwtOutcome::key && !verifier.rules.jwks_url.empty())
      worker_.report_unknown_key(verifier.rules.jwks_url);
    if (verdict.outcome == JwtOutcome::fine) {
      may_be_revoked_ = may_be_revoked_ || !verifier.rules.revocation_claims.empty();
      passed_.add(verifier, std::move(verdict.claims));
      continue;
    }
    if (index != route_->auth) continue;
    if (const auto refused = refusal(verifier, verdict.outcome, route_->config.auth_required)) {
      if (route_->config.auth_passes_preflights && is_cors_preflight(request_)) continue;
      requests_in_turn_ = requests_per_turn;  // so does a signature
      answer_status_ = refused->status;
      challenge_ = refused->value;
      return false;
    }
  }
  return true;
}

/// The route sends its clients elsewhere, those whom it lets in.
bool Exchange::redirects() {
  const auto& redirect = route_->config.redirect;
  if (!redirect) return false;
  answer_status_ = redirect->status;
  const bool asterisk = request_.path == "*";
  location_ =
      expand_redirect(redirect->to, arrival_.secure ? "https" : "http", request_.host,
                      asterisk ? "/" : request_.target, asterisk ? "/" : request_.path, request_.query);
  if (location_.empty()) answer_status_ = 400;  // it leads to a host, and the client named none
  return true;
}

/// Which backend serves it: the bound one, the rendezvous choice of a move, or the balancer's. Nobody left:
/// the failure of the last attempt stands, else there was none to try.
bool Exchange::choose_backend() {
  const Failure before = std::exchange(failure_, Failure{});
  if (choose_member(before)) {
    worker_.idle.expect(*member_->backend);
    return true;
  }
  if (answer_status_ != 0) return false;  // a lost session has its own answer
  if (std::exchange(stale_, false)) {
    // Only a connection was dead, perhaps not its backend: with nobody else left, once more over a fresh one.
    tried_.clear();
    if (choose_member(before)) return true;
  }
  if (before.kind != Kind::queue_full && go_to_sister()) return true;
  if (answer_status_ != 0) return false;
  fail(FailSide::self, Kind::no_backend);
  if (before) failure_ = before;
  return false;
}

bool Exchange::take_place() {
  Backend& backend = *member_->backend;
  if (member_->max_in_flight == 0) {
    backend.in_flight.fetch_add(1, std::memory_order_relaxed);
    place_ = Place(member_->backend, false);
    return true;
  }
  if (!backend.queue->enter(backend, member_->max_in_flight)) return false;
  place_ = Place(member_->backend, true);
  return true;
}

/// After a failed attempt: whether, and against which rules, the request is sent once more.
bool Exchange::try_again() {
  bool costs = failure_.acted;  // what never reached a backend was no load for anybody
  if (failure_.kind == Kind::reset && backend_.has_stream() && backend_.reused()) {
    stale_ = !fresh_only_;
    costs = costs && fresh_only_;  // once a request: a restart breaks all idle connections in one moment
    fresh_only_ = true;
  }
  if (failure_.kind == Kind::hung) costs = false;  // its load was taken from a backend that is dead
  backend_.abort();
  backend_.release();
  place_.free();
  if (leg_) {  // a handshake ends with its connection: the client begins a new one on a new connection
    request_.keep_alive = false;
    return false;
  }
  if (failure_.kind == Kind::queue_full) {
    if (!bound_ || pool_->config.session.on_full != config::OnFull::move) return false;
    tried_.add(member_->backend.get());
    return true;
  }
  if (failure_.kind == Kind::out_of_service) {
    tried_.add(member_->backend.get());
    return tried_.contains(member_->backend.get());
  }
  const config::Failover& rules = pool_->config.failover;
  if (failure_.side != FailSide::backend || attempts_ >= rules.attempts || client_.gone()) return false;
  if (!may_repeat(failure_, retry_rules(), request_.method, !replay_overflow_)) return false;
  if (!retry_ && costs) {
    std::uint32_t in_flight = 1;  // this one, whose place was freed a moment ago
    for (const Member& m : pool_->snapshot->members)
      in_flight += m.backend->in_flight.load(std::memory_order_relaxed);
    const std::uint32_t retrying = pool_->counters->retrying.load(std::memory_order_relaxed);
    if (!within_budget(retrying, in_flight, rules.budget) && !pool_->counters->retry_reserve.take(now()))
      return false;
    retry_ = CountedRetry(pool_->counters);
  }
  // A hash leads nowhere else while its server lives; but where nobody listens it is not asked twice.
  const bool nobody = failure_.kind == Kind::refused || failure_.kind == Kind::connect_timeout;
  const bool stays = (bound_ || (is_keyed() && !nobody)) && failure_.kind != Kind::hung;
  if (stays && same_backend_left_ > 0)
    --same_backend_left_;  // the same backend once more, then a move
  else
    tried_.add(member_->backend.get());
  if (failure_.kind == Kind::hung) pass_over_the_hung();
  replay_at_ = 0;
  request_broken_ = false;
  return true;
}

const config::RetryOn& Exchange::retry_rules() const noexcept {
  const config::Failover& rules = pool_->config.failover;
  return bound_ || is_keyed() ? rules.bound_retry_on : rules.retry_on;
}

/// A hash says where it lives, so its server's own errors are its own, as with a bound session.
bool Exchange::is_keyed() const noexcept {
  return recognised_.what == Recognised::What::derived || recognised_.what == Recognised::What::unbound;
}

void Exchange::fail(FailSide side, Kind kind, std::uint16_t status) noexcept {
  failure_ = {};
  failure_.side = side;
  failure_.kind = kind;
  failure_.status = status;
  failure_.acted = backend_.has_stream() && backend_.began();
}

void Exchange::fail_from_client() noexcept {
  const SideFailure& f = client_.failure();
  switch (f.kind) {
    case SideFailure::Kind::malformed:
      return fail(FailSide::client, Kind::client_malformed, f.code);
    case SideFailure::Kind::too_large:
      return fail(FailSide::client, Kind::too_large);
    default:
      return fail(FailSide::client, Kind::gone);
  }
}

}  // namespace remora
