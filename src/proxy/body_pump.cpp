#include "proxy/body_pump.h"

#include <algorithm>

namespace remora {

bool BodyPump::pump_request() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (backend()->request_sent() || attempt().request_broken) {
      client().watch();
      return true;
    }
    if (backend()->send_blocked()) return true;
    if (attempt().replay_overflow &&
        may_splice(client().raw_path(), backend()->raw_path(), attempt().request_splice)) {
      std::uint64_t passed = 0;
      const Step step =
          splice(*client().raw_path(), *backend()->raw_path(), attempt().request_splice, passed);
      if (step == Step::backend_failed) return false;
      request().body_rate.received(passed);
      attempt().request_broken = step == Step::client_failed;
      if (step != Step::more) return true;
      continue;
    }
    asio::const_buffer kept;
    Body body;
    bool from_client = false, waiting = false;
    if (attempt().replay_at < memory().replay.size()) {  // a retry: first the kept part of the body
      kept = asio::const_buffer(memory().replay.data() + attempt().replay_at,
                                memory().replay.size() - attempt().replay_at);
      body = {{&kept, 1}, client().request_complete()};
    } else {
      const Io io = client().fill();
      if (io == Io::failed) return false;
      from_client = io == Io::ready;
      waiting = io == Io::blocked;
      if (from_client) body = client().body();
    }
    const WriteResult taken = backend()->send(body, client().trailers());
    if (taken.io == Io::failed) {
      attempt().request_broken = true;  // the backend may have responded already: read on
      return true;
    }
    if (from_client) {
      record_for_replay(body, taken.bytes);
      client().consume(taken.bytes);
      request().body_rate.received(taken.bytes);
    } else if (!waiting) {
      attempt().replay_at += taken.bytes;
    }
    if (taken.bytes > 0 || taken.finished) attempt().last_progress = turn().now();
    if (taken.io == Io::blocked || (waiting && !taken.finished)) return true;
  }
  turn().pause();
  return true;
}

/// Keeps the body for a retry, up to `replay_body` bytes. Only idempotent requests can be retried after their
/// body was sent, and any request over HTTP/2, where the backend may say that it did not act on it. Others
/// are not kept.
void BodyPump::record_for_replay(Body body, std::size_t taken) {
  if (taken == 0 || attempt().replay_overflow) return;
  if ((!idempotent(request().head.method) && !backend().is_shared()) ||
      memory().replay.size() + taken > request().pool->config.failover.replay_body) {
    attempt().replay_overflow = true;
    memory().replay.clear();
    attempt().replay_at = 0;
    return;
  }
  for (const auto& run : body.runs) {
    const std::size_t n = std::min(run.size(), taken);
    memory().replay.append(static_cast<const char*>(run.data()), n);
    taken -= n;
  }
  attempt().replay_at = memory().replay.size();
}

Step BodyPump::pump_response() {
  if (memory().response_edits.body) return pump_rewritten();
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client().send_blocked()) return Step::blocked;
    if (!response().watches && may_splice(backend()->raw_path(), client().raw_path(), response().splice)) {
      const Step step =
          splice(*backend()->raw_path(), *client().raw_path(), response().splice, response().bytes);
      if (step != Step::more) return step;
      continue;
    }
    const Io io = backend()->fill();
    if (io == Io::failed) return Step::backend_failed;
    Body body = io == Io::ready ? backend()->body() : Body{};
    if (response().watches) marks_.look_at_events(body);
    if ((!response().watches && prefill_pipe()) || response().splice.holds_any()) {
      body.last = false;
      body.more = true;
    }
    const WriteResult taken = client().send(body, backend()->trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response().bytes += taken.bytes;
    if (response().may_end_early) note_events(body, taken.bytes);
    backend()->consume(taken.bytes);
    response().watched -= std::min(response().watched, taken.bytes);
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) attempt().last_progress = turn().now();
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

/// The client's stream took so many bytes of this part of an event stream.
void BodyPump::note_events(const Body& body, std::size_t taken) noexcept {
  response().all_sent = taken == body.size();
  for (const auto& run : body.runs) {
    const std::size_t n = std::min(run.size(), taken);
    response().events.feed({static_cast<const char*>(run.data()), n});
    taken -= n;
  }
}

/// Splices the waiting part of a long body into the pipe before its first bytes are sent, so that those need
/// no TCP segment of their own. True: the pipe holds bytes.
bool BodyPump::prefill_pipe() {
  // Only once: the first bytes may still be waiting for the client.
  if (response().splice.holds_any()) return false;
  RawPath* const from = backend()->raw_path();
  RawPath* const to = client().raw_path();
  if (from == nullptr || to == nullptr) return false;
  const std::uint64_t left = from->raw_behind();
  if (left < RawPath::worth_splicing || !to->takes_raw_next() ||
      !response().splice.start(worker().loop.pipes))
    return false;
  const Splice::Moved moved = response().splice.take(from->socket(), left);
  from->skip_raw(moved.taken);
  return moved.taken > 0;
}

/// True: splice. Worthwhile for long bodies between plain sockets.
bool BodyPump::may_splice(const RawPath* from, const RawPath* to, Splice& splice) noexcept {
  if (from == nullptr || to == nullptr) return false;
  if (splice.holds_any()) return to->takes_raw() && !from->holds_body();  // bytes already received go first
  return from->raw_left() >= RawPath::worth_splicing && to->takes_raw() && splice.start(worker().loop.pipes);
}

/// One splice step. `backend_failed` means that `from` failed, `client_failed` that `to` did, in either
/// direction.
Step BodyPump::splice(RawPath& from, RawPath& to, Splice& splice, std::uint64_t& passed) {
  const Splice::Moved moved = splice.move(from.socket(), to.socket(), from.raw_left());
  from.skip_raw(moved.taken);
  passed += moved.passed;
  if (moved.passed > 0) attempt().last_progress = turn().now();
  if (moved.to == Io::failed) return Step::client_failed;
  if (moved.from == Io::failed) return Step::backend_failed;
  return moved.to == Io::blocked || moved.from == Io::blocked ? Step::blocked : Step::more;
}

/// Like pump_response(), for a body that an affinity kind rewrites on its way.
Step BodyPump::pump_rewritten() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client().send_blocked()) return Step::blocked;
    Io io = Io::ready;
    if (response().rewritten_at == memory().rewritten.size() && !response().rewritten_last) {
      memory().rewritten.clear();
      response().rewritten_at = 0;
      io = backend()->fill();
      if (io == Io::failed) return Step::backend_failed;
      if (io == Io::ready) {
        const Body body = backend()->body();
        for (const auto& run : body.runs)
          memory().response_edits.body->feed({static_cast<const char*>(run.data()), run.size()}, false,
                                             memory().rewritten);
        response().rewritten_last = body.last;
        if (body.last) memory().response_edits.body->feed({}, true, memory().rewritten);
        backend()->consume(body.size());
        attempt().last_progress = turn().now();
      }
    }
    const asio::const_buffer rest(memory().rewritten.data() + response().rewritten_at,
                                  memory().rewritten.size() - response().rewritten_at);
    const WriteResult taken = client().send({{&rest, 1}, response().rewritten_last}, backend()->trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response().rewritten_at += taken.bytes;
    response().bytes += taken.bytes;
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) attempt().last_progress = turn().now();
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

}  // namespace remora
