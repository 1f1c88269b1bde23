// The request path. The parts of each phase are below it, and in exchange_*.cpp beside it:
//
//   admit -> find_route -> authenticate -> (check_revocation) -> redirects ->
//   find_session -> (ask_store) -> accept_session
//     -> choose_backend -> (agree_on_move) -> take_place -> attempt -> (try_again)
//     -> mark_session -> (keep_session) -> deliver_at_once or deliver -> finish
//
// What usually needs no waiting is a plain function, with a coroutine beside it for the rest: a frame costs
// more than many a phase.

#include "proxy/exchange.h"

#include <cassert>

#include "proxy/preflight.h"
#include "proxy/redirect.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

Exchange::Exchange(const Surroundings& in)
    : worker_(in.worker),
      connection_(in.connection),
      turn_(in.turn),
      memory_(in.memory),
      client_(in.client),
      backend_(in.backend),
      request_(in.memory.request, in.connection, in.worker.snapshot, in.turn.now()),
      attempt_(in.turn.wake()) {
  session_.touched = request_.began;
  const auto& listener = request_.snapshot->shared->listeners[connection_.listener->slot];
  if (listener != connection_.listener) connection_.listener = listener;  // a reload changed it
}

Task<Exchange::End> Exchange::run() {
  bool go_on = admit() && find_route() && authenticate();
  if (go_on && request_.may_be_revoked) go_on = co_await check_revocation();
  if (go_on) go_on = !redirects();
  if (go_on) find_session();
  if (go_on && session_.recognised.stale) co_await ask_store();
  if (go_on) go_on = accept_session();
  while (go_on) {
    if (!choose_backend()) break;
    if (session_.agree && !co_await agree_on_move()) break;
    if ((take_place() || co_await wait_for_place()) && still_serves()) co_await attempt();
    go_on = attempt_.failure && try_again();
  }
  if (attempt_.failure || reply_.status != 0) co_return co_await answer();
  mark_session();
  if (session_.keep) co_await keep_session();
  put_response();
  if (deliver_at_once()) co_return end_response(true);
  co_return co_await deliver();
}

Task<Exchange::End> Exchange::refuse_head(bool late) {
  if (late)
    fail(FailSide::client, Kind::client_timeout);
  else
    fail_from_client();
  refuse(Refusal::head, late ? "it took too long (timeouts.header)" : client_.failure().why);
  co_return co_await answer();
}

// Phases that need no waiting -----------------------------------------------------------------------

/// Who is asking, and may they? 429 per client address.
bool Exchange::admit() {
  request_.arrival.client = request_.arrival.peer;
  request_.arrival.secure = client_.stream().is_tls();
  request_.arrival.trusted = false;
  if (!connection_.listener->config.trusted_proxies.empty())
    resolve_arrival(request_.head.fields, connection_.listener->config.trusted_proxies, request_.arrival);
  // A proxy may send others' requests over this connection, also from the same address: only who proves
  // himself anew is served over what somebody has proved.
  const BoundConnections* const own = own_connections();
  const bool by_proxy = own != nullptr && (request_.arrival.trusted || comes_through_strangers());
  if (own != nullptr &&
      (!own->are_for(request_.arrival.client) || (by_proxy && !request_.head.connection_auth)))
    connection_.bound->reset();
  const std::vector<std::string>& stripped = connection_.listener->config.strip_client_headers;
  if (!stripped.empty() && !request_.arrival.trusted) drop_stripped(request_.head.fields, stripped);

  const std::string& id_name = connection_.listener->config.request_id;
  if (!id_name.empty()) {
    if (request_.arrival.trusted)
      for (const Field& f : request_.head.fields)
        if (iequals(f.name, id_name) && !f.value.empty()) request_.id.text = f.value;
    request_.id.from_client = !request_.id.text.empty();
    if (!request_.id.from_client) {
      for (std::size_t i = 0; i < sizeof request_.id.made; i += 16)
        write_hex(worker_.random.next(), request_.id.made + i);
      request_.id.text = {request_.id.made, sizeof request_.id.made};
    }
  }
  if (!connection_.listener->config.per_client.requests_per_second || request_.arrival.client.is_unknown())
    return true;
  reply_.retry_after = connection_.listener->shared->limits.request(request_.arrival.client, request_.began);
  if (reply_.retry_after == 0) return true;
  refuse(Refusal::requests, "more a second than per_client.requests_per_second allows");
  reply_.status = 429;
  return false;
}

