#include "proxy/attempts.h"

#include <algorithm>

#include "http/connection_auth.h"
#include "http/grpc.h"
#include "proxy/websocket_key.h"
#include "util/prefetch.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

void Attempts::fail(FailSide side, Kind kind, std::uint16_t status) noexcept {
  attempt().fail(side, kind, status, backend()->has_connection() && backend()->began());
}

void Attempts::fail_from_client() noexcept {
  const StreamFailure& f = client().failure();
  switch (f.kind) {
    case StreamFailure::Kind::malformed:
      return fail(FailSide::client, Kind::client_malformed, f.code);
    case StreamFailure::Kind::too_large:
      return fail(FailSide::client, Kind::too_large);
    default:
      return fail(FailSide::client, Kind::gone);
  }
}

void Attempts::fail_from_backend() noexcept {
  switch (backend()->failure().kind) {
    case StreamFailure::Kind::malformed:
      return fail(FailSide::backend, Kind::malformed);
    case StreamFailure::Kind::http1_required:
      if (request().pool->config.protocol == config::BackendProtocol::h2 || attempt().http1_only)
        return fail(FailSide::backend, Kind::malformed);
      attempt().http1_only = true;
      [[fallthrough]];
    case StreamFailure::Kind::refused:
      return attempt().fail(FailSide::backend, Kind::unprocessed);
    default:
      return fail(FailSide::backend, Kind::reset);
  }
}

Task<void> Attempts::send() {
  if (request().is_overdue(turn().now())) {
    fail(FailSide::self, Kind::deadline);
    co_return;
  }
  ++attempt().count;
  attempt().interims = 0;
  attempt().suspicions = 0;
  attempt().continued = false;
  attempt().began = attempt().last_progress = turn().now();
  attempt().member->backend->served.fetch_add(1, std::memory_order_relaxed);
  attempt().traffic = &attempt().member->backend->traffic[worker().index];
  bool connected = connector().has_reserved() && take_reserved_connection();
  if (!connected && !attempt().failure) connected = take_idle_connection();
  if (!connected && !attempt().failure) connected = co_await open_connection();
  if (connected && !attempt().failure) {
    backend()->attach(turn().wake(), EventFlags::backend);
    put_request();
    for (Step step = pump_attempt(); step == Step::blocked || step == Step::more; step = pump_attempt()) {
      if (step == Step::more && co_await forward_interim()) continue;
      if (step == Step::more) fail(FailSide::client, Kind::gone);
      if (step == Step::more) break;
      const ResponseDeadline until = response_deadline();
      if (until.clients_turn && client_is_too_slow()) break;
      if (attempt().suspicions != 0 && leaves_hung(false)) break;
      const Clock::Steady since = turn().now();
      const bool late = co_await turn().wait(until.ask_at);
      if (until.clients_turn) request().body_rate.waited(turn().now() - since);
      prefetch_outcome();
      if (late && !waits_on(until)) break;
    }
  }
  attempt().suspect_waiter.leave();
  teach_balancer();
  if (!attempt().failure) request().took.first_byte = turn().now() - request().began;
  if (!attempt().failure) note_connection_auth();
  if (!attempt().failure)
    if (const Kind kind = retried_response(); kind != Kind::none)
      fail(FailSide::backend, kind, memory().response.status);
  note_outcome();
}

/// `more`: an interim response arrived. Failures are in `attempt().failure`.
Step Attempts::pump_attempt() {
  if (!pump_.pump_request()) {
    fail_from_client();
    return Step::client_failed;
  }
  const Io io = backend()->read_head(memory().response, request().head.method);
  const bool unasked =
      io == Io::ready && memory().response.tunnel &&
      (!request().head.tunnel ||
       !switches_as_asked(memory().response.fields, request().head.fields, request().route->config));
  if (io == Io::ready && !unasked && is_extended_connect() && !answers_extended_connect()) {
    fail(FailSide::backend, Kind::malformed);
    return Step::backend_failed;
  }
  if (io == Io::failed || unasked) {
    if (unasked)
      fail(FailSide::backend, Kind::malformed);
    else
      fail_from_backend();
    return Step::backend_failed;
  }
  if (io == Io::ready && (memory().response.status >= 200 || memory().response.tunnel)) return Step::done;
  if (io == Io::ready && ++attempt().interims <= max_interims) return Step::more;
  if (io == Io::ready) {
    fail(FailSide::backend, Kind::malformed);
    return Step::backend_failed;
  }
  if (!client().gone()) return Step::blocked;
  fail(FailSide::client, Kind::gone);
  return Step::client_failed;
}

