#include "proxy/http2_connection.h"

#include <algorithm>

namespace remora {

namespace {

/// As with HTTP/1 (connection_http1.cpp).
constexpr auto park_after = std::chrono::milliseconds(500);
/// After so long without bytes, while requests are open, the kernel is asked for the end of the connection.
constexpr auto quiet = std::chrono::milliseconds(20);
/// Then other connections run.
constexpr unsigned receives_per_turn = 8, requests_per_turn = 8;

Http2Settings settings_of(const config::Http2& c) noexcept {
  Http2Settings out;
  out.max_concurrent_streams = c.max_concurrent_streams;
  out.stream_window = static_cast<std::uint32_t>(c.stream_window);
  out.connection_window = static_cast<std::uint32_t>(c.connection_window);
  return out;
}

}  // namespace

Http2Connection::Http2Connection(WorkerContext& worker, const ListenerView& listener)
    : worker_(worker),
      session_(worker.loop, settings_of(listener.config.h2), listener.config.limits, *this),
      idle_since_(worker.clock.steady_now()) {
  listener.shared->http2[worker.index].connections.add();
}

Task<ConnectionEnd> Http2Connection::serve(TransportRef transport, ConnectionState& state, Turn& turn) {
  transport_ = std::move(transport);
  state_ = &state;
  turn_ = &turn;
  const TlsSession* const tls = TlsSession::of(*transport_);
  if (tls != nullptr) state.server_name = tls->server_name();
  session_.use(transport_, turn.wake(), EventFlags::client);
  ConnectionEnd end = ConnectionEnd::linger;
  for (;;) {
    bool more = false, late = false;
    // No exception may leave before the last exchange has ended: they use this object.
    try {
      more = advance();
      note_progress(turn.now());
      late = !session_.is_over() && is_late(turn.now());
    } catch (const std::exception& error) {
      worker_.logged_errors.add(error.what());
      session_.terminate(Http2Error::internal_error);
      more = true;
    }
    if (late) continue;
    if (session_.is_over() && serves_nothing()) break;
    if (may_park(turn.now())) {
      end = ConnectionEnd::park;
      break;
    }
    turn.pause_if(more);
    co_await turn.wait(next_deadline());
  }
  session_.release();
  transport_.reset();
  co_return end;
}

/// Receives, begins exchanges, sends. True: there is more to do at once.
bool Http2Connection::advance() {
  if (is_leaving() && !session_.is_shutting_down() && !session_.is_over()) session_.shutdown();
  Io io = Io::ready;
  for (unsigned n = 0; n < receives_per_turn && io == Io::ready && !session_.is_over(); ++n) {
    io = session_.receive();
    if (io == Io::ready) note_received(turn_->now());
  }
  look_for_end(turn_->now());
  start_opened();
  session_.flush();
  return !opened_.empty() || (io == Io::ready && !session_.is_over());
}

void Http2Connection::start_opened() {
  expensive_ = false;
  for (unsigned n = 0; n < requests_per_turn && !opened_.empty() && !expensive_; ++n) {
    StreamTask& task = opened_.front();
    opened_.pop_front();
    task.start();
  }
}

void Http2Connection::stream_opened(Http2ServerStream& stream) {
  try {
    opened_.push_back(StreamTask::take(worker_, *this, stream));
  } catch (const std::bad_alloc& error) {
    worker_.logged_errors.add(error.what());
    session_.done(stream);
  }
}

void Http2Connection::stream_finished(ServerStream& stream, Clock::Steady now, bool expensive) noexcept {
  session_.done(static_cast<Http2ServerStream&>(stream));
  expensive_ = expensive_ || expensive;
  if (!serves_nothing()) return;
  idle_since_ = now;
  // Only deadlines: the coroutine must not run, and perhaps end the session, while that wakes its streams.
  if (session_.is_over())
    turn_->wake().until(now);
  else if (!session_.is_shutting_down())
    turn_->wake().until(now + park_after);
}

void Http2Connection::head_refused(const char* why) {
  state_->refuse(Refusal::head, state_->arrival.client, why);
}

void Http2Connection::flooded(const char* what) {
  state_->refuse(Refusal::flood, state_->arrival.client, what);
}

bool Http2Connection::is_leaving() const noexcept {
  return worker_.stopping || worker_.leaving ||
         state_->listener->shared->retired.load(std::memory_order_relaxed);
}

void Http2Connection::note_received(Clock::Steady now) noexcept {
  heard_ = now;
  asked_ = false;
}

/// An end of the client's stream that came together with its last bytes raised no event of its own.
void Http2Connection::look_for_end(Clock::Steady now) noexcept {
  if (serves_nothing() || asked_ || now < heard_ + quiet) return;
  asked_ = true;
  session_.look_for_end();
}

void Http2Connection::note_progress(Clock::Steady now) noexcept {
  if (session_.mid_head() && !mid_head_) head_since_ = now;
  mid_head_ = session_.mid_head();
  const bool blocked = session_.send_blocked();
  if (blocked && (!blocked_ || session_.bytes_sent() != sent_)) blocked_since_ = now;
  blocked_ = blocked;
  sent_ = session_.bytes_sent();
}

/// True: a deadline has passed, and the session was ended.
bool Http2Connection::is_late(Clock::Steady now) {
  const config::ListenerTimeouts& timeouts = state_->timeouts();
  const bool head = mid_head_ && now >= head_since_ + timeouts.header;
  const bool blocked = blocked_ && now >= blocked_since_ + timeouts.write;
  const bool idle = serves_nothing() && !session_.is_shutting_down() && now >= idle_since_ + timeouts.idle;
  if (!head && !blocked && !idle) return false;
  if (head) head_refused("it took too long (timeouts.header)");
  session_.terminate(head ? Http2Error::enhance_your_calm : Http2Error::no_error);
  if (blocked) transport_->close_hard();  // nobody reads
  return true;
}

bool Http2Connection::may_park(Clock::Steady now) const noexcept {
  return serves_nothing() && session_.is_idle() && !session_.is_over() && !session_.is_shutting_down() &&
         !mid_head_ && transport_->unread().empty() && now >= idle_since_ + park_after;
}

Clock::Steady Http2Connection::next_deadline() const noexcept {
  Clock::Steady deadline = Clock::Steady::max();
  if (session_.is_over()) return deadline;  // waits for its exchanges
  const config::ListenerTimeouts& timeouts = state_->timeouts();
  if (serves_nothing() && !session_.is_shutting_down()) {
    deadline = idle_since_ + timeouts.idle;
    if (session_.is_idle() && !mid_head_) deadline = std::min(deadline, idle_since_ + park_after);
  }
  if (!serves_nothing() && !asked_) deadline = std::min(deadline, heard_ + quiet);
  if (mid_head_) deadline = std::min(deadline, head_since_ + timeouts.header);
  if (blocked_) deadline = std::min(deadline, blocked_since_ + timeouts.write);
  return deadline;
}

}  // namespace remora