bool Exchange::find_route() {
  const Routed routed = choose_route(*request_.snapshot->shared, request_.head, memory_.arena);
  if (routed.refused != nullptr) {
    fail(FailSide::self, Kind::ambiguous_target);
    refuse(Refusal::head, routed.refused);
    turn_.spend();  // finding that out costs as much as several requests
    return false;
  }
  request_.route = routed.route;
  if (request_.route == nullptr) {
    reply_.status = 404;
    return false;
  }
  if (request_.head.upgrade)
    request_.head.upgrade = passes_upgrade(request_.head.fields, request_.route->config);
  return true;
}

/// Whose token is this, and does the route want one? What the token says counts only if it was verified.
bool Exchange::authenticate() {
  for (const std::size_t index : request_.route->verifiers) {
    const JwtVerifier& verifier = *request_.snapshot->shared->verifiers[index];
    const FoundToken found = find_token(request_.head.fields, request_.head.query, verifier.rules);
    JwtVerdict verdict{found.outcome, nullptr};
    if (found.outcome == JwtOutcome::fine)
      verdict = worker_.tokens.verify(found.token, verifier.rules, *verifier.keys, verifier.keys_id,
                                      turn_.wall_now());
    (*verifier.counts)[worker_.index].count(verdict.outcome);
    if (verdict.outcome == JwtOutcome::key && !verifier.rules.jwks_url.empty())
      worker_.report_unknown_key(verifier.rules.jwks_url);
    if (verdict.outcome == JwtOutcome::fine) {
      request_.may_be_revoked = request_.may_be_revoked || !verifier.rules.revocation_claims.empty();
      memory_.passed.add(verifier, std::move(verdict.claims));
      continue;
    }
    if (index != request_.route->auth) continue;
    if (const auto refused = refusal(verifier, verdict.outcome, request_.route->config.auth_required)) {
      if (request_.route->config.auth_passes_preflights && is_cors_preflight(request_.head)) continue;
      turn_.spend();  // so does a signature
      reply_.status = refused->status;
      reply_.challenge = refused->value;
      return false;
    }
  }
  return true;
}

/// The route sends its clients elsewhere, those whom it lets in.
bool Exchange::redirects() {
  const auto& redirect = request_.route->config.redirect;
  if (!redirect) return false;
  reply_.status = redirect->status;
  const bool asterisk = request_.head.path == "*";
  reply_.location = expand_redirect(redirect->to, request_.arrival.secure ? "https" : "http",
                                    request_.head.host, asterisk ? "/" : request_.head.target,
                                    asterisk ? "/" : request_.head.path, request_.head.query);
  if (reply_.location.empty()) reply_.status = 400;  // it leads to a host, and the client named none
  return true;
}

/// Which backend serves it: the bound one, the rendezvous choice of a move, or the balancer's. Nobody left:
/// the failure of the last attempt stands, else there was none to try.
bool Exchange::choose_backend() {
  const Failure before = std::exchange(attempt_.failure, Failure{});
  if (choose_member(before)) {
    worker_.idle.expect(*attempt_.member->backend);
    return true;
  }
  if (reply_.status != 0) return false;  // a lost session has its own answer
  if (std::exchange(attempt_.stale, false)) {
    // Only a connection was dead, perhaps not its backend: with nobody else left, once more over a fresh one.
    attempt_.tried.clear();
    if (choose_member(before)) return true;
  }
  if (before.kind != Kind::queue_full && go_to_sister()) return true;
  if (reply_.status != 0) return false;
  fail(FailSide::self, Kind::no_backend);
  if (before) attempt_.failure = before;
  return false;
}

