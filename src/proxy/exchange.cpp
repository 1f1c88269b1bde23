// The request path. Each phase is a class of its own (admission.h, session_lookup.h, placement.h, attempts.h,
// session_response.h, body_pump.h, tunnel.h, report.h). This file has their order, and sends the response to
// the client:
//
//   admit -> find_route -> authenticate -> (check_revocation) -> redirects ->
//   look_up -> (ask_store) -> accept_session -> admit_session
//     -> choose_backend -> (confirm_move) -> acquire_permit -> (wait_for_permit) -> still_serves -> send
//        -> (try_again: back to choose_backend)
//     -> settle -> (keep_session) -> deliver_at_once or deliver -> finish -> (discard_rest)
//
// A phase that seldom waits is a plain function with a coroutine beside it for the rest, because a coroutine
// frame costs more than many phases.

#include "proxy/exchange.h"

#include <algorithm>
#include <cassert>

#include "http/grpc.h"
#include "proxy/edits.h"
#include "proxy/local_reply.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

Exchange::Exchange(const Surroundings& in)
    : parts_{in.worker,    in.connection,
             in.turn,      in.memory,
             in.client,    in.backend,
             in.connector, Request(in.memory.request, in.connection, in.worker.snapshot, in.turn.now()),
             {},           AttemptState(in.turn.wake()),
             {},           {}},
      worker_(parts_.worker),
      connection_(parts_.connection),
      turn_(parts_.turn),
      memory_(parts_.memory),
      client_(parts_.client),
      backend_(parts_.backend),
      request_(parts_.request),
      session_(parts_.session),
      attempt_(parts_.attempt),
      response_(parts_.response),
      reply_(parts_.reply),
      records_(parts_),
      lookup_(parts_, records_),
      marks_(parts_, records_, lookup_),
      admission_(parts_, records_),
      placement_(parts_, records_, lookup_),
      pump_(parts_, marks_),
      attempts_(parts_, records_, pump_),
      tunnel_(parts_, marks_),
      report_(parts_) {
  session_.touched = request_.began;
  const auto& listener = request_.snapshot->shared->listeners[connection_.listener->slot];
  if (listener != connection_.listener) connection_.listener = listener;  // a reload changed the listener
}

Task<Exchange::End> Exchange::run() {
  bool go_on = admission_.admit() && admission_.find_route() && admission_.authenticate();
  if (go_on && request_.may_be_revoked) go_on = co_await admission_.check_revocation();
  if (go_on) go_on = !admission_.redirects();
  if (go_on) lookup_.look_up();
  if (go_on && session_.recognized.stale) co_await lookup_.ask_store();
  if (go_on) lookup_.accept_session();
  if (go_on) go_on = placement_.admit_session();
  while (go_on) {
    if (!placement_.choose_backend()) break;
    while (go_on && session_.agree) go_on = co_await placement_.confirm_move();
    if (!go_on) break;
    bool has_place = attempts_.acquire_permit();
    if (!has_place) has_place = co_await attempts_.wait_for_permit();
    if (has_place && attempts_.still_serves()) co_await attempts_.send();
    go_on = attempt_.failure && attempts_.try_again();
  }
  if (attempt_.failure || reply_.status != 0) co_return co_await answer();
  marks_.settle();
  if (session_.keep) co_await records_.keep_session();
  put_response();
  End end = End::close;
  if (deliver_at_once())
    end = end_response(true);
  else
    end = co_await deliver();
  if (may_discard_rest(end)) end = co_await discard_rest();
  co_return end;
}

Task<Exchange::End> Exchange::refuse_head(bool late) {
  if (late)
    attempt_.fail(FailSide::client, Kind::client_timeout);
  else
    attempts_.fail_from_client();
  // An HTTP/2 head has all its fields, whatever is wrong with it.
  request_.grpc = request_.head.version == Version::http2 && is_grpc_request(request_.head);
  connection_.refuse(Refusal::head, request_.arrival.client,
                     late ? "it took too long (timeouts.header)" : client_.failure().why);
  co_return co_await answer();
}

void Exchange::put_response() {
  response_.closes = is_last_response() || cuts_request_short();
  const std::string_view date =
      memory_.response.find(Known::date) == nullptr ? worker_.date(turn_.wall_now()) : std::string_view();
  const ResponseContext context{
      memory_.response,       *request_.route,
      memory_.response_edits, date,
      response_.closes,       request_.pool->config.via,
      request_.head.method,   request_.grpc && request_.head.version == Version::http2};
  edit_response(context, worker_.out);
  client_.put_head(worker_.out);
  response_.closes = response_.closes || client_.closes();
}

