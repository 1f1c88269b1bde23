// Towards the backend: waiting for a place, connecting, sending the request, waiting for the response head.

#include <algorithm>

#include "http/connection_auth.h"
#include "proxy/exchange.h"
#include "util/fetch_ahead.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

/// The backend is full: waits in line up to `timeouts.queue`.
Task<bool> Exchange::wait_for_place() {
  const Clock::Steady began = turn_.now();
  InLine line(attempt_.member->backend, attempt_.member->max_in_flight, worker_.loop.ctx, turn_.wake());
  while (!line.granted()) {
    client_.watch();
    bool late = false;
    if (!client_.cut_short()) late = co_await turn_.wait(began + request_.timeouts.queue);
    if (line.granted()) break;
    const bool gone = client_.gone() || client_.cut_short();
    if (!gone && !late) continue;
    if (gone)
      fail(FailSide::client, Kind::gone);
    else
      fail(FailSide::self, Kind::queue_full);
    request_.took.queue += turn_.now() - began;
    co_return false;
  }
  attempt_.place = line.take();
  request_.took.queue += turn_.now() - began;
  co_return true;
}

/// Who stood in line chose long ago: the backend may be down by now, or have been taken out of service. Then
/// another is chosen, as nothing was sent.
bool Exchange::still_serves() {
  if (request_.took.queue.count() == 0) return true;
  const Backend& backend = *attempt_.member->backend;
  // The next leg of a handshake has nowhere else to go.
  if (own_connections() != nullptr && request_.head.connection_auth) {
    const BoundConnections::Place at = own_connections()->place_in(request_.pool->config.name);
    if (at.leg_due && at.backend == &backend) return true;
  }
  const auto& pools = worker_.snapshot->shared->pools;
  const auto newest = std::find_if(pools.begin(), pools.end(), [&](const auto& p) {
    return p->config.name == request_.pool->config.name;
  });
  if (newest == pools.end()) return true;  // nobody else of that pool serves either
  const Member* const m = (*newest)->snapshot->find(backend.hash);
  bool serves = m != nullptr && (m->panic || !backend.liveness.down());
  if (serves) {
    using What = Recognised::What;
    const bool keyed = session_.recognised.what == What::derived || session_.recognised.what == What::unbound;
    const bool bound =
        session_.recognised.what == What::session || session_.recognised.what == What::detached;
    serves = bound ? m->accepts_bound() : keyed ? m->accepts_keyed() : m->accepts_new();
  }
  if (!serves) fail(FailSide::self, Kind::out_of_service);
  return serves;
}

/// What the wait for a response head depends on now.
struct Exchange::Patience {
  Clock::Steady deadline, ask_at;
  bool clients_turn;  // it is the client whose bytes are missing
};

/// Sends the request while it comes in, and waits for the final response head. Sets attempt_.failure or
/// memory_.response.
Task<void> Exchange::attempt() {
  ++attempt_.count;
  attempt_.interims = 0;
  attempt_.doubts = 0;
  attempt_.continued = false;
  attempt_.began = attempt_.last_progress = turn_.now();
  attempt_.member->backend->served.fetch_add(1, std::memory_order_relaxed);
  attempt_.traffic = &attempt_.member->backend->traffic[worker_.index];
  put_request();
  const bool have_own = own_connections() != nullptr && take_own_connection();
  if (!attempt_.failure && (have_own || take_idle_connection() || co_await open_connection())) {
    backend_.attach(turn_.wake(), Wake::backend);
    for (Step step = pump_attempt(); step == Step::blocked || step == Step::more; step = pump_attempt()) {
      if (step == Step::more && co_await forward_interim()) continue;
      if (step == Step::more) fail(FailSide::client, Kind::gone);
      if (step == Step::more) break;
      const Patience patient = patience();
      if (patient.clients_turn && client_is_too_slow()) break;
      if (attempt_.doubts != 0 && leaves_hung(false)) break;
      const Clock::Steady since = turn_.now();
      const bool late = co_await turn_.wait(patient.ask_at);
      if (patient.clients_turn) request_.body_rate.waited(turn_.now() - since);
      expect_outcome();
      if (late && !waits_on(patient)) break;
    }
  }
  attempt_.doubter.leave();
  teach_balancer();
  if (!attempt_.failure) request_.took.first_byte = turn_.now() - request_.began;
  if (!attempt_.failure) note_connection_auth();
  if (!attempt_.failure && status_is_failure())
    fail(FailSide::backend, Kind::status, memory_.response.status);
  note_outcome();
}

