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
    : Phase(parts_),
      parts_{in.worker,
             in.connection,
             in.turn,
             in.memory,
             in.client,
             in.backend,
             in.connector,
             Request(in.memory.request, in.connection, in.worker.snapshot, in.turn.now()),
             {},
             AttemptState(in.turn.wake()),
             ResponseState(in.turn.wake()),
             {}},
      records_(parts_),
      lookup_(parts_, records_),
      marks_(parts_, records_, lookup_),
      admission_(parts_, records_),
      placement_(parts_, records_, lookup_),
      pump_(parts_, marks_),
      attempts_(parts_, records_, pump_),
      tunnel_(parts_, marks_),
      report_(parts_) {
  session().touched = request().began;
  const auto& listener = request().snapshot->shared->listeners[connection().listener->slot];
  if (listener != connection().listener) connection().listener = listener;  // a reload changed the listener
}

Task<Exchange::End> Exchange::run() {
  bool go_on = admission_.admit() && admission_.find_route() && admission_.authenticate();
  if (go_on && request().may_be_revoked) go_on = co_await admission_.check_revocation();
  if (go_on) go_on = !admission_.redirects();
  if (go_on) lookup_.look_up();
  if (go_on && session().recognized.stale) co_await lookup_.ask_store();
  if (go_on) lookup_.accept_session();
  if (go_on) go_on = placement_.admit_session();
  while (go_on) {
    if (!placement_.choose_backend()) break;
    while (go_on && session().agree) go_on = co_await placement_.confirm_move();
    if (!go_on) break;
    bool has_place = attempts_.acquire_permit();
    if (!has_place) has_place = co_await attempts_.wait_for_permit();
    if (has_place && attempts_.still_serves()) co_await attempts_.send();
    go_on = attempt().failure && attempts_.try_again();
  }
  if (attempt().failure || reply().status != 0) co_return co_await answer();
  marks_.settle();
  if (session().keep) co_await records_.keep_session();
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
    attempt().fail(FailSide::client, Kind::client_timeout);
  else
    attempts_.fail_from_client();
  // An HTTP/2 head has all its fields, whatever is wrong with it.
  request().grpc = request().head.version == Version::http2 && is_grpc_request(request().head);
  connection().refuse(Refusal::head, request().arrival.client,
                      late ? "it took too long (timeouts.header)" : client().failure().why);
  co_return co_await answer();
}

void Exchange::put_response() {
  response().closes = is_last_response() || cuts_request_short();
  const std::string_view date =
      memory().response.find(Known::date) == nullptr ? worker().date(turn().wall_now()) : std::string_view();
  const ResponseContext context{
      memory().response,       *request().route,
      memory().response_edits, date,
      response().closes,       request().pool->config.via,
      request().head.method,   request().grpc && request().head.version == Version::http2};
  edit_response(context, worker().out);
  note_kind_of_stream();
  client().put_head(worker().out);
  response().closes = response().closes || client().closes();
}

/// True: the whole response was sent without waiting, as most are. No coroutine frame is needed.
bool Exchange::deliver_at_once() {
  attempt().last_progress = turn().now();
  return !memory().response.tunnel && pump_.pump_request() && pump_.pump_response() == Step::done;
}

/// Sends the response, head and body, while the rest of the request is still forwarded.
Task<Exchange::End> Exchange::deliver() {
  join_open_streams();
  if (memory().response.tunnel) {
    co_await tunnel_.run();
    co_return end_tunnel();
  }
  const bool complete = co_await relay();
  bool told = false;
  if (!complete && can_end_with_status())
    told = co_await end_with_status();
  else if (!complete && can_end_between_events())
    told = co_await end_early(nullptr);
  if (told) co_return finish();
  co_return end_response(complete);
}

