// How an Exchange ends a response before its time: because its backend drains, or because its backend is gone
// and the client can be told so.

#include <algorithm>

#include "http/grpc.h"
#include "proxy/exchange.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;

/// What must be known if the response is ended before its time. The head is not valid for that long.
void Exchange::note_kind_of_stream() {
  const ResponseHead& head = memory().response;
  response().is_websocket = head.tunnel && iequals(worker().out.tunnel, "websocket");
  response().is_endless = head.tunnel;
  if (head.tunnel || head.body.kind != BodyLength::Kind::unknown) return;
  const Field* const type = head.find(Known::content_type);
  const bool is_event_stream = type != nullptr && istarts_with(type->value, "text/event-stream");
  response().is_endless = is_event_stream || (request().grpc && is_grpc_response(head));
  response().may_end_early = is_event_stream && head.find(Known::content_encoding) == nullptr;
}

/// From now on it can be ended because its backend drains. Any response counts once it has taken longer than
/// a request may take until its response.
void Exchange::join_open_streams() {
  const Clock::Steady counts_from =
      response().is_endless ? turn().now() : request().began + request().timeouts.response;
  worker().open_streams.add(response().open_stream, *attempt().member->backend, counts_from, turn().now());
}

/// A tunnel that was ended before its time is not closed at once: the client still reads what it was sent.
Exchange::End Exchange::end_tunnel() {
  const bool drained = attempt().failure.kind == Kind::drained;
  if (drained) note_drained();
  if (drained && only_stream_ends()) client().cancel();
  finish();
  return drained ? End::linger : End::close;
}

void Exchange::note_drained() {
  attempt().member->backend->drained_streams.fetch_add(1, std::memory_order_relaxed);
  if (request().has_sessions()) request().pool->counters->drain.stream_ended(turn().now());
}

/// Its backend drains, the response is an event stream, and the client has all of the last event.
bool Exchange::can_end_between_events() const noexcept {
  return attempt().failure.kind == Kind::drained && response().is_between_events() && !client().gone() &&
         client().is_open() && !memory().response_edits.body && !response().splice.holds_any();
}

/// Ends the response where it is, in order, with these trailers. False: the client does not take the end.
Task<bool> Exchange::end_early(const std::vector<Field>* trailers) {
  constexpr auto longest = std::chrono::seconds(5);
  const Clock::Steady until =
      turn().now() + std::min<std::chrono::nanoseconds>(connection().timeouts().write, longest);
  attempts_.release_backend();
  const Body end{{}, true};
  for (;;) {
    const WriteResult taken = client().send(end, trailers);
    if (taken.finished) co_return true;
    if (taken.io == Io::failed || client().gone() || turn().now() >= until) co_return false;
    co_await turn().wait(until);
  }
}

}  // namespace remora