/// A connection to this backend that is the client's alone: everything it asks there goes over it. A later
/// leg of a handshake goes over no other (attempt_.failure).
bool Exchange::take_own_connection() {
  BoundConnections::Taken own = own_connections()->take(
      *attempt_.member->backend, request_.pool->connection_key(*attempt_.member), turn_.now());
  attempt_.leg = own.leg_due && request_.head.connection_auth;
  if (own.stream) {
    attempt_.belongs = true;
    backend_.use(std::move(own.stream), true);
    return true;
  }
  if (attempt_.leg) fail(FailSide::self, Kind::handshake_lost);
  return false;
}

/// Whether the connection counts as its user's for the backend, now that its answer is here.
void Exchange::note_connection_auth() {
  const bool may_ask = memory_.response.status == 401 || memory_.response.status == 407;
  if (!may_ask && !request_.head.connection_auth) return;
  const ConnectionAuth asked = asked_connection_auth(memory_.response.status, memory_.response.fields);
  attempt_.belongs = attempt_.belongs || request_.head.connection_auth || asked != ConnectionAuth::none;
  attempt_.leg_due = request_.head.connection_auth && asked == ConnectionAuth::continued;
}

bool Exchange::take_idle_connection() {
  attempt_.belongs = false;
  if (attempt_.fresh_only) return false;
  const bool certain =
      !idempotent(request_.head.method) || attempt_.count >= request_.pool->config.failover.attempts;
  StreamRef idle = worker_.idle.take(*attempt_.member->backend,
                                     request_.pool->connection_key(*attempt_.member), certain, turn_.now());
  if (!idle) return false;
  backend_.use(std::move(idle), true);
  return true;
}

/// more: an interim response is there. Failures stand in attempt_.failure.
Exchange::Step Exchange::pump_attempt() {
  if (!pump_request()) {
    fail_from_client();
    return Step::client_failed;
  }
  const Io io = backend_.read_head(memory_.response, request_.head.method);
  const bool unasked =
      io == Io::ready && memory_.response.status == 101 &&
      (!request_.head.upgrade ||
       !switches_as_asked(memory_.response.fields, request_.head.fields, request_.route->config));
  if (io == Io::failed || unasked) {
    const bool malformed = unasked || backend_.failure().kind == SideFailure::Kind::malformed;
    fail(FailSide::backend, malformed ? Kind::malformed : Kind::reset);
    return Step::backend_failed;
  }
  if (io == Io::ready && (memory_.response.status >= 200 || memory_.response.status == 101))
    return Step::done;
  if (io == Io::ready && ++attempt_.interims <= max_interims) return Step::more;
  if (io == Io::ready) {
    fail(FailSide::backend, Kind::malformed);
    return Step::backend_failed;
  }
  if (!client_.gone()) return Step::blocked;
  fail(FailSide::client, Kind::gone);
  return Step::client_failed;
}

/// Whose turn is it? Ours to wait for: an answer, room at the backend, or more of the client's body.
Exchange::Patience Exchange::patience() const noexcept {
  // RFC 9110 10.1.1: a client may wait for a 100 before it sends its body, and that is the backend's to give.
  const bool owes_continue =
      request_.head.expect_continue && !attempt_.continued && !request_.body_rate.any();
  const bool sent = backend_.request_sent() || attempt_.request_broken || owes_continue;
  const bool on_backend = backend_.stream().send_blocked();
  const Clock::Steady deadline = attempt_.last_progress + (sent         ? request_.timeouts.response
                                                           : on_backend ? request_.timeouts.write
                                                                        : client_timeouts().body);
  // A client that broke off together with its request raised no event: after a second it is asked once.
  const Clock::Steady ask_at = sent && !attempt_.asked_client
                                   ? std::min(deadline, attempt_.last_progress + std::chrono::seconds(1))
                                   : deadline;
  if (sent && request_.suspect_after.count() != 0) return {deadline, std::min(ask_at, next_doubt()), false};
  return {deadline, ask_at, !sent && !on_backend};
}

/// The time that was waited for has come. False: that was too long.
bool Exchange::waits_on(const Patience& patient) {
  if (patient.ask_at < patient.deadline) {
    if (request_.suspect_after.count() != 0 && turn_.now() >= next_doubt()) doubt();
    if (!attempt_.asked_client && turn_.now() >= attempt_.last_progress + std::chrono::seconds(1)) {
      attempt_.asked_client = true;
      client_.stream().was_reset();
    }
    return true;
  }
  if (leaves_hung(true)) return false;
  fail(patient.clients_turn ? FailSide::client : FailSide::backend,
       patient.clients_turn ? Kind::client_timeout : Kind::timeout);
  return false;
}