Exchange::End Exchange::end_response(bool complete) {
  if (complete && backend()->trailers() != nullptr && session().served.reason != Reason::none &&
      !marks_.is_outdated())
    records_.on_state_header(read_session_fields(*backend()->trailers()), false);
  if (!complete && attempt().failure.kind == Kind::drained)
    client().cancel();
  else if (!complete)
    client().abort();
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
        attempt().fail(FailSide::backend, Kind::reset);
        co_return false;
      case Step::client_failed:
        attempt().fail(FailSide::client, Kind::gone);
        co_return false;
      case Step::more:
        turn().pause();
        break;
      case Step::blocked:
        break;
    }
    if (client().gone()) {
      attempt().fail(FailSide::client, Kind::gone);
      co_return false;
    }
    if (response().open_stream.is_over(!response().may_end_early || response().is_between_events(),
                                       turn().now())) {
      attempt().fail(FailSide::self, Kind::drained);
      note_drained();
      co_return false;
    }
    const bool on_client = client().send_blocked();
    const auto timeout = on_client ? connection().timeouts().write : request().timeouts.read;
    const Clock::Steady deadline = attempt().last_progress + timeout;
    const bool clients_turn =
        !on_client && !attempt().request_broken && !backend()->request_sent() && !backend()->send_blocked();
    if (clients_turn && attempts_.client_is_too_slow()) co_return false;
    const Clock::Steady since = turn().now();
    const Clock::Steady until =
        std::min(std::min(std::min(deadline, request().deadline), marks_.next_touch()),
                 response().open_stream.next_change(since));
    const bool late = co_await turn().wait(until);
    if (clients_turn) request().body_rate.waited(turn().now() - since);
    if (turn().now() >= marks_.next_touch()) marks_.touch_session();
    if (request().is_overdue(turn().now())) {
      attempt().fail(FailSide::self, Kind::deadline);
      co_return false;
    }
    if (!late || turn().now() < deadline) continue;
    if (on_client)
      attempt().fail(FailSide::client, Kind::client_timeout);
    else
      attempt().fail(FailSide::backend, Kind::timeout);
    co_return false;
  }
}

/// Sends the local reply: no backend's response will be delivered.
Task<Exchange::End> Exchange::answer() {
  if (reply().status == 0) reply().status = status_for(attempt().failure);
  if (reply().status == 0) {  // the client is gone: nobody to reply to
    if (attempt().failure.kind == Kind::http1_required) client().require_http1();
    client().abort();
    co_return finish();
  }
  backend()->abort();
  attempts_.release_backend();
  // The unread rest of a request cannot be distinguished from the next request, so the connection is closed.
  const bool readable =
      only_stream_ends() || (client().request_complete() && attempt().failure.side != FailSide::client);
  response().closes = !readable || is_last_response();
  const asio::const_buffer whole = put_local_reply();
  std::size_t sent = 0;
  const Clock::Steady deadline = turn().now() + connection().timeouts().write;
  for (;;) {
    const asio::const_buffer rest = whole + sent;
    const Body body{{&rest, 1}, true};
    const WriteResult taken = client().send(body, nullptr);
    sent += taken.bytes;
    if (taken.finished) break;
    if (taken.io == Io::failed || co_await turn().wait(deadline)) {
      client().abort();
      break;
    }
  }
  response().bytes = sent;
  co_return finish();
}

/// Stages the head of the local reply. Returns its body; empty for HEAD, and for gRPC.
asio::const_buffer Exchange::put_local_reply() {
  OutHead& out = worker().out;
  out.clear();
  out.close = response().closes;
  out.fields.push_back({"Date", worker().date(turn().wall_now()), Known::date});
  const asio::const_buffer body = request().grpc ? add_grpc_status(out) : add_generated_body(out);
  add_reply_fields(out);
  client().put_head(out);
  return body;
}

/// Status and body of a local reply. Returns the body; empty for HEAD.
asio::const_buffer Exchange::add_generated_body(OutHead& out) {
  const bool head_only = request().head.method == Method::head && attempt().failure.side != FailSide::client;
  const std::string_view accept = [&] {
    const Field* f =
        attempt().failure.side == FailSide::client ? nullptr : request().head.find(Known::accept);
    return f != nullptr ? f->value : std::string_view();
  }();
  const GeneratedReply made = make_local_reply(reply().status, accept, reply().body, memory().reply_body);
  out.status = reply().status;
  out.reason = made.reason;
  std::string& number = memory().arena.scratch();
  append_decimal(number, made.body.size());
  out.fields.push_back({"Content-Type", made.content_type, Known::content_type});
  out.fields.push_back({"Content-Length", memory().arena.join(number), Known::content_length});
  out.body = {BodyLength::Kind::known, made.body.size()};
  return head_only ? asio::const_buffer() : asio::const_buffer(made.body.data(), made.body.size());
}

