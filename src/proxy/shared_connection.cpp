#include "proxy/shared_connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace remora {

namespace {
/// Receives between two turns of the loop.
constexpr int max_receives = 8;
}  // namespace

// Waiter --------------------------------------------------------------------------------------------

Io SharedConnections::Waiter::step(Clock::Steady now) {
  switch (outcome_) {
    case Outcome::ready:
      return Io::ready;
    case Outcome::failed:
      return Io::failed;
    case Outcome::none:
      if (now < end_) return Io::blocked;
      timed_out_ = true;
      return Io::failed;
    case Outcome::alone:
      break;
  }
  if (!own_) own_.emplace(loop_, BackendAddress(to_.pool, to_.member), now, end_, wake_, true);
  const Io io = own_->step(now);
  if (io == Io::ready) into_.use(own_->take(), false);
  timed_out_ = own_->timed_out();
  return io;
}

void SharedConnections::Waiter::give(ClientStream& stream) {
  into_.use(stream);
  tell(Outcome::ready);
}

void SharedConnections::Waiter::give(TransportRef connection) {
  try {
    into_.use(std::move(connection), false);
  } catch (const std::bad_alloc&) {
    return fail(false);
  }
  tell(Outcome::ready);
}

void SharedConnections::Waiter::fail(bool timed_out) {
  timed_out_ = timed_out;
  tell(Outcome::failed);
}

void SharedConnections::Waiter::leave_alone() {
  tell(Outcome::alone);
}

void SharedConnections::Waiter::tell(Outcome outcome) {
  outcome_ = outcome;
  wake_.set(EventFlags::backend);
}

// Connection ----------------------------------------------------------------------------------------

SharedConnections::Connection::Connection(SharedConnections& all, Group& group)
    : all_(all), group_(group), wake_(all.loop_.wheel), connect_by_(all.loop_.wheel.now() + group.timeout) {
  connecting_.emplace(all.loop_, group.address, all.loop_.wheel.now(), connect_by_, wake_, false);
}

SharedConnections::Connection::~Connection() = default;

void SharedConnections::Connection::start() noexcept {
  post();
  listen();
}

/// The next event is processed in a turn of its own.
void SharedConnections::Connection::post() noexcept {
  if (post_pending_) return;
  try {
    asio::post(all_.loop_.ctx.get_executor(), [self = Ref<Connection>(this)] {
      self->post_pending_ = false;
      if (self->state_ != State::closed && !self->wake_.waiting()) return self->on_event();
      if (self->state_ != State::closed) self->wake_.set(EventFlags::backend);
    });
    post_pending_ = true;
  } catch (const std::bad_alloc&) {
    wheel_posts_ = true;
    set_deadline();
  }
}

void SharedConnections::Connection::listen() noexcept {
  if (wake_.any_pending()) post();
  // Without memory to post, the deadline resumes it, pending bits or not.
  if (post_pending_ && wake_.any_pending()) return;
  wake_.call([this](unsigned) { on_event(); });
}

/// Nobody could catch what leaves an event handler. Most likely out of memory: this connection is lost.
void SharedConnections::Connection::on_event() {
  const Ref<Connection> self(this);  // the group may drop it
  static_cast<void>(wake_.take());
  wheel_posts_ = false;
  try {
    act(all_.loop_.wheel.now());
  } catch (const std::exception&) {
    if (state_ != State::closed) lose(false);
  }
  if (state_ == State::closed) return;
  set_deadline();
  listen();
}

void SharedConnections::Connection::act(Clock::Steady now) {
  if (state_ == State::connecting) connect(now);
  if (state_ == State::greeting || state_ == State::open) receive(now);
  if (state_ == State::greeting && now >= connect_by_) lose(true);
  if (state_ == State::open) look_after(now);
  if (state_ == State::over && (!session_ || session_->running() == 0)) close();
}

/// Again for each event: post() may have used the deadline for itself.
void SharedConnections::Connection::set_deadline() noexcept {
  // The deadline wheel needs no memory.
  if (wheel_posts_) return wake_.until(all_.loop_.wheel.now());
  if (state_ == State::greeting) wake_.until(connect_by_);
  if (state_ != State::open) return;
  if (doubtful_)
    wake_.until(doubt_until_);
  else if (!asked_)
    wake_.until(next_question());
}

void SharedConnections::Connection::connect(Clock::Steady now) {
  const Io io = connecting_->step(now);
  if (io == Io::blocked) return wake_.until(connecting_->deadline());
  if (io == Io::failed) return lose(connecting_->timed_out());
  TransportRef transport = connecting_->take();
  connecting_.reset();
  const TlsSession* const tls = TlsSession::of(*transport);
  if (tls == nullptr || tls->alpn() == "h2") return begin_http2(std::move(transport));
  if (group_.protocol == config::BackendProtocol::h2) {
    transport->close();
    return lose(false);
  }
  state_ = State::over;
  all_.connected_http1(group_, std::move(transport));
  close();
}

