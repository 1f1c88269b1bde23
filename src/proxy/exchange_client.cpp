// Towards the client: reading the request head, relaying the response, tunnels, answers of our own.

#include <algorithm>

#include "proxy/answers.h"
#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;
using std::chrono::seconds;

/// A whole head, without waiting: the next request came together with the last one.
bool Exchange::head_came() {
  return !client_.stream().unread().empty() && client_.read_head(request_) == Io::ready;
}

/// keep: a head was read. Anything else ends the turn of this connection.
Task<Exchange::End> Exchange::await_head() {
  // Parking and waking cost six system calls, so not between the requests of a busy connection; but what many
  // that are active at once take from the heap leaves holes between what stays (measured: an idle TLS
  // connection is 15.2 KB when this is a second, 14.7 when it is half, 14.4 when it is a quarter).
  constexpr auto park_after = std::chrono::milliseconds(500);
  bool began = false;
  Clock::Steady deadline = now() + park_after;
  const Clock::Steady idle_deadline = idle_since_ + client_timeouts().idle;
  for (;;) {
    const Io io = client_.read_head(request_);
    if (io == Io::ready) co_return End::keep;
    if (io == Io::failed) {
      const SideFailure& f = client_.failure();
      if (f.code == 0) co_return End::close;  // closed between requests, or in the middle of a head
      fail_from_client();
      refuse(Refusal::head, f.why);
      started_ = head_at_ = now();
      co_return co_await answer();
    }
    if (!began && !client_.stream().unread().empty()) {
      began = true;
      deadline = now() + client_timeouts().header;
    }
    if (!began && worker_.stopping) co_return End::close;
    if (!began) deadline = std::min(deadline, idle_deadline);
    if (!co_await wait(deadline)) continue;
    if (!began && now() >= idle_deadline) co_return End::close;
    if (!began) co_return End::park;
    fail(FailSide::client, Kind::client_timeout);
    refuse(Refusal::head, "it took too long (timeouts.header)");
    started_ = head_at_ = now();
    co_return co_await answer();
  }
}

void Exchange::begin_request() {
  started_ = head_at_ = touched_ = now();
  snapshot_ = worker_.snapshot;
  const auto& listener = snapshot_->shared->listeners[listener_->slot];
  if (listener != listener_) listener_ = listener;  // a reload changed it
}

void Exchange::put_response() {
  forced_close_ = last_answer();
  const std::string_view date =
      response_.find(Known::date) == nullptr ? worker_.date(wall_now()) : std::string_view();
  const ResponseContext context{response_,     *route_,           response_edits_, date,
                                forced_close_, pool_->config.via, request_.method};
  edit_response(context, worker_.out);
  client_.put_head(worker_.out);
  const bool unframed = response_.framing.kind == Framing::Kind::until_close ||
                        response_.framing.kind == Framing::Kind::chunked;
  if (unframed && request_.minor == 0) forced_close_ = true;
}

/// All of the response is here and leaves with one write, as most do.
bool Exchange::deliver_at_once() {
  moved_at_ = now();
  return response_.status != 101 && pump_request() && pump_response() == Step::done;
}

/// The response goes out: head, then body, while what is left of the request still goes in.
Task<Exchange::End> Exchange::deliver() {
  if (response_.status == 101) {
    co_await tunnel();
    finish();
    co_return End::close;
  }
  const bool complete = co_await relay();
  co_return end_response(complete);
}

Exchange::End Exchange::end_response(bool complete) {
  if (complete && backend_.trailers() != nullptr && served_.reason != Reason::none && !is_outdated())
    hear_state(read_session_fields(*backend_.trailers()), false);
  if (!complete) client_.abort();
  return finish();
}