/// True: the whole response was sent without waiting, as most are. No coroutine frame is needed.
bool Exchange::deliver_at_once() {
  attempt_.last_progress = turn_.now();
  return !memory_.response.tunnel && pump_.pump_request() && pump_.pump_response() == Step::done;
}

/// Sends the response, head and body, while the rest of the request is still forwarded.
Task<Exchange::End> Exchange::deliver() {
  if (memory_.response.tunnel) {
    co_await tunnel_.run();
    finish();
    co_return End::close;
  }
  const bool complete = co_await relay();
  bool told = false;
  if (!complete && can_end_with_status()) told = co_await end_with_status();
  if (told) co_return finish();
  co_return end_response(complete);
}

Exchange::End Exchange::end_response(bool complete) {
  if (complete && backend_->trailers() != nullptr && session_.served.reason != Reason::none &&
      !marks_.is_outdated())
    records_.on_state_header(read_session_fields(*backend_->trailers()), false);
  if (!complete) client_.abort();
  return finish();
}

Task<bool> Exchange::relay() {
  for (;;) {
    if (!pump_.pump_request()) {
      attempts_.fail_from_client();
      co_return false;
    }
    switch (pump_.pump_response()) {
      case Step::done:
        co_return true;
      case Step::backend_failed:
        attempt_.fail(FailSide::backend, Kind::reset);
        co_return false;
      case Step::client_failed:
        attempt_.fail(FailSide::client, Kind::gone);
        co_return false;
      case Step::more:
        turn_.pause();
        break;
      case Step::blocked:
        break;
    }
    if (client_.gone()) {
      attempt_.fail(FailSide::client, Kind::gone);
      co_return false;
    }
    const bool on_client = client_.send_blocked();
    const auto timeout = on_client ? connection_.timeouts().write : request_.timeouts.read;
    const Clock::Steady deadline = attempt_.last_progress + timeout;
    const bool clients_turn =
        !on_client && !attempt_.request_broken && !backend_->request_sent() && !backend_->send_blocked();
    if (clients_turn && attempts_.client_is_too_slow()) co_return false;
    const Clock::Steady since = turn_.now();
    const Clock::Steady until = std::min(std::min(deadline, request_.deadline), marks_.next_touch());
    const bool late = co_await turn_.wait(until);
    if (clients_turn) request_.body_rate.waited(turn_.now() - since);
    if (turn_.now() >= marks_.next_touch()) marks_.touch_session();
    if (request_.is_overdue(turn_.now())) {
      attempt_.fail(FailSide::self, Kind::deadline);
      co_return false;
    }
    if (!late || turn_.now() < deadline) continue;
    if (on_client)
      attempt_.fail(FailSide::client, Kind::client_timeout);
    else
      attempt_.fail(FailSide::backend, Kind::timeout);
    co_return false;
  }
}

