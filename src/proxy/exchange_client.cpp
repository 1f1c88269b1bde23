// Towards the client: reading the request head, relaying the response, tunnels, answers of our own.

#include <algorithm>
#include <cassert>

#include "proxy/answers.h"
#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;
using std::chrono::seconds;

void Exchange::put_response() {
  response_.closes = last_answer();
  const std::string_view date =
      memory_.response.find(Known::date) == nullptr ? worker_.date(turn_.wall_now()) : std::string_view();
  const ResponseContext context{memory_.response, *request_.route,           memory_.response_edits, date,
                                response_.closes, request_.pool->config.via, request_.head.method};
  edit_response(context, worker_.out);
  client_.put_head(worker_.out);
  const bool unframed = memory_.response.framing.kind == Framing::Kind::until_close ||
                        memory_.response.framing.kind == Framing::Kind::chunked;
  if (unframed && request_.head.minor == 0) response_.closes = true;
}

/// All of the response is here and leaves with one write, as most do.
bool Exchange::deliver_at_once() {
  attempt_.last_progress = turn_.now();
  return memory_.response.status != 101 && pump_request() && pump_response() == Step::done;
}

/// The response goes out: head, then body, while what is left of the request still goes in.
Task<Exchange::End> Exchange::deliver() {
  if (memory_.response.status == 101) {
    co_await tunnel();
    finish();
    co_return End::close;
  }
  const bool complete = co_await relay();
  co_return end_response(complete);
}

Exchange::End Exchange::end_response(bool complete) {
  if (complete && backend_.trailers() != nullptr && session_.served.reason != Reason::none && !is_outdated())
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
        turn_.pause();
        break;
      case Step::blocked:
        break;
    }
    if (client_.gone()) {
      fail(FailSide::client, Kind::gone);
      co_return false;
    }
    const bool on_client = client_.stream().send_blocked();
    const auto timeout = on_client ? client_timeouts().write : request_.timeouts.read;
    const Clock::Steady deadline = attempt_.last_progress + timeout;
    const bool clients_turn = !on_client && !attempt_.request_broken && !backend_.request_sent() &&
                              !backend_.stream().send_blocked();
    if (clients_turn && client_is_too_slow()) co_return false;
    const Clock::Steady since = turn_.now();
    const bool late = co_await turn_.wait(std::min(deadline, next_touch()));
    if (clients_turn) request_.body_rate.waited(turn_.now() - since);
    if (turn_.now() >= next_touch()) touch_session();
    if (!late || turn_.now() < deadline) continue;
    if (on_client)
      fail(FailSide::client, Kind::client_timeout);
    else
      fail(FailSide::backend, Kind::timeout);
    co_return false;
  }
}

/// Moves what can be moved of the response now.
Exchange::Step Exchange::pump_response() {
  if (memory_.response_edits.body) return pump_rewritten();
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client_.stream().send_blocked()) return Step::blocked;
    if (!response_.watches && may_splice(backend_, client_, response_.splice)) {
      const Step step = splice(backend_, client_, response_.splice, response_.bytes);
      if (step != Step::more) return step;
      continue;
    }
    const Io io = backend_.fill();
    if (io == Io::failed) return Step::backend_failed;
    Body body = io == Io::ready ? backend_.body() : Body{};
    if (response_.watches) look_at_events(body);
    if (splice_ahead() || response_.splice.holds_any()) {
      body.last = false;
      body.more = true;
    }
    const Taken taken = client_.send(body, backend_.trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response_.bytes += taken.bytes;
    backend_.consume(taken.bytes);
    response_.watched -= std::min(response_.watched, taken.bytes);
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) attempt_.last_progress = turn_.now();
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
  if (response_.splice.holds_any()) return false;  // once: the first bytes may have to wait for the client
  const std::uint64_t left = backend_.raw_behind();
  if (left < worth_splicing || !client_.takes_raw_next() || !response_.splice.start(worker_.loop.pipes))
    return false;
  const Splice::Moved moved = response_.splice.take(backend_.stream(), left);
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
  if (moved.passed > 0) attempt_.last_progress = turn_.now();
  if (moved.to == Io::failed) return Step::client_failed;
  if (moved.from == Io::failed) return Step::backend_failed;
  return moved.to == Io::blocked || moved.from == Io::blocked ? Step::blocked : Step::more;
}

