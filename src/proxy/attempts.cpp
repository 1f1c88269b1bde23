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
  attempt_.fail(side, kind, status, backend_->has_connection() && backend_->began());
}

void Attempts::fail_from_client() noexcept {
  const StreamFailure& f = client_.failure();
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
  switch (backend_->failure().kind) {
    case StreamFailure::Kind::malformed:
      return fail(FailSide::backend, Kind::malformed);
    case StreamFailure::Kind::http1_required:
      if (request_.pool->config.protocol == config::BackendProtocol::h2 || attempt_.http1_only)
        return fail(FailSide::backend, Kind::malformed);
      attempt_.http1_only = true;
      [[fallthrough]];
    case StreamFailure::Kind::refused:
      return attempt_.fail(FailSide::backend, Kind::unprocessed);
    default:
      return fail(FailSide::backend, Kind::reset);
  }
}

Task<void> Attempts::send() {
  if (request_.is_overdue(turn_.now())) {
    fail(FailSide::self, Kind::deadline);
    co_return;
  }
  ++attempt_.count;
  attempt_.interims = 0;
  attempt_.suspicions = 0;
  attempt_.continued = false;
  attempt_.began = attempt_.last_progress = turn_.now();
  attempt_.member->backend->served.fetch_add(1, std::memory_order_relaxed);
  attempt_.traffic = &attempt_.member->backend->traffic[worker_.index];
  bool connected = connector_.has_reserved() && take_reserved_connection();
  if (!connected && !attempt_.failure) connected = take_idle_connection();
  if (!connected && !attempt_.failure) connected = co_await open_connection();
  if (connected && !attempt_.failure) {
    backend_->attach(turn_.wake(), EventFlags::backend);
    put_request();
    for (Step step = pump_attempt(); step == Step::blocked || step == Step::more; step = pump_attempt()) {
      if (step == Step::more && co_await forward_interim()) continue;
      if (step == Step::more) fail(FailSide::client, Kind::gone);
      if (step == Step::more) break;
      const ResponseDeadline until = response_deadline();
      if (until.clients_turn && client_is_too_slow()) break;
      if (attempt_.suspicions != 0 && leaves_hung(false)) break;
      const Clock::Steady since = turn_.now();
      const bool late = co_await turn_.wait(until.ask_at);
      if (until.clients_turn) request_.body_rate.waited(turn_.now() - since);
      prefetch_outcome();
      if (late && !waits_on(until)) break;
    }
  }
  attempt_.suspect_waiter.leave();
  teach_balancer();
  if (!attempt_.failure) request_.took.first_byte = turn_.now() - request_.began;
  if (!attempt_.failure) note_connection_auth();
  if (!attempt_.failure)
    if (const Kind kind = retried_response(); kind != Kind::none)
      fail(FailSide::backend, kind, memory_.response.status);
  note_outcome();
}

/// `more`: an interim response arrived. Failures are in `attempt_.failure`.
Step Attempts::pump_attempt() {
  if (!pump_.pump_request()) {
    fail_from_client();
    return Step::client_failed;
  }
  const Io io = backend_->read_head(memory_.response, request_.head.method);
  const bool unasked =
      io == Io::ready && memory_.response.tunnel &&
      (!request_.head.tunnel ||
       !switches_as_asked(memory_.response.fields, request_.head.fields, request_.route->config));
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
  if (io == Io::ready && (memory_.response.status >= 200 || memory_.response.tunnel)) return Step::done;
  if (io == Io::ready && ++attempt_.interims <= max_interims) return Step::more;
  if (io == Io::ready) {
    fail(FailSide::backend, Kind::malformed);
    return Step::backend_failed;
  }
  if (!client_.gone()) return Step::blocked;
  fail(FailSide::client, Kind::gone);
  return Step::client_failed;
}

/// False: the response would make an HTTP/2 client believe in a tunnel that there is not: a 2xx, or a 101
/// without the proof that the backend has understood.
bool Attempts::answers_extended_connect() {
  if (!memory_.response.tunnel) return memory_.response.status < 200 || memory_.response.status >= 300;
  return request_.websocket_accept.empty() ||
         take_websocket_accept(memory_.response.fields, request_.websocket_accept);
}

/// We wait for one of three: the response, room in the backend's socket, or more of the client's body.
Attempts::ResponseDeadline Attempts::response_deadline() const noexcept {
  // RFC 9110 10.1.1: a client may wait for a 100 before it sends its body. Only the backend may send it, so
  // the wait is the backend's.
  const bool owes_continue =
      request_.head.expect_continue && !attempt_.continued && !request_.body_rate.any();
  const bool sent = backend_->request_sent() || attempt_.request_broken || owes_continue;
  const bool on_backend = backend_->send_blocked();
  const Clock::Steady deadline = attempt_.last_progress + (sent         ? request_.timeouts.response
                                                           : on_backend ? request_.timeouts.write
                                                                        : connection_.timeouts().body);
  // A client that reset its connection right behind its request raised no event: after a second, ask the
  // kernel once.
  Clock::Steady ask_at = std::min(deadline, request_.deadline);
  if (sent && !attempt_.asked_client)
    ask_at = std::min(ask_at, attempt_.last_progress + std::chrono::seconds(1));
  if (sent && request_.suspect_after.count() != 0)
    return {deadline, std::min(ask_at, next_suspicion()), false};
  return {deadline, ask_at, !sent && !on_backend};
}