/// Sends the local reply: no backend's response will be delivered.
Task<Exchange::End> Exchange::answer() {
  if (reply_.status == 0) reply_.status = status_for(attempt_.failure);
  if (reply_.status == 0) {  // the client is gone: nobody to reply to
    if (attempt_.failure.kind == Kind::http1_required) client_.require_http1();
    client_.abort();
    co_return finish();
  }
  backend_->abort();
  attempts_.release_backend();
  // The unread rest of a request cannot be distinguished from the next request, so the connection is closed.
  const bool readable =
      only_stream_ends() || (client_.request_complete() && attempt_.failure.side != FailSide::client);
  response_.closes = !readable || is_last_response();
  const asio::const_buffer whole = put_local_reply();
  std::size_t sent = 0;
  const Clock::Steady deadline = turn_.now() + connection_.timeouts().write;
  for (;;) {
    const asio::const_buffer rest = whole + sent;
    const Body body{{&rest, 1}, true};
    const WriteResult taken = client_.send(body, nullptr);
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

/// Stages the head of the local reply. Returns its body; empty for HEAD, and for gRPC.
asio::const_buffer Exchange::put_local_reply() {
  OutHead& out = worker_.out;
  out.clear();
  out.close = response_.closes;
  out.fields.push_back({"Date", worker_.date(turn_.wall_now()), Known::date});
  const asio::const_buffer body = request_.grpc ? add_grpc_status(out) : add_generated_body(out);
  add_reply_fields(out);
  client_.put_head(out);
  return body;
}

/// Status and body of a local reply. Returns the body; empty for HEAD.
asio::const_buffer Exchange::add_generated_body(OutHead& out) {
  const bool head_only = request_.head.method == Method::head && attempt_.failure.side != FailSide::client;
  const std::string_view accept = [&] {
    const Field* f = attempt_.failure.side == FailSide::client ? nullptr : request_.head.find(Known::accept);
    return f != nullptr ? f->value : std::string_view();
  }();
  const GeneratedReply made = make_local_reply(reply_.status, accept, reply_.body, memory_.reply_body);
  out.status = reply_.status;
  out.reason = made.reason;
  std::string& number = memory_.arena.scratch();
  append_decimal(number, made.body.size());
  out.fields.push_back({"Content-Type", made.content_type, Known::content_type});
  out.fields.push_back({"Content-Length", memory_.arena.join(number), Known::content_length});
  out.body = {BodyLength::Kind::known, made.body.size()};
  return head_only ? asio::const_buffer() : asio::const_buffer(made.body.data(), made.body.size());
}

/// The fields of every local reply.
void Exchange::add_reply_fields(OutHead& out) {
  out.fields.push_back({"Cache-Control", "no-store", Known::cache_control});
  if (session_.clears_tokens) marks_.clear_tokens(false);
  if (reply_.status == 503 && reply_.retry_after == 0) reply_.retry_after = 1;
  if (!reply_.challenge.empty()) out.fields.push_back({"WWW-Authenticate", reply_.challenge, Known::other});
  if (!reply_.location.empty()) out.fields.push_back({"Location", reply_.location, Known::other});
  if (reply_.retry_after > 0) {
    std::string& number = memory_.arena.scratch();
    append_decimal(number, reply_.retry_after);
    out.fields.push_back({"Retry-After", memory_.arena.join(number), Known::retry_after});
  }
  if (request_.route != nullptr) edit_local_reply(*request_.route, out);
  append_added(memory_.response_edits, out);
}

bool Exchange::is_last_response() const noexcept {
  if (client_.closes() || attempt_.handshake_lost || worker_.stopping) return true;
  if (attempt_.leg_due) return backend_->closes();  // a new connection would restart the handshake
  return worker_.leaving || connection_.listener->shared->retired.load(std::memory_order_relaxed);
}

/// RFC 9110 10.1.1: whether a response that comes before the end of its request should say that the
/// connection closes. Yes, if the client keeps the body back until a 100 that will not come; or if this
/// response ends the exchange, and the rest of the request is too long for discard_rest(). Otherwise the
/// request may well end first.
bool Exchange::cuts_request_short() const noexcept {
  if (client_.request_complete() || memory_.response.tunnel || attempt_.belongs || only_stream_ends())
    return false;
  if (request_.head.expect_continue && !attempt_.continued && !request_.body_rate.any()) return true;
  constexpr std::uint64_t soon_sent = 64 * 1024;
  const BodyLength& all = request_.head.body;
  const bool known = all.kind == BodyLength::Kind::known;
  if (known && all.bytes - std::min(all.bytes, request_.body_rate.bytes()) <= max_discarded) return false;
  const bool backend_ends = attempt_.request_broken || backend_->closes();
  return backend_ends || (known && memory_.response.body.kind != BodyLength::Kind::unknown &&
                          memory_.response.body.bytes <= soon_sent);
}

/// Reads the rest of a request whose response is complete, and drops it: then the connection can carry the
/// next request. `linger`: it is too long, or does not come in time.
Task<Exchange::End> Exchange::discard_rest() {
  constexpr auto longest = std::chrono::seconds(5);
  const Clock::Steady deadline =
      turn_.now() + std::min<std::chrono::nanoseconds>(connection_.timeouts().body, longest);
  std::uint64_t discarded = 0;
  while (discarded <= max_discarded && !worker_.stopping) {
    const Io io = client_.fill();
    if (io == Io::failed) co_return client_.gone() ? End::close : End::linger;
    const std::size_t n = io == Io::ready ? client_.body().size() : 0;
    client_.consume(n);
    discarded += n;
    if (client_.request_complete()) co_return End::keep;
    if (io == Io::blocked && co_await turn_.wait(deadline)) break;
  }
  co_return End::linger;
}

/// Every request ends here, tunnels too: gives back permits and counts, then writes the access log.
Exchange::End Exchange::finish() {
  attempts_.release_backend();
  marks_.finish_session();
  attempt_.retry.give_back();
  report_.count_exchange();
  report_.log_exchange();
  assert(holds_nothing());
  if (!client_.is_open()) return End::close;
  if (!client_.request_complete() || attempt_.failure.side == FailSide::client) return End::linger;
  if (response_.closes) return client_.has_more() ? End::linger : End::close;
  return End::keep;
}

}  // namespace remora