bool Exchange::take_place() {
  Backend& backend = *attempt_.member->backend;
  if (attempt_.member->max_in_flight == 0) {
    backend.in_flight.fetch_add(1, std::memory_order_relaxed);
    attempt_.place = Place(attempt_.member->backend, false);
    return true;
  }
  if (!backend.queue->enter(backend, attempt_.member->max_in_flight)) return false;
  attempt_.place = Place(attempt_.member->backend, true);
  return true;
}

/// After a failed attempt: whether, and against which rules, the request is sent once more.
bool Exchange::try_again() {
  bool costs = attempt_.failure.acted;  // what never reached a backend was no load for anybody
  if (attempt_.failure.kind == Kind::reset && backend_.has_stream() && backend_.reused()) {
    attempt_.stale = !attempt_.fresh_only;
    costs =
        costs && attempt_.fresh_only;  // once a request: a restart breaks all idle connections in one moment
    attempt_.fresh_only = true;
  }
  if (attempt_.failure.kind == Kind::hung) costs = false;  // its load was taken from a backend that is dead
  backend_.abort();
  backend_.release();
  attempt_.place.free();
  if (attempt_
          .leg) {  // a handshake ends with its connection: the client begins a new one on a new connection
    request_.head.keep_alive = false;
    return false;
  }
  if (attempt_.failure.kind == Kind::queue_full) {
    if (!session_.bound || request_.pool->config.session.on_full != config::OnFull::move) return false;
    attempt_.tried.add(attempt_.member->backend.get());
    return true;
  }
  if (attempt_.failure.kind == Kind::out_of_service) {
    attempt_.tried.add(attempt_.member->backend.get());
    return attempt_.tried.contains(attempt_.member->backend.get());
  }
  const config::Failover& rules = request_.pool->config.failover;
  if (attempt_.failure.side != FailSide::backend || attempt_.count >= rules.attempts || client_.gone())
    return false;
  if (!may_repeat(attempt_.failure, retry_rules(), request_.head.method, !attempt_.replay_overflow))
    return false;
  if (!attempt_.retry && costs) {
    std::uint32_t in_flight = 1;  // this one, whose place was freed a moment ago
    for (const Member& m : request_.pool->snapshot->members)
      in_flight += m.backend->in_flight.load(std::memory_order_relaxed);
    const std::uint32_t retrying = request_.pool->counters->retrying.load(std::memory_order_relaxed);
    if (!within_budget(retrying, in_flight, rules.budget) &&
        !request_.pool->counters->retry_reserve.take(turn_.now()))
      return false;
    attempt_.retry = CountedRetry(request_.pool->counters);
  }
  // A hash leads nowhere else while its server lives; but where nobody listens it is not asked twice.
  const bool nobody =
      attempt_.failure.kind == Kind::refused || attempt_.failure.kind == Kind::connect_timeout;
  const bool stays = (session_.bound || (is_keyed() && !nobody)) && attempt_.failure.kind != Kind::hung;
  if (stays && attempt_.same_backend_left > 0)
    --attempt_.same_backend_left;  // the same backend once more, then a move
  else
    attempt_.tried.add(attempt_.member->backend.get());
  if (attempt_.failure.kind == Kind::hung) pass_over_the_hung();
  attempt_.replay_at = 0;
  attempt_.request_broken = false;
  return true;
}

const config::RetryOn& Exchange::retry_rules() const noexcept {
  const config::Failover& rules = request_.pool->config.failover;
  return session_.bound || is_keyed() ? rules.bound_retry_on : rules.retry_on;
}

/// A hash says where it lives, so its server's own errors are its own, as with a bound session.
bool Exchange::is_keyed() const noexcept {
  return session_.recognised.what == Recognised::What::derived ||
         session_.recognised.what == Recognised::What::unbound;
}

void Exchange::fail(FailSide side, Kind kind, std::uint16_t status) noexcept {
  attempt_.failure = {};
  attempt_.failure.side = side;
  attempt_.failure.kind = kind;
  attempt_.failure.status = status;
  attempt_.failure.acted = backend_.has_stream() && backend_.began();
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