/// True: on the whole the client's bytes come too slowly (`limits.body_rate`). To be asked when all that have
/// come were counted.
bool Exchange::client_is_too_slow() {
  if (!request_.body_rate.too_slow(connection_.listener->config.limits.body_rate, client_timeouts().body))
    return false;
  fail(FailSide::client, Kind::client_timeout);
  return true;
}

/// How long the backend took, from when it had the whole request: how fast the client sent it, and how long
/// it waited here, say nothing of a backend. Nor do errors, and answers that never came, say that it is
/// quick.
void Exchange::teach_balancer() {
  if (!backend_.has_stream() || !backend_.request_sent()) return;
  using Took = LoadBalancer::Took;
  const Took how = !attempt_.failure && memory_.response.status < 500 ? Took::exactly : Took::at_least;
  balancer().observe(*attempt_.member->backend, turn_.now() - attempt_.last_progress, turn_.now(), how);
}

/// An answer may have come: while its head is read, what note_outcome() and release_backend() touch comes
/// from memory.
void Exchange::expect_outcome() const noexcept {
  const Backend& backend = *attempt_.member->backend;
  fetch_ahead(&backend.in_flight);
  fetch_whole_ahead(attempt_.traffic);
  worker_.idle.expect(backend);
}

/// What live traffic shows of the backend (`health.eject`). A connection that had grown stale shows nothing,
/// nor does a client's own failure.
void Exchange::note_outcome() {
  Backend& backend = *attempt_.member->backend;
  const bool answered = attempt_.failure.kind == Kind::none || attempt_.failure.kind == Kind::status;
  if (attempt_.failure.side != FailSide::client && attempt_.failure.side != FailSide::self)
    attempt_.traffic->count(answered ? memory_.response.status : 0, turn_.now() - attempt_.began);
  const std::uint32_t length = request_.pool->config.eject.consecutive_failures;
  switch (attempt_.failure.kind) {
    case Kind::none:
    case Kind::status:
      if (memory_.response.status < 502 || memory_.response.status > 504) return backend.failures.succeeded();
      break;
    case Kind::refused:
    case Kind::connect_timeout:
      if (!backend.lost.exchange(true)) worker_.report_lost(attempt_.member->backend);
      if (backend.failures.failed_to_connect(length))
        worker_.report_failures(attempt_.member->backend, Ejected::all);
      return;
    case Kind::reset:
      if (backend_.has_stream() && backend_.reused()) return;
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

Task<bool> Exchange::open_connection() {
  const bool named = request_.pool->config.tls && !request_.pool->config.tls->server_name.empty();
  const std::string& name = named ? request_.pool->config.tls->server_name : attempt_.member->address.host;
  const Trial* const trial = request_.pool->trial(*attempt_.member).get();
  const std::size_t count = trial != nullptr ? trial->all.size() : 1;
  const std::size_t first = trial != nullptr ? trial->first() : 0;
  bool connected = false;
  // Each address has its share of the time (RFC 8305 in spirit); which one answered is remembered.
  for (std::size_t i = 0; i < count && !connected && attempt_.failure.side != FailSide::client; ++i) {
    const std::size_t place = (first + i) % count;
    const Endpoint& endpoint =
        trial != nullptr ? trial->all[place] : request_.pool->endpoint(*attempt_.member);
    const Clock::Steady begun = i == 0 ? attempt_.began : turn_.now();
    const auto left = attempt_.began + request_.timeouts.connect - begun;
    const Clock::Steady deadline = begun + left / static_cast<int>(count - i);
    Connecting connecting(worker_.loop, endpoint, request_.pool->tls.get(), name, turn_.wake(),
                          Wake::backend);
    for (;;) {
      client_.watch();
      const Io io = connecting.step();
      connected = io == Io::ready;
      if (connected) break;
      if (io == Io::failed) {
        fail(FailSide::backend, connecting.unreachable() ? Kind::connect_timeout : Kind::refused);
        break;
      }
      bool late = false;
      if (!client_.cut_short()) late = co_await turn_.wait(deadline);
      if (client_.gone() || client_.cut_short()) {
        fail(FailSide::client, Kind::gone);
        break;
      }
      if (late) {
        fail(FailSide::backend, Kind::connect_timeout);
        break;
      }
    }
    if (!connected) continue;
    attempt_.failure = Failure();  // of the addresses before
    if (i > 0) trial->answered(place);
    backend_.use(connecting.take(), false);
  }
  attempt_.last_progress = turn_.now();
  request_.took.connect += attempt_.last_progress - attempt_.began;
  co_return connected;
}

void Exchange::put_request() {
  if (session_.served.reason != Reason::none && request_.pool->config.session.announce) {
    memory_.announcement.clear();
    append_announcement(session_.served.binding, session_.served.reason, memory_.announcement);
    memory_.announcement += session_.state_note;
    const PoolStore* const keeper = pool_store();
    if (keeper != nullptr && keeper->keeps_state()) session_.announced_at = turn_.wall_now();
    if (keeper != nullptr && keeper->proof() != nullptr)
      keeper->proof()->append(session_.served.binding, session_.announced_at, memory_.announcement);
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
                               connection_.listener->config.strip_client_headers};
  edit_request(context, memory_.arena, worker_.out);
  if (request_.head.connection_auth || own_connections() != nullptr)
    worker_.out.close = false;  // the connection is what counts
  backend_.put_head(worker_.out);
}

/// A status that the configuration retries, and somebody else to ask. Otherwise it is passed on as it is.
bool Exchange::status_is_failure() const noexcept {
  if (memory_.response.status < 502 || memory_.response.status > 504 || attempt_.belongs) return false;
  Failure f;
  f.kind = Kind::status;
  f.status = memory_.response.status;
  f.acted = true;
  if (attempt_.count >= request_.pool->config.failover.attempts) return false;
  if (!may_repeat(f, retry_rules(), request_.head.method, !attempt_.replay_overflow)) return false;
  return ((session_.bound || is_keyed()) && attempt_.same_backend_left > 0) || somebody_else();
}

/// 100, 103 and their like go to the client as they come. A backend may send many without a pause.
Task<bool> Exchange::forward_interim() {
  OutHead interim;
  edit_interim(memory_.response, interim);
  client_.put_interim(interim);
  if (memory_.response.status == 100 && !std::exchange(attempt_.continued, true))
    attempt_.last_progress = turn_.now();  // now the client's time begins
  const Clock::Steady deadline = turn_.now() + client_timeouts().write;
  for (;;) {
    const Io io = client_.flush();
    if (io == Io::ready) break;
    if (io == Io::failed) co_return false;
    if (co_await turn_.wait(deadline)) co_return false;
  }
  if (attempt_.interims % rounds_per_turn == 0) co_await turn_.let_others_run();
  co_return true;
}

/// Sends what can be sent of the request now. False: the client's side failed.
bool Exchange::pump_request() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (backend_.request_sent() || attempt_.request_broken) {
      client_.watch();
      return true;
    }
    if (backend_.stream().send_blocked()) return true;
    if (attempt_.replay_overflow && may_splice(client_, backend_, attempt_.request_splice)) {
      std::uint64_t passed = 0;
      const Step step = splice(client_, backend_, attempt_.request_splice, passed);
      if (step == Step::backend_failed) return false;
      request_.body_rate.received(passed);
      attempt_.request_broken = step == Step::client_failed;
      if (step != Step::more) return true;
      continue;
    }
    asio::const_buffer kept;
    Body body;
    bool from_client = false, waiting = false;
    if (attempt_.replay_at < memory_.replay.size()) {  // a further attempt: first what was kept
      kept = asio::const_buffer(memory_.replay.data() + attempt_.replay_at,
                                memory_.replay.size() - attempt_.replay_at);
      body = {{&kept, 1}, client_.request_complete()};
    } else {
      const Io io = client_.fill();
      if (io == Io::failed) return false;
      from_client = io == Io::ready;
      waiting = io == Io::blocked;
      if (from_client) body = client_.body();
    }
    const Taken taken = backend_.send(body, client_.trailers());
    if (taken.io == Io::failed) {
      attempt_.request_broken = true;  // it may have answered all the same: read on
      return true;
    }
    if (from_client) {
      record_for_replay(body, taken.bytes);
      client_.consume(taken.bytes);
      request_.body_rate.received(taken.bytes);
    } else if (!waiting) {
      attempt_.replay_at += taken.bytes;
    }
    if (taken.bytes > 0 || taken.finished) attempt_.last_progress = turn_.now();
    if (taken.io == Io::blocked || (waiting && !taken.finished)) return true;
  }
  turn_.pause();
  return true;
}

/// Only an idempotent request can be repeated after its body was sent, so only its body is kept.
void Exchange::record_for_replay(Body body, std::size_t taken) {
  if (taken == 0 || attempt_.replay_overflow) return;
  if (!idempotent(request_.head.method) ||
      memory_.replay.size() + taken > request_.pool->config.failover.replay_body) {
    attempt_.replay_overflow = true;
    memory_.replay.clear();
    attempt_.replay_at = 0;
    return;
  }
  for (const auto& run : body.runs) {
    const std::size_t n = std::min(run.size(), taken);
    memory_.replay.append(static_cast<const char*>(run.data()), n);
    taken -= n;
  }
  attempt_.replay_at = memory_.replay.size();
}

}  // namespace remora
