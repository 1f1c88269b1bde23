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
};

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

Task<void> Tunnel::run() {
  constexpr auto quiet = std::chrono::milliseconds(20);
  client().tunnel();
  backend()->tunnel();
  Lane in{client(), *backend()}, out{*backend(), client()};
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
    turn().pause_if(a == Step::more || b == Step::more);
    asked = asked && attempt().last_progress == before;
    const Clock::Steady deadline = attempt().last_progress + connection().timeouts().tunnel;
    const Clock::Steady ask_at = asked ? deadline : attempt().last_progress + quiet;
    const Clock::Steady until = std::min(std::min(deadline, marks_.next_touch()), ask_at);
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