/// The same with a body that is changed on its way: what came in is rewritten, then sent.
Exchange::Step Exchange::pump_rewritten() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client_.stream().send_blocked()) return Step::blocked;
    Io io = Io::ready;
    if (response_.rewritten_at == memory_.rewritten.size() && !response_.rewritten_last) {
      memory_.rewritten.clear();
      response_.rewritten_at = 0;
      io = backend_.fill();
      if (io == Io::failed) return Step::backend_failed;
      if (io == Io::ready) {
        const Body body = backend_.body();
        for (const auto& run : body.runs)
          memory_.response_edits.body->feed({static_cast<const char*>(run.data()), run.size()}, false,
                                            memory_.rewritten);
        response_.rewritten_last = body.last;
        if (body.last) memory_.response_edits.body->feed({}, true, memory_.rewritten);
        backend_.consume(body.size());
        attempt_.last_progress = turn_.now();
      }
    }
    const asio::const_buffer rest(memory_.rewritten.data() + response_.rewritten_at,
                                  memory_.rewritten.size() - response_.rewritten_at);
    const Taken taken = client_.send({{&rest, 1}, response_.rewritten_last}, backend_.trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response_.rewritten_at += taken.bytes;
    response_.bytes += taken.bytes;
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) attempt_.last_progress = turn_.now();
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
    if (taken.bytes > 0) attempt_.last_progress = turn_.now();
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
  attempt_.last_progress = turn_.now();
  bool asked = false;
  for (;;) {
    const Clock::Steady before = attempt_.last_progress;
    const Step a = pump_lane(in), b = pump_lane(out);
    response_.bytes = out.bytes;
    // Where one end has said all, only a reset tells that it does not listen any more.
    if (in.ended) client_.stream().arm();
    if (out.ended) backend_.stream().arm();
    const bool broken = a == Step::backend_failed || a == Step::client_failed || b == Step::backend_failed ||
                        b == Step::client_failed || !client_.stream().is_open() ||
                        (in.ended && client_.stream().error()) || (out.ended && backend_.stream().error());
    if (broken || (in.ended && out.ended)) co_return;
    turn_.pause_if(a == Step::more || b == Step::more);
    asked = asked && attempt_.last_progress == before;
    const Clock::Steady deadline = attempt_.last_progress + client_timeouts().tunnel;
    const Clock::Steady ask_at = asked ? deadline : attempt_.last_progress + quiet;
    const Clock::Steady until = std::min(std::min(deadline, next_touch()), ask_at);
    const bool late = co_await turn_.wait(until);
    if (turn_.now() >= next_touch()) touch_session();
    if (late && turn_.now() >= deadline) co_return;
    if (asked || !late || turn_.now() < ask_at) continue;
    asked = true;
    client_.stream().still_open();
    backend_.stream().still_open();
  }
}

// Our own answers -----------------------------------------------------------------------------------

/// No backend's response will be delivered: says why, as the client can read it.
Task<Exchange::End> Exchange::answer() {
  if (reply_.status == 0) reply_.status = status_for(attempt_.failure);
  if (reply_.status == 0) {  // the client is gone
    client_.abort();
    co_return finish();
  }
  backend_.abort();
  release_backend();
  // What is left of the request cannot be told from the next one: this connection ends.
  const bool readable = client_.request_complete() && attempt_.failure.side != FailSide::client;
  response_.closes = !readable || last_answer();
  const asio::const_buffer whole = put_answer();
  std::size_t sent = 0;
  const Clock::Steady deadline = turn_.now() + client_timeouts().write;
  for (;;) {
    const asio::const_buffer rest = whole + sent;
    const Body body{{&rest, 1}, true};
    const Taken taken = client_.send(body, nullptr);
    sent += taken.bytes;
    if (taken.finished) break;
    if (taken.io == Io::failed || co_await turn_.wait(deadline)) {
      client_.abort();
      break;
    }
  }
  response_.bytes = sent;
  co_return finish();
}

/// Stages the head. Returns the body.
asio::const_buffer Exchange::put_answer() {
  const bool head_only = request_.head.method == Method::head && attempt_.failure.side != FailSide::client;
  const std::string_view accept = [&] {
    const Field* f = attempt_.failure.side == FailSide::client ? nullptr : request_.head.find(Known::accept);
    return f != nullptr ? f->value : std::string_view();
  }();
  const Answer made = make_answer(reply_.status, accept, reply_.body, memory_.reply_body);
  if (session_.clears_tokens) clear_tokens(false);
  if (reply_.status == 503 && reply_.retry_after == 0) reply_.retry_after = 1;
  OutHead& out = worker_.out;
  out.clear();
  out.status = reply_.status;
  out.reason = made.reason;
  out.close = response_.closes;
  std::string& number = memory_.arena.scratch();
  append_decimal(number, made.body.size());
  out.fields.push_back({"Date", worker_.date(turn_.wall_now()), Known::date});
  out.fields.push_back({"Content-Type", made.content_type, Known::content_type});
  out.fields.push_back({"Content-Length", memory_.arena.join(number), Known::content_length});
  out.fields.push_back({"Cache-Control", "no-store", Known::cache_control});
  if (!reply_.challenge.empty()) out.fields.push_back({"WWW-Authenticate", reply_.challenge, Known::other});
  if (!reply_.location.empty()) out.fields.push_back({"Location", reply_.location, Known::other});
  if (reply_.retry_after > 0) {
    number.clear();
    append_decimal(number, reply_.retry_after);
    out.fields.push_back({"Retry-After", memory_.arena.join(number), Known::retry_after});
  }
  out.raw_fields = memory_.response_edits.lines;
  if (request_.route != nullptr) edit_answer(*request_.route, out);
  out.framing = {Framing::Kind::length, made.body.size()};
  client_.put_head(out);
  return head_only ? asio::const_buffer() : asio::const_buffer(made.body.data(), made.body.size());
}

// The end -------------------------------------------------------------------------------------------