Task<bool> Exchange::relay() {
  for (;;) {
    if (!pump_request()) {
      fail_from_client();
      co_return false;
    }
    switch (pump_response()) {
      case Step::done:
        co_return true;
      case Step::backend_failed:
        fail(FailSide::backend, Kind::reset);
        co_return false;
      case Step::client_failed:
        fail(FailSide::client, Kind::gone);
        co_return false;
      case Step::more:
        more_ = true;
        break;
      case Step::blocked:
        break;
    }
    if (client_.gone()) {
      fail(FailSide::client, Kind::gone);
      co_return false;
    }
    const bool on_client = client_.stream().send_blocked();
    const auto timeout = on_client ? client_timeouts().write : timeouts_.read;
    const Clock::Steady deadline = moved_at_ + timeout;
    const bool clients_turn =
        !on_client && !request_broken_ && !backend_.request_sent() && !backend_.stream().send_blocked();
    if (clients_turn && client_is_too_slow()) co_return false;
    const Clock::Steady since = now();
    const bool late = co_await wait(std::min(deadline, next_touch()));
    if (clients_turn) body_rate_.waited(now() - since);
    if (now() >= next_touch()) touch_session();
    if (!late || now() < deadline) continue;
    if (on_client)
      fail(FailSide::client, Kind::client_timeout);
    else
      fail(FailSide::backend, Kind::timeout);
    co_return false;
  }
}

/// Moves what can be moved of the response now.
Exchange::Step Exchange::pump_response() {
  if (response_edits_.body) return pump_rewritten();
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client_.stream().send_blocked()) return Step::blocked;
    if (!watches_ && may_splice(backend_, client_, response_splice_)) {
      const Step step = splice(backend_, client_, response_splice_, response_bytes_);
      if (step != Step::more) return step;
      continue;
    }
    const Io io = backend_.fill();
    if (io == Io::failed) return Step::backend_failed;
    Body body = io == Io::ready ? backend_.body() : Body{};
    if (watches_) look_at_events(body);
    if (splice_ahead() || response_splice_.holds_any()) {
      body.last = false;
      body.more = true;
    }
    const Taken taken = client_.send(body, backend_.trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response_bytes_ += taken.bytes;
    backend_.consume(taken.bytes);
    watched_ -= std::min(watched_, taken.bytes);
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) moved_at_ = now();
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

namespace {
constexpr std::uint64_t worth_splicing = 32 * 1024;
}

/// What is there of a long body behind its first bytes goes into the pipe before these leave, so that they
/// need no segment of their own.
bool Exchange::splice_ahead() {
  if (response_splice_.holds_any()) return false;  // once: the first bytes may have to wait for the client
  const std::uint64_t left = backend_.raw_behind();
  if (left < worth_splicing || !client_.takes_raw_next() || !response_splice_.start(worker_.loop.pipes))
    return false;
  const Splice::Moved moved = response_splice_.take(backend_.stream(), left);
  backend_.skip_raw(moved.taken);
  return moved.taken > 0;
}

/// Long bodies between plain sockets need not come through this process.
bool Exchange::may_splice(const Side& from, const Side& to, Splice& splice) noexcept {
  if (splice.holds_any()) return to.takes_raw() && !from.holds_body();  // what came before it goes first
  return from.raw_left() >= worth_splicing && to.takes_raw() && splice.start(worker_.loop.pipes);
}

/// One step of it. backend_failed stands for `from`, client_failed for `to`.
Exchange::Step Exchange::splice(Side& from, Side& to, Splice& splice, std::uint64_t& passed) {
  const Splice::Moved moved = splice.move(from.stream(), to.stream(), from.raw_left());
  from.skip_raw(moved.taken);
  passed += moved.passed;
  if (moved.passed > 0) moved_at_ = now();
  if (moved.to == Io::failed) return Step::client_failed;
  if (moved.from == Io::failed) return Step::backend_failed;
  return moved.to == Io::blocked || moved.from == Io::blocked ? Step::blocked : Step::more;
}