/// The fields of every local reply.
void Exchange::add_reply_fields(OutHead& out) {
  out.fields.push_back({"Cache-Control", "no-store", Known::cache_control});
  if (session().clears_tokens) marks_.clear_tokens(false);
  if (reply().status == 503 && reply().retry_after == 0) reply().retry_after = 1;
  if (!reply().challenge.empty()) out.fields.push_back({"WWW-Authenticate", reply().challenge, Known::other});
  if (!reply().location.empty()) out.fields.push_back({"Location", reply().location, Known::other});
  if (reply().retry_after > 0) {
    std::string& number = memory().arena.scratch();
    append_decimal(number, reply().retry_after);
    out.fields.push_back({"Retry-After", memory().arena.join(number), Known::retry_after});
  }
  if (request().route != nullptr) edit_local_reply(*request().route, out);
  append_added(memory().response_edits, out);
}

bool Exchange::is_last_response() const noexcept {
  if (client().closes() || attempt().handshake_lost || worker().stopping) return true;
  if (attempt().leg_due) return backend()->closes();  // a new connection would restart the handshake
  return worker().leaving || connection().listener->shared->retired.load(std::memory_order_relaxed);
}

/// RFC 9110 10.1.1: whether a response that comes before the end of its request should say that the
/// connection closes. Yes, if the client keeps the body back until a 100 that will not come; or if this
/// response ends the exchange, and the rest of the request is too long for discard_rest(). Otherwise the
/// request may well end first.
bool Exchange::cuts_request_short() const noexcept {
  if (client().request_complete() || memory().response.tunnel || attempt().belongs || only_stream_ends())
    return false;
  if (request().head.expect_continue && !attempt().continued && !request().body_rate.any()) return true;
  constexpr std::uint64_t soon_sent = 64 * 1024;
  const BodyLength& all = request().head.body;
  const bool known = all.kind == BodyLength::Kind::known;
  if (known && all.bytes - std::min(all.bytes, request().body_rate.bytes()) <= max_discarded) return false;
  const bool backend_ends = attempt().request_broken || backend()->closes();
  return backend_ends || (known && memory().response.body.kind != BodyLength::Kind::unknown &&
                          memory().response.body.bytes <= soon_sent);
}

/// Reads the rest of a request whose response is complete, and drops it: then the connection can carry the
/// next request. `linger`: it is too long, or does not come in time.
Task<Exchange::End> Exchange::discard_rest() {
  constexpr auto longest = std::chrono::seconds(5);
  const Clock::Steady deadline =
      turn().now() + std::min<std::chrono::nanoseconds>(connection().timeouts().body, longest);
  std::uint64_t discarded = 0;
  while (discarded <= max_discarded && !worker().stopping) {
    const Io io = client().fill();
    if (io == Io::failed) co_return client().gone() ? End::close : End::linger;
    const std::size_t n = io == Io::ready ? client().body().size() : 0;
    client().consume(n);
    discarded += n;
    if (client().request_complete()) co_return End::keep;
    if (io == Io::blocked && co_await turn().wait(deadline)) break;
  }
  co_return End::linger;
}

/// Every request ends here, tunnels too: gives back permits and counts, then writes the access log.
Exchange::End Exchange::finish() {
  response().open_stream.leave();
  attempts_.release_backend();
  marks_.finish_session();
  attempt().retry.give_back();
  report_.count_exchange();
  report_.log_exchange();
  assert(holds_nothing());
  if (!client().is_open()) return End::close;
  if (!client().request_complete() || attempt().failure.side == FailSide::client) return End::linger;
  if (response().closes) return client().has_more() ? End::linger : End::close;
  return End::keep;
}

}  // namespace remora