bool Exchange::last_answer() const noexcept {
  if (!request_.head.keep_alive || worker_.stopping) return true;
  if (attempt_.leg_due) return !memory_.response.keep_alive;  // elsewhere the handshake would begin anew
  return worker_.leaving || connection_.listener->shared->retired.load(std::memory_order_relaxed);
}

/// The backend's connection is kept if it is fit for it; its place is free for the next.
void Exchange::release_backend() {
  attempt_.place.free();
  if (!backend_.has_stream()) return;
  if (backend_.reusable() && !worker_.stopping)
    keep_backend();
  else if (attempt_.leg_due)
    response_.closes =
        true;  // the client learns that its handshake is over as it would from the backend itself
  backend_.abort();
  backend_.release();
}

/// For this client's next request, or for anybody's; unless the backend closes it soon.
void Exchange::keep_backend() {
  const auto promise = backend_.idle_promise();
  if (promise && promise->count() == 0 && !attempt_.leg_due) return;
  const Clock::Steady until =
      promise && !attempt_.leg_due ? turn_.now() + *promise : Clock::Steady(IdleConnections::no_promise);
  const std::uint64_t key = request_.pool->connection_key(*attempt_.member);
  if (!attempt_.belongs)
    return worker_.idle.put(*attempt_.member->backend, key, backend_.release(),
                            request_.pool->config.idle_connections, turn_.now(), until);
  if (own_connections() == nullptr)
    *connection_.bound = std::make_unique<BoundConnections>(worker_.loop, request_.arrival.client);
  own_connections()->put(attempt_.member->backend, key, backend_.release(), attempt_.leg_due, turn_.now(),
                         until);
}

/// The one end of every request, tunnels too: what it borrowed and what it counts for goes back.
Exchange::End Exchange::finish() {
  release_backend();
  leave_session();
  attempt_.retry.give_back();
  count_exchange();
  log_exchange();
  assert(holds_nothing());
  if (!client_.stream().is_open()) return End::close;
  if (!client_.request_complete() || attempt_.failure.side == FailSide::client) return End::linger;
  if (response_.closes) return client_.stream().unread().empty() ? End::close : End::linger;
  return End::keep;
}

std::string_view Exchange::masked(std::string_view url) {
  return masked_url(*request_.snapshot->shared, url, memory_.arena);
}

/// The kind that recognised the session, or the first that could have.
std::string_view Exchange::verdict_kind() const noexcept {
  const auto& kinds = request_.pool->affinity;
  if (kinds.empty()) return "none";
  return kinds[session_.recognised.kind < kinds.size() ? session_.recognised.kind : 0]->name();
}

/// As the client saw it; 499: it left before the answer.
std::uint16_t Exchange::final_status() const noexcept {
  return reply_.status != 0                    ? reply_.status
         : attempt_.failure.kind == Kind::gone ? 499
                                               : memory_.response.status;
}

void Exchange::count_exchange() {
  const auto took = turn_.now() - request_.began;
  connection_.listener->shared->traffic[worker_.index].count(final_status(), took);
  if (request_.route != nullptr && request_.route->traffic)
    request_.route->traffic->by_worker[worker_.index].count(final_status(), took);
}

void Exchange::refuse(Refusal what, std::string_view why) const {
  connection_.listener->shared->refused.note(what, connection_.listener->config.name, request_.arrival.client,
                                             why);
}

void Exchange::log_exchange() {
  if (!worker_.access_log.on()) return;
  const bool understood = attempt_.failure.kind != Kind::client_malformed;
  AccessEntry e;
  e.client = request_.arrival.client;
  e.when = turn_.wall_now();
  if (understood) {
    e.method = request_.head.method_text;
    e.target = masked(request_.head.target);
    e.host = request_.head.host;
    e.minor = request_.head.minor;
    for (const Field& f : request_.head.fields) {
      if (f.name.size() == 7 && iequals(f.name, "referer")) e.referer = masked(f.value);
      if (f.name.size() == 10 && iequals(f.name, "user-agent")) e.user_agent = f.value;
    }
  }
  e.request_id = request_.id.text;
  e.status = final_status();
  e.bytes = response_.bytes;
  e.listener = connection_.listener->config.name;
  if (request_.pool != nullptr) {
    e.pool = request_.pool->config.name;
    e.affinity = verdict_kind();
  }
  if (attempt_.member != nullptr) e.backend = attempt_.member->backend->id;
  e.reason = session_.served.reason;
  e.epoch = session_.served.reason == Reason::none ? 0 : session_.served.binding.epoch;
  e.cause = session_.recognised.cause;
  e.attempts = attempt_.count;
  if (attempt_.failure) e.failure = to_string(attempt_.failure.kind);
  e.queue = request_.took.queue;
  e.connect = request_.took.connect;
  e.first_byte = request_.took.first_byte;
  e.total = turn_.now() - request_.began;
  worker_.access_log.write(e);
  if (worker_.access_log.pending() && !worker_.log_flush.armed())
    worker_.log_flush.arm(worker_.loop.wheel, turn_.now() + std::chrono::milliseconds(200));
}

}  // namespace remora