/// False: the response would make an HTTP/2 client believe in a tunnel that there is not: a 2xx, or a 101
/// without the proof that the backend has understood.
bool Attempts::answers_extended_connect() {
  if (!memory().response.tunnel) return memory().response.status < 200 || memory().response.status >= 300;
  return request().websocket_accept.empty() ||
         take_websocket_accept(memory().response.fields, request().websocket_accept);
}

/// We wait for one of three: the response, room in the backend's socket, or more of the client's body.
Attempts::ResponseDeadline Attempts::response_deadline() const noexcept {
  // RFC 9110 10.1.1: a client may wait for a 100 before it sends its body. Only the backend may send it, so
  // the wait is the backend's.
  const bool owes_continue =
      request().head.expect_continue && !attempt().continued && !request().body_rate.any();
  const bool sent = backend()->request_sent() || attempt().request_broken || owes_continue;
  const bool on_backend = backend()->send_blocked();
  const Clock::Steady deadline = attempt().last_progress + (sent         ? request().timeouts.response
                                                            : on_backend ? request().timeouts.write
                                                                         : connection().timeouts().body);
  // A client that reset its connection right behind its request raised no event: after a second, ask the
  // kernel once.
  Clock::Steady ask_at = std::min(deadline, request().deadline);
  if (sent && !attempt().asked_client)
    ask_at = std::min(ask_at, attempt().last_progress + std::chrono::seconds(1));
  if (sent && request().suspect_after.count() != 0)
    return {deadline, std::min(ask_at, next_suspicion()), false};
  return {deadline, ask_at, !sent && !on_backend};
}

/// The time in `patient.ask_at` has come. False: the attempt has failed.
bool Attempts::waits_on(const ResponseDeadline& until) {
  if (request().is_overdue(turn().now())) {
    fail(FailSide::self, Kind::deadline);
    return false;
  }
  if (until.ask_at < until.deadline) {
    if (request().suspect_after.count() != 0 && turn().now() >= next_suspicion()) suspect();
    if (!attempt().asked_client && turn().now() >= attempt().last_progress + std::chrono::seconds(1)) {
      attempt().asked_client = true;
      client().look_for_reset();
    }
    return true;
  }
  if (leaves_hung(true)) return false;
  fail(until.clients_turn ? FailSide::client : FailSide::backend,
       until.clients_turn ? Kind::client_timeout : Kind::timeout);
  return false;
}

bool Attempts::client_is_too_slow() {
  if (!request().body_rate.too_slow(connection().listener->config.limits.body_rate,
                                    connection().timeouts().body))
    return false;
  fail(FailSide::client, Kind::client_timeout);
  return true;
}

/// Reports the backend's response time to the balancer. It is measured from the last progress on the fully
/// sent request, because a slow client and our queue say nothing about the backend. Errors and missing
/// responses count as `at_least` that long: a backend that fails fast must not look fast.
void Attempts::teach_balancer() {
  if (!backend()->has_connection() || !backend()->request_sent()) return;
  using Took = LoadBalancer::Took;
  const Took how = !attempt().failure && memory().response.status < 500 ? Took::exactly : Took::at_least;
  request().balancer().observe(*attempt().member->backend, turn().now() - attempt().last_progress,
                               turn().now(), how);
}

/// A response may have arrived: prefetches what note_outcome() and release_backend() will touch, so that the
/// loads overlap with reading the head.
void Attempts::prefetch_outcome() const noexcept {
  const Backend& backend = *attempt().member->backend;
  prefetch_line(&backend.in_flight);
  prefetch_whole(attempt().traffic);
  connector().prefetch(backend);
}