/// The same with a body that is changed on its way: what came in is rewritten, then sent.
Exchange::Step Exchange::pump_rewritten() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client_.stream().send_blocked()) return Step::blocked;
    Io io = Io::ready;
    if (rewritten_at_ == rewritten_.size() && !rewritten_last_) {
      rewritten_.clear();
      rewritten_at_ = 0;
      io = backend_.fill();
      if (io == Io::failed) return Step::backend_failed;
      if (io == Io::ready) {
        const Body body = backend_.body();
        for (const auto& run : body.runs)
          response_edits_.body->feed({static_cast<const char*>(run.data()), run.size()}, false, rewritten_);
        rewritten_last_ = body.last;
        if (body.last) response_edits_.body->feed({}, true, rewritten_);
        backend_.consume(body.size());
        moved_at_ = now();
      }
    }
    const asio::const_buffer rest(rewritten_.data() + rewritten_at_, rewritten_.size() - rewritten_at_);
    const Taken taken = client_.send({{&rest, 1}, rewritten_last_}, backend_.trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    rewritten_at_ += taken.bytes;
    response_bytes_ += taken.bytes;
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) moved_at_ = now();
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

// Tunnels -------------------------------------------------------------------------------------------

/// One direction of a tunnel.
struct Exchange::Lane {
  Side& from;
  Side& to;
  Stream& to_stream;
  bool ended = false;
  bool flushed = false;  // what was staged, as the head of the answer, has left
  std::uint64_t bytes = 0;
};