void SharedConnections::Connection::begin_http2(TransportRef transport) {
  const bool secure = transport->is_tls();
  session_.emplace(all_.loop_, settings, secure, static_cast<Http2ClientSession::Owner&>(*this));
  session_->use(std::move(transport), wake_, EventFlags::backend);
  state_ = State::greeting;
  wake_.until(connect_by_);
  session_->flush();
}

void SharedConnections::Connection::receive(Clock::Steady now) {
  Io io = Io::ready;
  for (int i = 0; i < max_receives && io == Io::ready; ++i) {
    io = session_->receive();
    if (io == Io::ready) {
      heard_ = now;
      doubtful_ = asked_ = false;
    }
  }
  session_->flush();
  if (io == Io::failed || session_->is_over()) return lose(false);
  // A server may allow no request at first (RFC 9113 6.5.2: for a short time): then wait, within
  // timeouts.connect. One that says GOAWAY takes none, and another connection to it would do the same.
  const bool settled = session_->has_room() || !session_->takes_requests();
  if (state_ == State::greeting && session_->is_ready() && settled) {
    state_ = State::open;
    idle_since_ = now;
    group_.streams_each = std::max<std::uint32_t>(1, session_->max_streams());
    wake_.no_deadline();
    if (!session_->has_room()) connect_failed(group_, false);
  }
  if (io == Io::ready) post();
}

/// The rare duties: waiting requests, the end, silence, idleness.
void SharedConnections::Connection::look_after(Clock::Steady now) {
  all_.serve(group_);
  if (state_ != State::open) return;
  if (doubtful_ && now >= doubt_until_) return lose(true);
  if (!session_->takes_requests()) retired_ = true;
  // An end that came together with the last bytes raised no event of its own: a server that says GOAWAY and
  // exits, or dies in a response.
  if (now >= next_question() && !std::exchange(asked_, true)) session_->look_for_end();
  if (session_->is_over()) return lose(false);
  if (!is_idle()) return;
  const std::size_t idle = static_cast<std::size_t>(std::count_if(
      group_.connections.begin(), group_.connections.end(), [](const auto& c) { return c->is_idle(); }));
  if (retired_ || idle > group_.max_idle) close_idle();
}

/// When the kernel is to be asked whether the server has ended unnoticed, once after each receive.
Clock::Steady SharedConnections::Connection::next_question() const noexcept {
  return is_idle() ? idle_since_ + silence : heard_ + quiet;
}

bool SharedConnections::Connection::still_open(Clock::Steady now, bool certain) {
  if (certain || now - idle_since_ >= silence) session_->look_for_end();
  return !session_->is_over();
}

void SharedConnections::Connection::stream_ended(bool silent) noexcept {
  if (state_ == State::closed || !session_) return;
  const Clock::Steady now = all_.loop_.wheel.now();
  if (silent && state_ == State::open && !doubtful_ && now - heard_ >= silence) {
    doubtful_ = true;
    doubt_until_ = now + doubt;
    session_->ping();
  }
  const bool idle = session_->running() == 0;
  if (idle && state_ == State::open && !doubtful_) {
    idle_since_ = now;
    asked_ = false;
  }
  set_deadline();
  const bool surplus = idle && (group_.connections.size() > 1 || group_.max_idle == 0);
  if (state_ != State::open || retired_ || surplus || !group_.waiters.empty()) post();
}

void SharedConnections::Connection::retire() {
  retired_ = true;
  post();
  if (is_new()) lose(false);
}

/// Says goodbye: no stream is open.
void SharedConnections::Connection::close_idle() {
  session_->terminate(Http2Error::no_error);
  state_ = State::over;
}

/// The connection is lost, or was never made. Streams that are still open were told.
void SharedConnections::Connection::lose(bool timed_out) {
  const bool was_new = is_new();
  state_ = State::over;
  connecting_.reset();
  if (session_ && !session_->is_over()) {
    session_->terminate(Http2Error::no_error);
    session_->flush();  // tells the streams
  }
  if (was_new && !retired_) connect_failed(group_, timed_out);
  if (!session_ || session_->running() == 0) close();
}

void SharedConnections::Connection::close() {
  if (state_ == State::closed) return;
  destroy();
  std::erase_if(group_.connections, [this](const auto& c) { return c.get() == this; });
  if (!group_.waiters.empty()) all_.serve(group_);
}

void SharedConnections::Connection::destroy() noexcept {
  state_ = State::closed;
  wake_.no_deadline();
  connecting_.reset();
  if (!session_) return;
  const TransportRef transport = session_->release();
  session_.reset();
  if (transport) transport->end();
}

}  // namespace remora