/// Records what live traffic shows about the backend (`health.eject`). A stale idle connection shows nothing,
/// and neither does a failure on the client's side, or a request that was not processed.
void Attempts::note_outcome() {
  Backend& chosen = *attempt().member->backend;
  const bool answered = attempt().failure.kind == Kind::none || attempt().failure.kind == Kind::status ||
                        attempt().failure.kind == Kind::grpc_unavailable ||
                        attempt().failure.kind == Kind::replayed;
  if (attempt().failure.kind == Kind::unprocessed) return;
  if (attempt().failure.side != FailSide::client && attempt().failure.side != FailSide::self)
    attempt().traffic->count(answered ? memory().response.status : 0, turn().now() - attempt().began);
  const std::uint32_t length = request().pool->config.eject.consecutive_failures;
  switch (attempt().failure.kind) {
    case Kind::none:
    case Kind::status:
    case Kind::grpc_unavailable:
    case Kind::replayed:
      if (memory().response.status < 502 || memory().response.status > 504)
        return chosen.failures.succeeded();
      break;
    case Kind::refused:
    case Kind::connect_timeout:
      if (!chosen.lost.exchange(true)) worker().report_lost(attempt().member->backend);
      if (chosen.failures.failed_to_connect(length))
        worker().report_failures(attempt().member->backend, Ejected::all);
      return;
    case Kind::reset:
      if (backend()->has_connection() && backend()->is_reused()) return;
      break;
    case Kind::timeout:
    case Kind::malformed:
      break;
    default:
      return;
  }
  if (chosen.failures.failed_to_answer(length))
    worker().report_failures(attempt().member->backend, Ejected::new_sessions);
}

void Attempts::put_request() {
  if (session().served.reason != Reason::none && request().pool->config.session.announce) {
    memory().announcement.clear();
    append_announcement(session().served.binding, session().served.reason, memory().announcement);
    memory().announcement += session().state_note;
    const PoolStore* const keeper = records_.pool_store();
    if (keeper != nullptr && keeper->keeps_state()) session().announced_at = turn().wall_now();
    if (keeper != nullptr && keeper->proof() != nullptr)
      keeper->proof()->append(session().served.binding, session().announced_at, memory().announcement);
  }
  if (request().deadline != Clock::Steady::max() && turn().now() != request().began) {
    memory().grpc_timeout.clear();
    append_grpc_timeout(request().deadline - turn().now(), memory().grpc_timeout);
  }
  const RequestContext context{request().head,
                               request().arrival,
                               *request().pool,
                               *request().route,
                               *attempt().member,
                               memory().request_edits,
                               memory().announcement,
                               session().state,
                               connection().listener->config.request_id,
                               request().id.text,
                               request().id.from_client,
                               request().snapshot->shared->claim_headers,
                               memory().passed,
                               connection().listener->config.strip_client_headers,
                               memory().grpc_timeout};
  edit_request(context, memory().arena, worker().out);
  if (request().head.connection_auth || connector().has_reserved())
    worker().out.close = false;  // keep the connection open: it is what is authenticated
  backend()->put_head(worker().out);
}

/// Forwards an interim response (1xx) at once. False: the client is gone. A backend may send many without a
/// pause, hence the turn limit.
Task<bool> Attempts::forward_interim() {
  OutHead interim;
  edit_interim(memory().response, interim);
  client().put_interim(interim);
  if (memory().response.status == 100 && !std::exchange(attempt().continued, true))
    attempt().last_progress = turn().now();  // from here on we wait for the client's body
  const Clock::Steady deadline = turn().now() + connection().timeouts().write;
  for (;;) {
    const Io io = client().flush();
    if (io == Io::ready) break;
    if (io == Io::failed) co_return false;
    if (co_await turn().wait(deadline)) co_return false;
  }
  if (attempt().interims % interims_per_turn == 0) co_await turn().let_others_run();
  co_return true;
}

}  // namespace remora