Exchange::Step Exchange::pump_lane(Lane& lane) {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (lane.ended) return Step::done;
    if (lane.to_stream.send_blocked()) return Step::blocked;
    const Io io = lane.from.fill();
    if (io == Io::failed) return Step::backend_failed;
    if (io == Io::blocked && lane.flushed) return Step::blocked;
    const Body body = io == Io::ready ? lane.from.body() : Body{};
    const Taken taken = lane.to.send(body, nullptr);
    if (taken.io == Io::failed) return Step::client_failed;
    lane.flushed = taken.io == Io::ready;
    lane.from.consume(taken.bytes);
    lane.bytes += taken.bytes;
    if (taken.bytes > 0) moved_at_ = now();
    if (taken.finished) {
      lane.ended = true;
      lane.to_stream.finish_sending();  // half-closed, as the other end did
    }
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

/// After 101: bytes both ways until both have ended, one broke, or nothing moved for `timeouts.tunnel`. An
/// end that came together with the last bytes raised no event: when it has been quiet for a moment, it is
/// asked for.
Task<void> Exchange::tunnel() {
  constexpr auto quiet = std::chrono::milliseconds(20);
  client_.tunnel();
  backend_.tunnel();
  Lane in{client_, backend_, backend_.stream()}, out{backend_, client_, client_.stream()};
  moved_at_ = now();
  bool asked = false;
  for (;;) {
    const Clock::Steady before = moved_at_;
    const Step a = pump_lane(in), b = pump_lane(out);
    response_bytes_ = out.bytes;
    // Where one end has said all, only a reset tells that it does not listen any more.
    if (in.ended) client_.stream().arm();
    if (out.ended) backend_.stream().arm();
    const bool broken = a == Step::backend_failed || a == Step::client_failed || b == Step::backend_failed ||
                        b == Step::client_failed || !client_.stream().is_open() ||
                        (in.ended && client_.stream().error()) || (out.ended && backend_.stream().error());
    if (broken || (in.ended && out.ended)) co_return;
    more_ = a == Step::more || b == Step::more;
    asked = asked && moved_at_ == before;
    const Clock::Steady deadline = moved_at_ + client_timeouts().tunnel;
    const Clock::Steady ask_at = asked ? deadline : moved_at_ + quiet;
    const Clock::Steady until = std::min(std::min(deadline, next_touch()), ask_at);
    const bool late = co_await wait(until);
    if (now() >= next_touch()) touch_session();
    if (late && now() >= deadline) co_return;
    if (asked || !late || now() < ask_at) continue;
    asked = true;
    client_.stream().still_open();
    backend_.stream().still_open();
  }
}

// Our own answers -----------------------------------------------------------------------------------

/// No backend's response will be delivered: says why, as the client can read it.
Task<Exchange::End> Exchange::answer() {
  if (answer_status_ == 0) answer_status_ = status_for(failure_);
  if (answer_status_ == 0) {  // the client is gone
    client_.abort();
    co_return finish();
  }
  backend_.abort();
  release_backend();
  // What is left of the request cannot be told from the next one: this connection ends.
  const bool readable = client_.request_complete() && failure_.side != FailSide::client;
  forced_close_ = !readable || last_answer();
  put_answer();
  std::size_t sent = 0;
  const Clock::Steady deadline = now() + client_timeouts().write;
  for (;;) {
    const asio::const_buffer rest = answer_run_ + sent;
    const Body body{{&rest, 1}, true};
    const Taken taken = client_.send(body, nullptr);
    sent += taken.bytes;
    if (taken.finished) break;
    if (taken.io == Io::failed || co_await wait(deadline)) {
      client_.abort();
      break;
    }
  }
  response_bytes_ = sent;
  co_return finish();
}

void Exchange::put_answer() {
  const bool head_only = request_.method == Method::head && failure_.side != FailSide::client;
  const std::string_view accept = [&] {
    const Field* f = failure_.side == FailSide::client ? nullptr : request_.find(Known::accept);
    return f != nullptr ? f->value : std::string_view();
  }();
  const Answer made = make_answer(answer_status_, accept, answer_body_, answer_text_);
  if (clear_session_) clear_tokens(false);
  if (answer_status_ == 503 && retry_after_ == 0) retry_after_ = 1;
  OutHead& out = worker_.out;
  out.clear();
  out.status = answer_status_;
  out.reason = made.reason;
  out.close = forced_close_;
  std::string& number = arena_.scratch();
  append_decimal(number, made.body.size());
  out.fields.push_back({"Date", worker_.date(wall_now()), Known::date});
  out.fields.push_back({"Content-Type", made.content_type, Known::content_type});
  out.fields.push_back({"Content-Length", arena_.join(number), Known::content_length});
  out.fields.push_back({"Cache-Control", "no-store", Known::cache_control});
  if (!challenge_.empty()) out.fields.push_back({"WWW-Authenticate", challenge_, Known::other});
  if (!location_.empty()) out.fields.push_back({"Location", location_, Known::other});
  if (retry_after_ > 0) {
    number.clear();
    append_decimal(number, retry_after_);
    out.fields.push_back({"Retry-After", arena_.join(number), Known::retry_after});
  }
  out.raw_fields = response_edits_.lines;
  if (route_ != nullptr) edit_answer(*route_, out);
  out.framing = {Framing::Kind::length, made.body.size()};
  answer_run_ = head_only ? asio::const_buffer() : asio::const_buffer(made.body.data(), made.body.size());
  client_.put_head(out);
}

// The end -------------------------------------------------------------------------------------------

bool Exchange::last_answer() const noexcept {
  if (!request_.keep_alive || worker_.stopping) return true;
  if (leg_due_) return !response_.keep_alive;  // elsewhere the handshake would begin anew
  return worker_.leaving || listener_->shared->retired.load(std::memory_order_relaxed);
}

/// The backend's connection is kept if it is fit for it; its place is free for the next.
void Exchange::release_backend() {
  place_.free();
  if (!backend_.has_stream()) return;
  if (backend_.reusable() && !worker_.stopping)
    keep_backend();
  else if (leg_due_)
    forced_close_ = true;  // the client learns that its handshake is over as it would from the backend itself
  backend_.abort();
  backend_.release();
}

/// For this client's next request, or for anybody's; unless the backend closes it soon.
void Exchange::keep_backend() {
  const auto promise = backend_.idle_promise();
  if (promise && promise->count() == 0 && !leg_due_) return;
  const Clock::Steady until =
      promise && !leg_due_ ? now() + *promise : Clock::Steady(IdleConnections::no_promise);
  const std::uint64_t key = pool_->connection_key(*member_);
  if (!belongs_)
    return worker_.idle.put(*member_->backend, key, backend_.release(), pool_->config.idle_connections, now(),
                            until);
  if (held_ == nullptr) *own_ = std::make_unique<BoundConnections>(worker_.loop, arrival_.client);
  held_ = own_->get();
  held_->put(member_->backend, key, backend_.release(), leg_due_, now(), until);
}

/// The one end of every request, tunnels too: what it borrowed and what it counts for goes back.
Exchange::End Exchange::finish() {
  release_backend();
  leave_session();
  retry_.give_back();
  count_exchange();
  log_exchange();
  idle_since_ = now();
  if (!client_.stream().is_open()) return End::close;
  if (!client_.request_complete() || failure_.side == FailSide::client) return End::linger;
  if (forced_close_) return client_.stream().unread().empty() ? End::close : End::linger;
  return End::keep;
}

std::string_view Exchange::masked(std::string_view url) {
  return snapshot_ ? masked_url(*snapshot_->shared, url, arena_) : url;
}

/// The kind that recognised the session, or the first that could have.
std::string_view Exchange::verdict_kind() const noexcept {
  const auto& kinds = pool_->affinity;
  if (kinds.empty()) return "none";
  return kinds[recognised_.kind < kinds.size() ? recognised_.kind : 0]->name();
}

/// As the client saw it; 499: it left before the answer.
std::uint16_t Exchange::final_status() const noexcept {
  return answer_status_ != 0 ? answer_status_ : failure_.kind == Kind::gone ? 499 : response_.status;
}

void Exchange::count_exchange() {
  const auto took = now() - started_;
  listener_->shared->traffic[worker_.index].count(final_status(), took);
  if (route_ != nullptr && route_->traffic)
    route_->traffic->by_worker[worker_.index].count(final_status(), took);
}

void Exchange::refuse(Refusal what, std::string_view why) const {
  listener_->shared->refused.note(what, listener_->config.name, arrival_.client, why);
}

void Exchange::log_exchange() {
  if (!worker_.access_log.on()) return;
  const bool understood = failure_.kind != Kind::client_malformed;
  AccessEntry e;
  e.client = arrival_.client;
  e.when = wall_now();
  if (understood) {
    e.method = request_.method_text;
    e.target = masked(request_.target);
    e.host = request_.host;
    e.minor = request_.minor;
    for (const Field& f : request_.fields) {
      if (f.name.size() == 7 && iequals(f.name, "referer")) e.referer = masked(f.value);
      if (f.name.size() == 10 && iequals(f.name, "user-agent")) e.user_agent = f.value;
    }
  }
  e.request_id = request_id_text_;
  e.status = final_status();
  e.bytes = response_bytes_;
  e.listener = listener_->config.name;
  if (pool_ != nullptr) {
    e.pool = pool_->config.name;
    e.affinity = verdict_kind();
  }
  if (member_ != nullptr) e.backend = member_->backend->id;
  e.reason = served_.reason;
  e.epoch = served_.reason == Reason::none ? 0 : served_.binding.epoch;
  e.cause = recognised_.cause;
  e.attempts = attempts_;
  if (failure_) e.failure = to_string(failure_.kind);
  e.queue = queue_time_;
  e.connect = connect_time_;
  e.first_byte = first_byte_time_;
  e.total = now() - started_;
  worker_.access_log.write(e);
  if (worker_.access_log.pending() && !worker_.log_flush.armed())
    worker_.log_flush.arm(worker_.loop.wheel, now() + std::chrono::milliseconds(200));
}

}  // namespace remora
