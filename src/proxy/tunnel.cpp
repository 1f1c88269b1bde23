#include "proxy/tunnel.h"

#include <algorithm>

namespace remora {

/// One direction. In the results of pump_lane(), `backend_failed` means that `from` failed, `client_failed`
/// that `to` did.
struct Tunnel::Lane {
  MessageStream& from;
  MessageStream& to;
  bool ended = false;
  bool flushed = false;  // staged bytes (the head of the 101) were sent
  std::uint64_t bytes = 0;
  WebSocketFrames* frames = nullptr;
};

namespace {
void feed(WebSocketFrames& frames, const Body& body, std::size_t taken) noexcept {
  for (const auto& run : body.runs) {
    const std::size_t n = std::min(run.size(), taken);
    frames.feed({static_cast<const char*>(run.data()), n});
    taken -= n;
  }
}
}  // namespace

Step Tunnel::pump_lane(Lane& lane) {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (lane.ended) return Step::done;
    if (lane.to.send_blocked()) return Step::blocked;
    const Io io = lane.from.fill();
    if (io == Io::failed) return Step::backend_failed;
    if (io == Io::blocked && lane.flushed) return Step::blocked;
    const Body body = io == Io::ready ? lane.from.body() : Body{};
    const WriteResult taken = lane.to.send(body, nullptr);
    if (taken.io == Io::failed) return Step::client_failed;
    lane.flushed = taken.io == Io::ready;
    if (lane.frames != nullptr) {
      feed(*lane.frames, body, taken.bytes);
      response().all_sent = taken.bytes == body.size();
    }
    lane.from.consume(taken.bytes);
    lane.bytes += taken.bytes;
    if (taken.bytes > 0) attempt().last_progress = turn().now();
    if (taken.finished) {
      lane.ended = true;
      lane.to.end_sending();  // half-close, as the other end did
    }
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

bool Tunnel::is_over() const noexcept {
  const bool between = !response().is_websocket || is_between_frames();
  return response().open_stream.is_over(between, turn().now());
}

/// The client's side can take a frame of ours now.
bool Tunnel::is_between_frames() const noexcept {
  return response().all_sent && frames_.between_frames();
}

/// Ends a WebSocket for its client, which has a second to take the Close frame.
Task<void> Tunnel::say_going_away(Lane& out) {
  if (!response().is_websocket || out.ended || !out.flushed || !is_between_frames() || frames_.closed())
    co_return;
  asio::const_buffer rest = asio::buffer(websocket_going_away);
  const Clock::Steady until = turn().now() + std::chrono::seconds(1);
  for (;;) {
    const Body end{{&rest, 1}, true};
    const WriteResult taken = out.to.send(end, nullptr);
    rest += taken.bytes;
    if (taken.finished || taken.io == Io::failed || turn().now() >= until) co_return;
    co_await turn().wait(until);
  }
}

Task<void> Tunnel::run() {
  constexpr auto quiet = std::chrono::milliseconds(20);
  client().tunnel();
  backend()->tunnel();
  Lane in{client(), *backend()}, out{*backend(), client()};
  if (response().is_websocket) out.frames = &frames_;
  attempt().last_progress = turn().now();
  bool asked = false;
  for (;;) {
    const Clock::Steady before = attempt().last_progress;
    const Step a = pump_lane(in), b = pump_lane(out);
    response().bytes = out.bytes;
    // After an end has finished sending, only a reset shows that it has stopped receiving too.
    if (in.ended) client().watch();
    if (out.ended) backend()->watch();
    const bool broken = a == Step::backend_failed || a == Step::client_failed || b == Step::backend_failed ||
                        b == Step::client_failed || !client().is_open() ||
                        (in.ended && client().is_broken()) || (out.ended && backend()->is_broken());
    if (broken || (in.ended && out.ended)) co_return;
    if (is_over()) {
      attempt().fail(Failure::Side::self, Failure::Kind::drained);
      co_await say_going_away(out);
      co_return;
    }
    turn().pause_if(a == Step::more || b == Step::more);
    asked = asked && attempt().last_progress == before;
    const Clock::Steady deadline = attempt().last_progress + connection().timeouts().tunnel;
    const Clock::Steady ask_at = asked ? deadline : attempt().last_progress + quiet;
    const Clock::Steady until = std::min(std::min(std::min(deadline, marks_.next_touch()), ask_at),
                                         response().open_stream.next_change(turn().now()));
    const bool late = co_await turn().wait(until);
    if (turn().now() >= marks_.next_touch()) marks_.touch_session();
    if (late && turn().now() >= deadline) co_return;
    if (asked || !late || turn().now() < ask_at) continue;
    asked = true;
    client().look_for_end();
    backend()->look_for_end();
  }
}

}  // namespace remora