/// The time in `patient.ask_at` has come. False: the attempt has failed.
bool Attempts::waits_on(const ResponseDeadline& until) {
  if (request_.is_overdue(turn_.now())) {
    fail(FailSide::self, Kind::deadline);
    return false;
  }
  if (until.ask_at < until.deadline) {
    if (request_.suspect_after.count() != 0 && turn_.now() >= next_suspicion()) suspect();
    if (!attempt_.asked_client && turn_.now() >= attempt_.last_progress + std::chrono::seconds(1)) {
      attempt_.asked_client = true;
      client_.look_for_reset();
    }
    return true;
  }
  if (leaves_hung(true)) return false;
  fail(until.clients_turn ? FailSide::client : FailSide::backend,
       until.clients_turn ? Kind::client_timeout : Kind::timeout);
  return false;
}

bool Attempts::client_is_too_slow() {
  if (!request_.body_rate.too_slow(connection_.listener->config.limits.body_rate,
                                   connection_.timeouts().body))
    return false;
  fail(FailSide::client, Kind::client_timeout);
  return true;
}

/// Reports the backend's response time to the balancer. It is measured from the last progress on the fully
/// sent request, because a slow client and our queue say nothing about the backend. Errors and missing
/// responses count as `at_least` that long: a backend that fails fast must not look fast.
void Attempts::teach_balancer() {
  if (!backend_->has_connection() || !backend_->request_sent()) return;
  using Took = LoadBalancer::Took;
  const Took how = !attempt_.failure && memory_.response.status < 500 ? Took::exactly : Took::at_least;
  request_.balancer().observe(*attempt_.member->backend, turn_.now() - attempt_.last_progress, turn_.now(),
                              how);
}

/// A response may have arrived: prefetches what note_outcome() and release_backend() will touch, so that the
/// loads overlap with reading the head.
void Attempts::prefetch_outcome() const noexcept {
  const Backend& backend = *attempt_.member->backend;
  prefetch_line(&backend.in_flight);
  prefetch_whole(attempt_.traffic);
  connector_.prefetch(backend);
}

/// Records what live traffic shows about the backend (`health.eject`). A stale idle connection shows nothing,
/// and neither does a failure on the client's side, or a request that was not processed.
void Attempts::note_outcome() {
  Backend& backend = *attempt_.member->backend;
  const bool answered = attempt_.failure.kind == Kind::none || attempt_.failure.kind == Kind::status ||
                        attempt_.failure.kind == Kind::grpc_unavailable;
  if (attempt_.failure.kind == Kind::unprocessed) return;
  if (attempt_.failure.side != FailSide::client && attempt_.failure.side != FailSide::self)
    attempt_.traffic->count(answered ? memory_.response.status : 0, turn_.now() - attempt_.began);
  const std::uint32_t length = request_.pool->config.eject.consecutive_failures;
  switch (attempt_.failure.kind) {
    case Kind::none:
    case Kind::status:
    case Kind::grpc_unavailable:
      if (memory_.response.status < 502 || memory_.response.status > 504) return backend.failures.succeeded();
      break;
    case Kind::refused:
    case Kind::connect_timeout:
      if (!backend.lost.exchange(true)) worker_.report_lost(attempt_.member->backend);
      if (backend.failures.failed_to_connect(length))
        worker_.report_failures(attempt_.member->backend, Ejected::all);
      return;
    case Kind::reset:
      if (backend_->has_connection() && backend_->is_reused()) return;
      break;
    case Kind::timeout:
    case Kind::malformed:
      break;
    default:
      return;
  }
  if (backend.failures.failed_to_answer(length))
    worker_.report_failures(attempt_.member->backend, Ejected::new_sessions);
}

void Attempts::put_request() {
  if (session_.served.reason != Reason::none && request_.pool->config.session.announce) {
    memory_.announcement.clear();
    append_announcement(session_.served.binding, session_.served.reason, memory_.announcement);
    memory_.announcement += session_.state_note;
    const PoolStore* const keeper = records_.pool_store();
    if (keeper != nullptr && keeper->keeps_state()) session_.announced_at = turn_.wall_now();
    if (keeper != nullptr && keeper->proof() != nullptr)
      keeper->proof()->append(session_.served.binding, session_.announced_at, memory_.announcement);
  }
  if (request_.deadline != Clock::Steady::max() && turn_.now() != request_.began) {
    memory_.grpc_timeout.clear();
    append_grpc_timeout(request_.deadline - turn_.now(), memory_.grpc_timeout);
  }
  const RequestContext context{request_.head,
                               request_.arrival,
                               *request_.pool,
                               *request_.route,
                               *attempt_.member,
                               memory_.request_edits,
                               memory_.announcement,
                               session_.state,
                               connection_.listener->config.request_id,
                               request_.id.text,
                               request_.id.from_client,
                               request_.snapshot->shared->claim_headers,
                               memory_.passed,
                               connection_.listener->config.strip_client_headers,
                               memory_.grpc_timeout};
  edit_request(context, memory_.arena, worker_.out);
  if (request_.head.connection_auth || connector_.has_reserved())
    worker_.out.close = false;  // keep the connection open: it is what is authenticated
  backend_->put_head(worker_.out);
}

/// Forwards an interim response (1xx) at once. False: the client is gone. A backend may send many without a
/// pause, hence the turn limit.
Task<bool> Attempts::forward_interim() {
  OutHead interim;
  edit_interim(memory_.response, interim);
  client_.put_interim(interim);
  if (memory_.response.status == 100 && !std::exchange(attempt_.continued, true))
    attempt_.last_progress = turn_.now();  // from here on we wait for the client's body
  const Clock::Steady deadline = turn_.now() + connection_.timeouts().write;
  for (;;) {
    const Io io = client_.flush();
    if (io == Io::ready) break;
    if (io == Io::failed) co_return false;
    if (co_await turn_.wait(deadline)) co_return false;
  }
  if (attempt_.interims % interims_per_turn == 0) co_await turn_.let_others_run();
  co_return true;
}

}  // namespace remora
