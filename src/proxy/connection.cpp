#include "proxy/connection.h"

#include "session/stores.h"

#include <malloc.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <ctime>

#include "net/proxy_protocol.h"

namespace remora {

using std::chrono::seconds;

namespace {
constexpr std::size_t most_spare_actives = 64;
constexpr auto proxy_line_grace = std::chrono::seconds(1);
constexpr std::size_t most_lingering_bytes = 256 * 1024;
}  // namespace

WorkerContext::WorkerContext(unsigned number, const Clock& c, AccessLog log,
                             std::shared_ptr<SessionMemory> sessions, std::uint64_t seed)
    : index(number), clock(c), memory(std::move(sessions)), random(seed), access_log(std::move(log)) {
  spare_actives.reserve(most_spare_actives);  // giving one back never allocates
}

WorkerContext::~WorkerContext() = default;

void WorkerContext::open_store(const config::Store& settings, const std::vector<std::string>& dns_servers,
                               std::shared_ptr<const ClientTls> tls) {
  store_timeout = settings.timeout;
  revocations.trust_for(settings.cache_ttl);
  store = make_store(loop, clock, settings, dns_servers, std::move(tls), memory->values, random.next());
  sessions = std::make_unique<SessionStore>(*store, settings.prefix, clock);
  writer = std::make_unique<StoreWriter>(loop, *sessions, clock, settings.timeout, memory->store);
}

void WorkerContext::close_store() noexcept {
  if (writer) writer->stop();
  if (store) store->stop();
}

void MemoryTrim::expired() {
  ::malloc_trim(0);
}

std::string_view WorkerContext::date(Clock::Wall now) {
  const std::int64_t second = std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
  if (second != date_second_) {
    date_second_ = second;
    const auto t = static_cast<std::time_t>(second);
    std::tm parts{};
    ::gmtime_r(&t, &parts);
    char text[40];
    date_.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
  }
  return date_;
}

void* Active::operator new(std::size_t size) {
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return p;
}

void Active::operator delete(void* p, std::size_t size) noexcept {
  ::munmap(p, size);
}

// Life ----------------------------------------------------------------------------------------------

void Connection::start(WorkerContext& worker, const ListenerState& listener, StreamRef stream,
                       const ClientAddress& peer) {
  auto* connection = new Connection(worker, listener, std::move(stream), peer);
  const config::Listener& settings = worker.snapshot->shared->listeners[listener.slot]->config;
  try {
    if (!connection->is_welcome(settings)) {
      delete connection;
      return;
    }
    // Parked until it says something: a connection that is only opened costs no working memory.
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

/// Silent connections count as well; otherwise one address could hold every connection of the listener.
bool Connection::is_welcome(const config::Listener& settings) {
  if (!settings.proxy_protocol) return count_client(settings);
  if (may_send_proxy_line(settings, peer_)) return true;
  listener_.shared->strangers.fetch_add(1, std::memory_order_relaxed);
  if (spdlog::should_log(spdlog::level::debug))
    spdlog::debug("listener {}: refused {}, whose PROXY lines are not believed", settings.name, peer_.text());
  return false;
}

/// False: its client has too many connections already (`per_client.connections`).
bool Connection::count_client(const config::Listener& settings) {
  if (!settings.per_client.connections || contains(settings.trusted_proxies, peer_)) return true;
  counted_ = listener_.shared->limits.connected(peer_, idle_since_);
  return counted_;
}

Connection::Connection(WorkerContext& worker, const ListenerState& listener, StreamRef stream,
                       const ClientAddress& peer)
    : worker_(worker),
      listener_(listener),
      stream_(std::move(stream)),
      peer_(peer),
      idle_since_(worker.clock.steady_now()) {
  next_ = worker_.connections;
  if (next_ != nullptr) next_->previous_ = this;
  worker_.connections = this;
  ++worker_.connection_count;
  listener_.shared->open.fetch_add(1, std::memory_order_relaxed);
}

Connection::~Connection() {
  if (counted_) listener_.shared->limits.disconnected(peer_);
  listener_.shared->open.fetch_sub(1, std::memory_order_relaxed);
  (previous_ != nullptr ? previous_->next_ : worker_.connections) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  --worker_.connection_count;
  if (stream_) {
    stream_->close();
  } else {
    worker_.parking.leave(rest_.fd, *this);
    ::close(rest_.fd);
  }
}

void Connection::stop_all(WorkerContext& worker, bool hard) {
  // Ending one never ends another in the same call: what it frees is granted by posting.
  for (Connection* c = worker.connections; c != nullptr;) {
    Connection* const next = c->next_;
    c->stop(hard);
    c = next;
  }
}

void Connection::stop(bool hard) {
  if (!active_) {
    delete this;
    return;
  }
  if (hard) stream_->close();
  active_->exchange.wake().set(Wake::stop);  // an idle one sees `worker.stopping` and ends
}

void Connection::activate() {
  disarm();
  WorkerContext& worker = worker_;  // this may be gone when co_spawn() fails
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
    if (worker.conversations == before) delete this;  // no coroutine began, so nobody else would end it
    throw;
  }
}

/// Gives everything back that an idle connection does not need.
void Connection::rest() {
  active_->exchange.end();
  if (worker_.spare_actives.size() < most_spare_actives) {
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
    const Exchange::End end = co_await converse();
    if (end == Exchange::End::park && !worker_.stopping && stream_->unread().empty()) {
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

/// Out of memory, most likely: this connection fails, and no other does. The state of its Exchange is
/// unknown, so it is discarded too.
void Connection::give_up(const std::exception& error) noexcept {
  worker_.complaints.add(error.what());
  if (stream_) stream_->close_hard();
  if (active_) {
    active_->exchange.end();
    active_.reset();
  }
  delete this;
}

Task<Exchange::End> Connection::converse() {
  view_ = worker_.snapshot->shared->listeners[listener_.slot];
  Exchange& exchange = active_->exchange;
  stream_->attach(exchange.wake(), Wake::client);
  Exchange::End end = Exchange::End::close;
  if (greeted_ || co_await greet()) {
    exchange.begin(stream_, view_, peer_, idle_since_, own_);
    end = co_await exchange.run();
    idle_since_ = exchange.idle_since();
  }
  if (end == Exchange::End::linger) co_await linger();
  co_return end;
}

void Connection::stream_event(Stream&) {
  activate();
}

/// One that was served holds nothing but its descriptor; a new one is about to say something.
bool Connection::stream_rests(Stream& stream) {
  if (!greeted_ || !worker_.parking.park(stream.fd(), *this)) return false;
  rest_ = stream.leave();
  stream_.reset();
  return true;
}

void Connection::woken() {
  worker_.parking.leave(rest_.fd, *this);
  stream_ = StreamRef(new Stream(worker_.loop, std::move(rest_)));
  activate();
}

/// Idle for too long, or silent where a PROXY line is due.
void Connection::expired() {
  const config::Listener& settings = worker_.snapshot->shared->listeners[listener_.slot]->config;
  const Clock::Steady until = idle_since_ + settings.timeouts.header;
  const bool waits_for_line = !greeted_ && settings.proxy_protocol && !counted_;
  if (!waits_for_line || worker_.clock.steady_now() >= until || !count_client(settings)) {
    delete this;
    return;
  }
  arm(worker_.loop.wheel, until);
}

// Greeting ------------------------------------------------------------------------------------------

Task<bool> Connection::wait(Clock::Steady deadline) {
  Wake& wake = active_->exchange.wake();
  wake.until(deadline);
  unsigned bits = wake.take();
  if (bits == 0) bits = co_await wake.any();
  co_return !stream_->is_open() || ((bits & Wake::deadline) != 0 && worker_.clock.steady_now() >= deadline);
}

/// PROXY line, TLS handshake, limits: what comes before the first request.
Task<bool> Connection::greet() {
  const Clock::Steady deadline = worker_.clock.steady_now() + view_->config.timeouts.header;
  if (view_->config.proxy_protocol) {
    // A reload may have switched it on since the connection was accepted.
    if (!may_send_proxy_line(view_->config, peer_)) co_return false;
    const bool told = co_await read_proxy_line();
    if (!told || !count_client(view_->config)) co_return false;  // as the line's address
  }
  if (view_->tls) {
    stream_->start_tls(*view_->tls);
    for (;;) {
      const Io io = stream_->handshake();
      if (io == Io::ready) break;
      if (io == Io::failed || co_await wait(deadline)) co_return false;
    }
  }
  greeted_ = true;
  co_return true;
}

/// A sender sends the line at once. One that keeps us waiting counts as a client itself until the line is
/// there: else it could hold every connection of the listener.
Task<bool> Connection::read_proxy_line() {
  const Clock::Steady deadline = idle_since_ + view_->config.timeouts.header;
  bool asked = counted_;
  ProxyLine line;
  for (;;) {
    if (line.status == ProxyLine::Status::incomplete) {
      line = parse_proxy_line(stream_->unread());
      if (line.status == ProxyLine::Status::bad) co_return false;
      if (line.status == ProxyLine::Status::ok) stream_->consume(line.size);
    }
    if (line.status == ProxyLine::Status::ok) {
      const std::size_t dropped = std::min(line.rest, stream_->unread().size());
      stream_->consume(dropped);
      line.rest -= dropped;
    }
    if (line.status == ProxyLine::Status::ok && line.rest == 0) {
      if (std::exchange(counted_, false)) listener_.shared->limits.disconnected(peer_);
      if (line.client) peer_ = *line.client;
      co_return true;
    }
    if (stream_->peer_closed()) co_return false;
    const Io io = stream_->fill();
    if (io == Io::failed) co_return false;
    if (io == Io::ready) continue;
    const Clock::Steady until = asked ? deadline : std::min(deadline, idle_since_ + proxy_line_grace);
    if (!co_await wait(until)) continue;
    if (!stream_->is_open() || worker_.clock.steady_now() >= deadline) co_return false;
    if (!counted_ && !count_client(view_->config)) co_return false;
    asked = true;
  }
}

/// Closing a socket with unread bytes resets it, and the reset may overtake our last answer. So: end our
/// side, read what still comes for a moment, then close (RFC 9112 9.6).
Task<void> Connection::linger() {
  stream_->attach(active_->exchange.wake(), Wake::client);
  stream_->unpin();
  stream_->finish_sending();
  const Clock::Steady deadline = worker_.clock.steady_now() + seconds(1);
  std::size_t drained = 0;
  while (drained < most_lingering_bytes && stream_->is_open() && !worker_.stopping) {
    drained += stream_->unread().size();
    stream_->consume(stream_->unread().size());
    const Io io = stream_->fill();
    if (io == Io::failed || stream_->peer_closed()) co_return;
    if (io == Io::blocked && co_await wait(deadline)) co_return;
  }
}

}  // namespace remora
