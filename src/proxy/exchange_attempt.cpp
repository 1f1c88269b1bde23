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
  const Clock::Steady began = now();
  InLine line(member_->backend, member_->max_in_flight, worker_.loop.ctx, wake_);
  while (!line.granted()) {
    client_.watch();
    bool late = false;
    if (!client_.cut_short()) late = co_await wait(began + timeouts_.queue);
    if (line.granted()) break;
    const bool gone = client_.gone() || client_.cut_short();
    if (!gone && !late) continue;
    if (gone)
      fail(FailSide::client, Kind::gone);
    else
      fail(FailSide::self, Kind::queue_full);
    queue_time_ += now() - began;
    co_return false;
  }
  place_ = line.take();
  queue_time_ += now() - began;
  co_return true;
}

/// Who stood in line chose long ago: the backend may be down by now, or have been taken out of service. Then
/// another is chosen, as nothing was sent.
bool Exchange::still_serves() {
  if (queue_time_.count() == 0) return true;
  const Backend& backend = *member_->backend;
  // The next leg of a handshake has nowhere else to go.
  if (held_ != nullptr && request_.connection_auth) {
    const BoundConnections::Place at = held_->place_in(pool_->config.name);
    if (at.leg_due && at.backend == &backend) return true;
  }
  const auto& pools = worker_.snapshot->shared->pools;
  const auto newest = std::find_if(pools.begin(), pools.end(),
                                   [&](const auto& p) { return p->config.name == pool_->config.name; });
  if (newest == pools.end()) return true;  // nobody else of that pool serves either
  const Member* const m = (*newest)->snapshot->find(backend.hash);
  bool serves = m != nullptr && (m->panic || !backend.liveness.down());
  if (serves) {
    using What = Recognised::What;
    const bool keyed = recognised_.what == What::derived || recognised_.what == What::unbound;
    const bool bound = recognised_.what == What::session || recognised_.what == What::detached;
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

/// Sends the request while it comes in, and waits for the final response head. Sets failure_ or response_.
Task<void> Exchange::attempt() {
  ++attempts_;
  interims_ = 0;
  doubts_ = 0;
  continued_ = false;
  attempt_at_ = moved_at_ = now();
  member_->backend->served.fetch_add(1, std::memory_order_relaxed);
  traffic_ = &member_->backend->traffic[worker_.index];
  put_request();
  bool connected = held_ != nullptr && take_own_connection();
  if (!connected && !failure_) connected = take_idle_connection();
  if (!connected && !failure_) connected = co_await open_connection();
  if (connected && !failure_) {
    backend_.attach(wake_, Wake::backend);
    for (Step step = pump_attempt(); step == Step::blocked || step == Step::more; step = pump_attempt()) {
      if (step == Step::more && co_await forward_interim()) continue;
      if (step == Step::more) fail(FailSide::client, Kind::gone);
      if (step == Step::more) break;
      const Patience patient = patience();
      if (patient.clients_turn && client_is_too_slow()) break;
      if (doubts_ != 0 && leaves_hung(false)) break;
      const Clock::Steady since = now();
      const bool late = co_await wait(patient.ask_at);
      if (patient.clients_turn) body_rate_.waited(now() - since);
      expect_outcome();
      if (late && !waits_on(patient)) break;
    }
  }
  doubter_.leave();
  teach_balancer();
  if (!failure_) first_byte_time_ = now() - head_at_;
  if (!failure_) note_connection_auth();
  if (!failure_ && status_is_failure()) fail(FailSide::backend, Kind::status, response_.status);
  note_outcome();
}

/// A connection to this backend that is the client's alone: everything it asks there goes over it. A later
/// leg of a handshake goes over no other (failure_).
bool Exchange::take_own_connection() {
  BoundConnections::Taken own = held_->take(*member_->backend, pool_->connection_key(*member_), now());
  leg_ = own.leg_due && request_.connection_auth;
  if (own.stream) {
    belongs_ = true;
    backend_.use(std::move(own.stream), true);
    return true;
  }
  if (leg_) fail(FailSide::self, Kind::handshake_lost);
  return false;
}

/// Whether the connection counts as its user's for the backend, now that its answer is here.
void Exchange::note_connection_auth() {
  const bool may_ask = response_.status == 401 || response_.status == 407;
  if (!may_ask && !request_.connection_auth) return;
  const ConnectionAuth asked = asked_connection_auth(response_.status, response_.fields);
  belongs_ = belongs_ || request_.connection_auth || asked != ConnectionAuth::none;
  leg_due_ = request_.connection_auth && asked == ConnectionAuth::continued;
}

bool Exchange::take_idle_connection() {
  belongs_ = false;
  if (fresh_only_) return false;
  const bool certain = !idempotent(request_.method) || attempts_ >= pool_->config.failover.attempts;
  StreamRef idle = worker_.idle.take(*member_->backend, pool_->connection_key(*member_), certain, now());
  if (!idle) return false;
  backend_.use(std::move(idle), true);
  return true;
}

/// more: an interim response is there. Failures stand in failure_.
Exchange::Step Exchange::pump_attempt() {
  if (!pump_request()) {
    fail_from_client();
    return Step::client_failed;
  }
  const Io io = backend_.read_head(response_, request_.method);
  const bool unasked =
      io == Io::ready && response_.status == 101 &&
      (!request_.upgrade || !switches_as_asked(response_.fields, request_.fields, route_->config));
  if (io == Io::failed || unasked) {
    const bool malformed = unasked || backend_.failure().kind == SideFailure::Kind::malformed;
    fail(FailSide::backend, malformed ? Kind::malformed : Kind::reset);
    return Step::backend_failed;
  }
  if (io == Io::ready && (response_.status >= 200 || response_.status == 101)) return Step::done;
  if (io == Io::ready && ++interims_ <= max_interims) return Step::more;
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
  const bool owes_continue = request_.expect_continue && !continued_ && !body_rate_.any();
  const bool sent = backend_.request_sent() || request_broken_ || owes_continue;
  const bool on_backend = backend_.stream().send_blocked();
  const Clock::Steady deadline = moved_at_ + (sent         ? timeouts_.response
                                              : on_backend ? timeouts_.write
                                                           : client_timeouts().body);
  // A client that broke off together with its request raised no event: after a second it is asked once.
  const Clock::Steady ask_at =
      sent && !asked_client_ ? std::min(deadline, moved_at_ + std::chrono::seconds(1)) : deadline;
  if (sent && suspect_after_.count() != 0) return {deadline, std::min(ask_at, next_doubt()), false};
  return {deadline, ask_at, !sent && !on_backend};
}

/// The time that was waited for has come. False: that was too long.
bool Exchange::waits_on(const Patience& patient) {
  if (patient.ask_at < patient.deadline) {
    if (suspect_after_.count() != 0 && now() >= next_doubt()) doubt();
    if (!asked_client_ && now() >= moved_at_ + std::chrono::seconds(1)) {
      asked_client_ = true;
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
  if (!body_rate_.too_slow(listener_->config.limits.body_rate, client_timeouts().body)) return false;
  fail(FailSide::client, Kind::client_timeout);
  return true;
}

/// How long the backend took, from when it had the whole request: how fast the client sent it, and how long
/// it waited here, say nothing of a backend. Nor do errors, and answers that never came, say that it is
/// quick.
void Exchange::teach_balancer() {
  if (!backend_.has_stream() || !backend_.request_sent()) return;
  using Took = LoadBalancer::Took;
  const Took how = !failure_ && response_.status < 500 ? Took::exactly : Took::at_least;
  balancer().observe(*member_->backend, now() - moved_at_, now(), how);
}

/// An answer may have come: while its head is read, what note_outcome() and release_backend() touch comes
/// from memory.
void Exchange::expect_outcome() const noexcept {
  const Backend& backend = *member_->backend;
  fetch_ahead(&backend.in_flight);
  fetch_whole_ahead(traffic_);
  worker_.idle.expect(backend);
}

/// What live traffic shows of the backend (`health.eject`). A connection that had grown stale shows nothing,
/// nor does a client's own failure.
void Exchange::note_outcome() {
  Backend& backend = *member_->backend;
  const bool answered = failure_.kind == Kind::none || failure_.kind == Kind::status;
  if (failure_.side != FailSide::client && failure_.side != FailSide::self)
    traffic_->count(answered ? response_.status : 0, now() - attempt_at_);
  const std::uint32_t length = pool_->config.eject.consecutive_failures;
  switch (failure_.kind) {
    case Kind::none:
    case Kind::status:
      if (response_.status < 502 || response_.status > 504) return backend.failures.succeeded();
      break;
    case Kind::refused:
    case Kind::connect_timeout:
      if (!backend.lost.exchange(true)) worker_.report_lost(member_->backend);
      if (backend.failures.failed_to_connect(length)) worker_.report_failures(member_->backend, Ejected::all);
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
    worker_.report_failures(member_->backend, Ejected::new_sessions);
}

Task<bool> Exchange::open_connection() {
  const bool named = pool_->config.tls && !pool_->config.tls->server_name.empty();
  const std::string& name = named ? pool_->config.tls->server_name : member_->address.host;
  const Trial* const trial = pool_->trial(*member_).get();
  const std::size_t count = trial != nullptr ? trial->all.size() : 1;
  const std::size_t first = trial != nullptr ? trial->first() : 0;
  bool connected = false;
  // Each address has its share of the time (RFC 8305 in spirit); which one answered is remembered.
  for (std::size_t i = 0; i < count && !connected && failure_.side != FailSide::client; ++i) {
    const std::size_t place = (first + i) % count;
    const Endpoint& endpoint = trial != nullptr ? trial->all[place] : pool_->endpoint(*member_);
    const Clock::Steady begun = i == 0 ? attempt_at_ : now();
    const auto left = attempt_at_ + timeouts_.connect - begun;
    const Clock::Steady deadline = begun + left / static_cast<int>(count - i);
    Connecting connecting(worker_.loop, endpoint, pool_->tls.get(), name, wake_, Wake::backend);
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
      if (!client_.cut_short()) late = co_await wait(deadline);
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
    failure_ = Failure();  // of the addresses before
    if (i > 0) trial->answered(place);
    backend_.use(connecting.take(), false);
  }
  moved_at_ = now();
  connect_time_ += moved_at_ - attempt_at_;
  co_return connected;
}

void Exchange::put_request() {
  if (served_.reason != Reason::none && pool_->config.session.announce) {
    announcement_.clear();
    append_announcement(served_.binding, served_.reason, announcement_);
    announcement_ += state_note_;
    const PoolStore* const keeper = pool_store();
    if (keeper != nullptr && keeper->keeps_state()) announced_at_ = wall_now();
    if (keeper != nullptr && keeper->proof() != nullptr)
      keeper->proof()->append(served_.binding, announced_at_, announcement_);
  }
  const RequestContext context{request_,
                               arrival_,
                               *pool_,
                               *route_,
                               *member_,
                               request_edits_,
                               announcement_,
                               state_,
                               listener_->config.request_id,
                               request_id_text_,
                               request_id_from_client_,
                               snapshot_->shared->claim_headers,
                               passed_,
                               listener_->config.strip_client_headers};
  edit_request(context, arena_, worker_.out);
  if (request_.connection_auth || held_ != nullptr)
    worker_.out.close = false;  // the connection is what counts
  backend_.put_head(worker_.out);
}

/// A status that the configuration retries, and somebody else to ask. Otherwise it is passed on as it is.
bool Exchange::status_is_failure() const noexcept {
  if (response_.status < 502 || response_.status > 504 || belongs_) return false;
  Failure f;
  f.kind = Kind::status;
  f.status = response_.status;
  f.acted = true;
  if (attempts_ >= pool_->config.failover.attempts) return false;
  if (!may_repeat(f, retry_rules(), request_.method, !replay_overflow_)) return false;
  return ((bound_ || is_keyed()) && same_backend_left_ > 0) || somebody_else();
}

/// 100, 103 and their like go to the client as they come. A backend may send many without a pause.
Task<bool> Exchange::forward_interim() {
  OutHead interim;
  edit_interim(response_, interim);
  client_.put_interim(interim);
  if (response_.status == 100 && !std::exchange(continued_, true))
    moved_at_ = now();  // now the client's time begins
  const Clock::Steady deadline = now() + client_timeouts().write;
  for (;;) {
    const Io io = client_.flush();
    if (io == Io::ready) break;
    if (io == Io::failed) co_return false;
    if (co_await wait(deadline)) co_return false;
  }
  if (interims_ % rounds_per_turn == 0) co_await let_others_run();
  co_return true;
}

/// Sends what can be sent of the request now. False: the client's side failed.
bool Exchange::pump_request() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (backend_.request_sent() || request_broken_) {
      client_.watch();
      return true;
    }
    if (backend_.stream().send_blocked()) return true;
    if (replay_overflow_ && may_splice(client_, backend_, request_splice_)) {
      std::uint64_t passed = 0;
      const Step step = splice(client_, backend_, request_splice_, passed);
      if (step == Step::backend_failed) return false;
      body_rate_.received(passed);
      request_broken_ = step == Step::client_failed;
      if (step != Step::more) return true;
      continue;
    }
    asio::const_buffer kept;
    Body body;
    bool from_client = false, waiting = false;
    if (replay_at_ < replay_.size()) {  // a further attempt: first what was kept
      kept = asio::const_buffer(replay_.data() + replay_at_, replay_.size() - replay_at_);
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
      request_broken_ = true;  // it may have answered all the same: read on
      return true;
    }
    if (from_client) {
      record_for_replay(body, taken.bytes);
      client_.consume(taken.bytes);
      body_rate_.received(taken.bytes);
    } else if (!waiting) {
      replay_at_ += taken.bytes;
    }
    if (taken.bytes > 0 || taken.finished) moved_at_ = now();
    if (taken.io == Io::blocked || (waiting && !taken.finished)) return true;
  }
  more_ = true;
  return true;
}

/// Only an idempotent request can be repeated after its body was sent, so only its body is kept.
void Exchange::record_for_replay(Body body, std::size_t taken) {
  if (taken == 0 || replay_overflow_) return;
  if (!idempotent(request_.method) || replay_.size() + taken > pool_->config.failover.replay_body) {
    replay_overflow_ = true;
    replay_.clear();
    replay_at_ = 0;
    return;
  }
  for (const auto& run : body.runs) {
    const std::size_t n = std::min(run.size(), taken);
    replay_.append(static_cast<const char*>(run.data()), n);
    taken -= n;
  }
  replay_at_ = replay_.size();
}

}  // namespace remora
