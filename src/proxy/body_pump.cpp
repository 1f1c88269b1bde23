#include "proxy/body_pump.h"

#include <algorithm>

namespace remora {

bool BodyPump::pump_request() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (backend_->request_sent() || attempt_.request_broken) {
      client_.watch();
      return true;
    }
    if (backend_->send_blocked()) return true;
    if (attempt_.replay_overflow &&
        may_splice(client_.raw_path(), backend_->raw_path(), attempt_.request_splice)) {
      std::uint64_t passed = 0;
      const Step step = splice(*client_.raw_path(), *backend_->raw_path(), attempt_.request_splice, passed);
      if (step == Step::backend_failed) return false;
      request_.body_rate.received(passed);
      attempt_.request_broken = step == Step::client_failed;
      if (step != Step::more) return true;
      continue;
    }
    asio::const_buffer kept;
    Body body;
    bool from_client = false, waiting = false;
    if (attempt_.replay_at < memory_.replay.size()) {  // a retry: first the kept part of the body
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
    const WriteResult taken = backend_->send(body, client_.trailers());
    if (taken.io == Io::failed) {
      attempt_.request_broken = true;  // the backend may have responded already: read on
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

/// Keeps the body for a retry, up to `replay_body` bytes. Only idempotent requests can be retried after their
/// body was sent, and any request over HTTP/2, where the backend may say that it did not act on it. Others
/// are not kept.
void BodyPump::record_for_replay(Body body, std::size_t taken) {
  if (taken == 0 || attempt_.replay_overflow) return;
  if ((!idempotent(request_.head.method) && !backend_.is_shared()) ||
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

Step BodyPump::pump_response() {
  if (memory_.response_edits.body) return pump_rewritten();
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client_.send_blocked()) return Step::blocked;
    if (!response_.watches && may_splice(backend_->raw_path(), client_.raw_path(), response_.splice)) {
      const Step step = splice(*backend_->raw_path(), *client_.raw_path(), response_.splice, response_.bytes);
      if (step != Step::more) return step;
      continue;
    }
    const Io io = backend_->fill();
    if (io == Io::failed) return Step::backend_failed;
    Body body = io == Io::ready ? backend_->body() : Body{};
    if (response_.watches) marks_.look_at_events(body);
    if ((!response_.watches && prefill_pipe()) || response_.splice.holds_any()) {
      body.last = false;
      body.more = true;
    }
    const WriteResult taken = client_.send(body, backend_->trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response_.bytes += taken.bytes;
    backend_->consume(taken.bytes);
    response_.watched -= std::min(response_.watched, taken.bytes);
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) attempt_.last_progress = turn_.now();
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

/// Splices the waiting part of a long body into the pipe before its first bytes are sent, so that those need
/// no TCP segment of their own. True: the pipe holds bytes.
bool BodyPump::prefill_pipe() {
  // Only once: the first bytes may still be waiting for the client.
  if (response_.splice.holds_any()) return false;
  RawPath* const from = backend_->raw_path();
  RawPath* const to = client_.raw_path();
  if (from == nullptr || to == nullptr) return false;
  const std::uint64_t left = from->raw_behind();
  if (left < RawPath::worth_splicing || !to->takes_raw_next() || !response_.splice.start(worker_.loop.pipes))
    return false;
  const Splice::Moved moved = response_.splice.take(from->socket(), left);
  from->skip_raw(moved.taken);
  return moved.taken > 0;
}

/// True: splice. Worthwhile for long bodies between plain sockets.
bool BodyPump::may_splice(const RawPath* from, const RawPath* to, Splice& splice) noexcept {
  if (from == nullptr || to == nullptr) return false;
  if (splice.holds_any()) return to->takes_raw() && !from->holds_body();  // bytes already received go first
  return from->raw_left() >= RawPath::worth_splicing && to->takes_raw() && splice.start(worker_.loop.pipes);
}

/// One splice step. `backend_failed` means that `from` failed, `client_failed` that `to` did, in either
/// direction.
Step BodyPump::splice(RawPath& from, RawPath& to, Splice& splice, std::uint64_t& passed) {
  const Splice::Moved moved = splice.move(from.socket(), to.socket(), from.raw_left());
  from.skip_raw(moved.taken);
  passed += moved.passed;
  if (moved.passed > 0) attempt_.last_progress = turn_.now();
  if (moved.to == Io::failed) return Step::client_failed;
  if (moved.from == Io::failed) return Step::backend_failed;
  return moved.to == Io::blocked || moved.from == Io::blocked ? Step::blocked : Step::more;
}

/// Like pump_response(), for a body that an affinity kind rewrites on its way.
Step BodyPump::pump_rewritten() {
  for (int round = 0; round < rounds_per_turn; ++round) {
    if (client_.send_blocked()) return Step::blocked;
    Io io = Io::ready;
    if (response_.rewritten_at == memory_.rewritten.size() && !response_.rewritten_last) {
      memory_.rewritten.clear();
      response_.rewritten_at = 0;
      io = backend_->fill();
      if (io == Io::failed) return Step::backend_failed;
      if (io == Io::ready) {
        const Body body = backend_->body();
        for (const auto& run : body.runs)
          memory_.response_edits.body->feed({static_cast<const char*>(run.data()), run.size()}, false,
                                            memory_.rewritten);
        response_.rewritten_last = body.last;
        if (body.last) memory_.response_edits.body->feed({}, true, memory_.rewritten);
        backend_->consume(body.size());
        attempt_.last_progress = turn_.now();
      }
    }
    const asio::const_buffer rest(memory_.rewritten.data() + response_.rewritten_at,
                                  memory_.rewritten.size() - response_.rewritten_at);
    const WriteResult taken = client_.send({{&rest, 1}, response_.rewritten_last}, backend_->trailers());
    if (taken.io == Io::failed) return Step::client_failed;
    response_.rewritten_at += taken.bytes;
    response_.bytes += taken.bytes;
    if (taken.finished) return Step::done;
    if (taken.bytes > 0) attempt_.last_progress = turn_.now();
    if (taken.io == Io::blocked || io == Io::blocked) return Step::blocked;
  }
  return Step::more;
}

}  // namespace remora
