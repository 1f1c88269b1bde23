#include "proxy/connection.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "net/proxy_protocol.h"

namespace remora {

using std::chrono::seconds;

namespace {
constexpr std::size_t max_lingering_bytes = 256 * 1024;
/// Connections that are told to leave in one turn of the loop.
constexpr unsigned told_per_turn = 64;
}  // namespace

void Connection::start(WorkerContext& worker, const ListenerState& listener, TransportRef stream,
                       const ClientAddress& peer) {
  auto* connection = new Connection(worker, listener, std::move(stream), peer);
  const config::Listener& settings = worker.snapshot->shared->listeners[listener.slot]->config;
  try {
    if (!connection->is_welcome(settings)) {
      delete connection;
      return;
    }
    // Parked until the first byte: a connection that sends nothing costs no working memory.
    connection->stream_->park(*connection);
    const auto& header = settings.timeouts.header;
    connection->arm(worker.loop.wheel,
                    connection->idle_since_ +
                        (settings.proxy_protocol ? std::min<Clock::Steady::duration>(header, proxy_line_grace)
                                                 : Clock::Steady::duration(header)));
  } catch (...) {
    delete connection;
    throw;
  }
}

/// False: refused. Silent connections count too; otherwise one address could hold every connection of the
/// listener. With PROXY protocol the client is counted later, by the address in its line.
bool Connection::is_welcome(const config::Listener& settings) {
  if (!settings.proxy_protocol) return count_client(settings);
  if (may_send_proxy_line(settings, peer_)) return true;
  listener_.shared->strangers.fetch_add(1, std::memory_order_relaxed);
  refuse(Refusal::proxy_line, settings, "this peer may not send PROXY lines");
  return false;
}

/// False: the client has too many connections already (`per_client.connections`).
bool Connection::count_client(const config::Listener& settings) {
  if (!settings.per_client.connections || contains(settings.trusted_proxies, peer_)) return true;
  if (peer_.is_unknown()) return true;  // a unix socket: its clients cannot be distinguished
  counted_ = listener_.shared->limits.connected(peer_, idle_since_);
  if (!counted_) refuse(Refusal::connections, settings, "it has as many as per_client.connections allows");
  return counted_;
}

void Connection::refuse(Refusal what, const config::Listener& settings, std::string_view why) const {
  listener_.shared->refused.note(what, settings.name, peer_, why);
}

Connection::Connection(WorkerContext& worker, const ListenerState& listener, TransportRef stream,
                       const ClientAddress& peer)
    : worker_(worker),
      listener_(listener),
      stream_(std::move(stream)),
      peer_(peer),
      idle_since_(worker.clock.steady_now()) {
  worker_.connections.push_front(*this);
  ++worker_.connection_count;
  listener_.shared->open.fetch_add(1, std::memory_order_relaxed);
}

Connection::~Connection() {
  if (counted_) listener_.shared->limits.disconnected(peer_);
  listener_.shared->open.fetch_sub(1, std::memory_order_relaxed);
  --worker_.connection_count;
  if (stream_) {
    stream_->close();
  } else {
    worker_.parking.leave(rest_.fd, *this);
    ::close(rest_.fd);
  }
}

void Connection::stop_all(WorkerContext& worker, bool hard) {
  // Stopping one connection never destroys another in the same call: permits that it frees are granted by
  // posting.
  for (auto it = worker.connections.begin(); it != worker.connections.end();)
    static_cast<Connection&>(*it++).stop(hard);
  if (!hard) tell_leaving(worker);
}

void Connection::tell_leaving(WorkerContext& worker) {
  const bool begun = worker.untold > 0;
  worker.untold = worker.connection_count;
  if (!begun) tell_some(worker);
}

/// The list is taken from its end, and who was told moves to its beginning, where new connections are too. If
/// others end meanwhile, some are told twice, which changes nothing.
void Connection::tell_some(WorkerContext& worker) {
  worker.untold = std::min(worker.untold, worker.connection_count);
  for (unsigned n = 0; n < told_per_turn && worker.untold > 0 && !worker.connections.empty(); ++n) {
    --worker.untold;
    ConnectionLink& last = worker.connections.back();
    worker.connections.pop_back();
    worker.connections.push_front(last);
    static_cast<Connection&>(last).tell_leaving();
  }
  if (worker.untold > 0) asio::post(worker.loop.ctx.get_executor(), [&worker] { tell_some(worker); });
}

void Connection::stop(bool hard) {
  if (!active_) {
    // An HTTP/2 client learns which of its requests were not begun: see tell_leaving().
    if (!http2_ || hard) delete this;
    return;
  }
  if (hard) stream_->close();
  active_->work.turn.wake().set(EventFlags::stop);  // an idle one then sees `worker.stopping` and closes
}

void Connection::tell_leaving() {
  if (!http2_) return;
  const bool retired = listener_.shared->retired.load(std::memory_order_relaxed);
  if (!worker_.stopping && !worker_.leaving && !retired) return;
  if (active_)
    active_->work.turn.wake().set(EventFlags::stop);
  else
    wake_up();
}

/// A parked connection becomes active without an event of its socket. May destroy it.
void Connection::wake_up() {
  WorkerContext& worker = worker_;
  try {
    if (!stream_) return woken();
    activate();
  } catch (const std::exception& error) {  // out of memory: others must still be told
    worker.logged_errors.add(error.what());
  }
}

void Connection::activate() {
  disarm();
  WorkerContext& worker = worker_;  // `this` may be gone when co_spawn() throws
  const std::uint64_t before = worker.conversations;
  try {
    if (worker_.spare_actives.empty()) {
      active_ = std::make_unique<Active>(worker_);
    } else {
      active_ = std::move(worker_.spare_actives.back());
      worker_.spare_actives.pop_back();
    }
    asio::co_spawn(worker_.loop.ctx.get_executor(), serve(), asio::detached);
  } catch (...) {
    if (worker.conversations == before) delete this;  // no coroutine started, so nobody else would delete it
    throw;
  }
}

/// Gives back everything that an idle connection does not need.
void Connection::rest() {
  active_->end();
  if (worker_.spare_actives.size() < WorkerContext::max_spare_actives) {
    worker_.spare_actives.push_back(std::move(active_));
  } else {
    active_.reset();
    worker_.memory_trim.arm(worker_.loop.wheel, worker_.clock.steady_now() + seconds(1));
  }
  view_.reset();
}

Task<void> Connection::serve() {
  ++worker_.conversations;
  try {
    const End end = co_await converse();
    if (end == End::park && !worker_.stopping && stream_->is_open() && stream_->unread().empty()) {
      if (http2_) idle_since_ = http2_->idle_since();
      const Clock::Steady idle_deadline = idle_since_ + view_->config.timeouts.idle;
      rest();
      stream_->park(*this);
      arm(worker_.loop.wheel, idle_deadline);
      co_return;
    }
    stream_->end();
    rest();
  } catch (const std::exception& error) {
    give_up(error);
    co_return;
  }
  delete this;
}

/// Most likely out of memory: only this connection fails. The state of its Active is unknown, so that is
/// discarded instead of reused.
void Connection::give_up(const std::exception& error) noexcept {
  worker_.logged_errors.add(error.what());
  if (stream_) stream_->close_hard();
  if (active_) {
    active_->end();
    active_.reset();
  }
  delete this;
}

Task<Connection::End> Connection::converse() {
  view_ = worker_.snapshot->shared->listeners[listener_.slot];
  stream_->attach(active_->work.turn.wake(), EventFlags::client);
  End end = End::close;
  if (greeted_ || co_await greet()) {
    active_->begin(view_, peer_, own_);
    if (http2_) {
      end = co_await http2_->serve(stream_, active_->state, active_->work.turn);
    } else {
      active_->begin_http1(stream_);
      end = co_await serve_requests();
    }
  }
  if (end == End::linger) co_await linger();
  co_return end;
}

void Connection::stream_event(Transport&) {
  activate();
}

/// True: the stream was given up, and only the descriptor remains. A new connection keeps its stream, because
/// it is about to send something.
bool Connection::stream_rests(Transport& stream) {
  if (!greeted_ || !worker_.parking.park(stream.fd(), *this)) return false;
  rest_ = stream.leave();
  stream_.reset();
  return true;
}

void Connection::woken() {
  worker_.parking.leave(rest_.fd, *this);
  stream_ = TransportRef(new Transport(worker_.loop, std::move(rest_)));
  activate();
}

/// The idle timeout, or the time for the first byte, is over. Where a PROXY line is due, the peer is first
/// counted as a client and gets the rest of its time.
void Connection::expired() {
  if (http2_) return wake_up();  // says goodbye
  const config::Listener& settings = worker_.snapshot->shared->listeners[listener_.slot]->config;
  const Clock::Steady until = idle_since_ + settings.timeouts.header;
  const bool waits_for_line = !greeted_ && settings.proxy_protocol && !counted_;
  if (!waits_for_line || worker_.clock.steady_now() >= until || !count_client(settings)) {
    delete this;
    return;
  }
  arm(worker_.loop.wheel, until);
}

Task<bool> Connection::wait(Clock::Steady deadline) {
  EventFlags& wake = active_->work.turn.wake();
  wake.until(deadline);
  unsigned bits = wake.take();
  if (bits == 0) bits = co_await wake.any();
  co_return !stream_->is_open() ||
      ((bits & EventFlags::deadline) != 0 && worker_.clock.steady_now() >= deadline);
}

/// Closing a socket with unread bytes resets it, and the reset may overtake our last response. So shut down
/// our side, read what still arrives for up to a second, then close (RFC 9112 9.6). An HTTP/2 client may
/// always be sending something, if only WINDOW_UPDATE.
Task<void> Connection::linger() {
  stream_->attach(active_->work.turn.wake(), EventFlags::client);
  stream_->unpin();
  stream_->finish_sending();
  const Clock::Steady deadline = worker_.clock.steady_now() + seconds(1);
  std::size_t drained = 0;
  while (drained < max_lingering_bytes && stream_->is_open() && (http2_ || !worker_.stopping)) {
    drained += stream_->unread().size();
    stream_->consume(stream_->unread().size());
    const Io io = stream_->fill();
    if (io == Io::failed || stream_->peer_closed()) co_return;
    if (io == Io::blocked && co_await wait(deadline)) co_return;
  }
}

}  // namespace remora
