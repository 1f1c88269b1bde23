#include "session/store_connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "net/connecting.h"

namespace remora {

namespace {
constexpr std::chrono::milliseconds first_pause{50}, longest_pause{2000}, patience{1000}, name_patience{5000};
constexpr std::size_t max_waiting_bytes = 16U << 20;
constexpr unsigned max_late = 3;

struct Closer {
  Transport& stream;
  ~Closer() { stream.close(); }
};
}  // namespace

Task<std::vector<Endpoint>> find_node(StoreSurroundings& around, config::Address address, EventFlags& wake,
                                      std::string& problem) {
  std::vector<Endpoint> out;
  if (address.kind == config::Address::Kind::unix_path || parse_ip(address.host)) {
    const auto endpoint = resolve(address);
    if (endpoint)
      out.push_back(*endpoint);
    else
      problem = endpoint.error().message();
    co_return out;
  }
  struct Heard {
    EventFlags* wake;
    bool done = false;
    DnsAnswer answer;
  };
  const auto heard = std::make_shared<Heard>();
  heard->wake = &wake;
  struct Forget {  // this frame may end before the DNS reply arrives
    std::shared_ptr<Heard> heard;
    ~Forget() { heard->wake = nullptr; }
  } forget{heard};
  if (!around.resolver) around.resolver = std::make_unique<Resolver>(around.loop.ctx, around.dns_servers);
  around.resolver->ask(address.host, false, [heard](const DnsAnswer& answer) {
    heard->answer = answer;
    heard->done = true;
    if (heard->wake != nullptr) heard->wake->set(EventFlags::granted);
  });
  while (!heard->done) {
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & EventFlags::stop) co_return out;
    if (bits & EventFlags::deadline) break;
  }
  std::vector<std::string> ips = order_of_trial(heard->answer.records);
  if (ips.empty()) problem = heard->answer.error.empty() ? "no address" : heard->answer.error;
  // Start at a random address, so that connections spread over all of them.
  if (!ips.empty())
    std::rotate(ips.begin(), ips.begin() + static_cast<std::ptrdiff_t>(around.random.below(ips.size())),
                ips.end());
  for (const std::string& ip : ips) {
    address.host = ip;
    if (const auto endpoint = resolve(address)) out.push_back(*endpoint);
  }
  co_return out;
}

StoreConnection::StoreConnection(std::shared_ptr<StoreSurroundings> around, config::StoreNode node,
                                 Greeting greeting, std::unique_ptr<ReplyReader> (*reader)())
    : around_(std::move(around)),
      node_(std::move(node)),
      greeting_(std::move(greeting)),
      make_reader_(reader),
      wake_(around_->loop.wheel) {}

StoreConnection::~StoreConnection() {
  fail_all(StoreErrc::unavailable);
}

void StoreConnection::start() {
  asio::co_spawn(around_->loop.ctx.get_executor(), run(shared_from_this()), asio::detached);
}

void StoreConnection::stop() noexcept {
  stopping_ = true;
  wake_.set(EventFlags::stop);
}

void StoreConnection::reset(std::string why) {
  problem_ = std::move(why);
  broken_ = true;
  wake_.set(EventFlags::granted);
}

Task<Result<Reply>> StoreConnection::ask(std::string command, StoreCall call, unsigned before) {
  if (!available() || stopping_ || out_.size() - sent_ + command.size() > max_waiting_bytes)
    co_return error_code(StoreErrc::unavailable);
  const auto self = shared_from_this();
  const auto pending = std::make_shared<Pending>();
  pending->wake = &call.wake;
  struct Forget {  // the caller may be gone before the reply arrives
    std::shared_ptr<Pending> pending;
    ~Forget() { pending->wake = nullptr; }
  } forget{pending};
  for (; before > 0; --before) {
    waiting_.push_back(std::make_shared<Pending>());
    waiting_.back()->done = true;
  }
  out_ += command;
  waiting_.push_back(pending);
  wake_.set(EventFlags::granted);
  unsigned others = 0;
  call.wake.until(call.deadline);
  while (!pending->done) {
    unsigned bits = call.wake.take();
    if (bits == 0) bits = co_await call.wake.any();
    others |= bits & ~static_cast<unsigned>(EventFlags::replied | EventFlags::deadline);
    if (pending->done || around_->clock.steady_now() < call.deadline) continue;
    pending->done = true;
    pending->error = StoreErrc::timeout;
    if (++late_ >= max_late) reset("it does not answer in time");
  }
  call.wake.no_deadline();
  others |= call.wake.take() & ~static_cast<unsigned>(EventFlags::replied | EventFlags::deadline);
  if (others != 0) call.wake.set(others);
  if (pending->error) co_return pending->error;
  co_return std::move(pending->reply);
}

Task<void> StoreConnection::run(std::shared_ptr<StoreConnection> self) {
  auto pause = first_pause;
  while (!self->stopping_) {
    std::string why = co_await self->serve();
    // A connection that lasted less than a second (a wrong greeting, say) does not reset the back-off.
    const bool served = self->state_ == State::up &&
                        self->around_->clock.steady_now() - self->up_since_ >= std::chrono::seconds(1);
    self->state_ = State::down;
    self->problem_ = std::move(why);
    self->broken_ = false;
    self->fail_all(StoreErrc::unavailable);
    if (self->stopping_) break;
    pause = served ? first_pause : std::min(pause * 2, longest_pause);
    const auto part = std::chrono::duration_cast<std::chrono::milliseconds>(
        pause * (0.75 + 0.5 * self->around_->random.unit()));
    const Clock::Steady until = self->around_->clock.steady_now() + part;
    self->wake_.until(until);
    while (!self->stopping_ && self->around_->clock.steady_now() < until)
      static_cast<void>(co_await self->event());
  }
  self->wake_.no_deadline();
  self->state_ = State::down;
  self->fail_all(StoreErrc::unavailable);
}

Task<unsigned> StoreConnection::event() {
  unsigned bits = wake_.take();
  if (bits == 0) bits = co_await wake_.any();
  co_return bits;
}

/// Connects to one address. Null: `problem` says why.
Task<TransportRef> StoreConnection::connect_to(Endpoint endpoint, std::string& problem) {
  const auto& tls = around_->settings.tls;
  const std::string& name = tls && !tls->server_name.empty() ? tls->server_name : node_.address.host;
  wake_.until(around_->clock.steady_now() + patience);
  Connecting connecting(around_->loop, endpoint, node_.tls ? around_->tls.get() : nullptr, name, wake_,
                        EventFlags::backend);
  for (;;) {
    const Io io = connecting.step();
    if (io == Io::ready) break;
    problem = connecting.tls_error().empty() ? connecting.error().message() : connecting.tls_error();
    if (io == Io::failed) co_return TransportRef();
    const unsigned bits = co_await event();
    problem = stopping_ ? "stopped" : "connect timeout";
    if (stopping_ || (bits & EventFlags::deadline) != 0) co_return TransportRef();
  }
  co_return connecting.take();
}

/// Runs one connection from connect to close. Returns why it ended.
Task<std::string> StoreConnection::serve() {
  wake_.until(around_->clock.steady_now() + name_patience);
  std::string problem = "stopped";
  const std::vector<Endpoint> endpoints = co_await find_node(*around_, node_.address, wake_, problem);
  TransportRef stream;
  for (std::size_t i = 0; i < endpoints.size() && !stream && !stopping_; ++i)
    stream = co_await connect_to(endpoints[i], problem);
  if (!stream) co_return problem;
  const Closer closer{*stream};
  const auto reader = make_reader_();
  stream->attach(wake_, EventFlags::backend);
  problem = co_await greet(*stream, *reader);
  if (!problem.empty()) co_return problem;
  wake_.no_deadline();
  state_ = State::up;
  up_since_ = around_->clock.steady_now();
  problem_.clear();
  late_ = 0;
  for (;;) {
    problem = send_some(*stream, out_, sent_);
    if (!problem.empty()) co_return problem;
    reader->feed(stream->unread());
    stream->consume(stream->unread().size());
    problem = take_replies(*reader);
    if (!problem.empty()) co_return problem;
    if (stopping_) co_return "stopped";
    if (broken_) co_return problem_;
    if (stream->peer_closed()) co_return "closed by the store";
    if (sent_ < out_.size() && !stream->send_blocked()) continue;  // more commands were queued
    const Io io = stream->fill();
    if (io == Io::failed) co_return stream->error().message();
    if (io == Io::blocked) static_cast<void>(co_await event());
  }
}

Task<std::string> StoreConnection::greet(Transport& stream, ReplyReader& reader) {
  std::string text = greeting_.text;
  std::size_t sent = 0;
  std::vector<Reply> replies;
  while (replies.size() < greeting_.replies) {
    std::string problem = send_some(stream, text, sent);
    if (!problem.empty()) co_return problem;
    reader.feed(stream.unread());
    stream.consume(stream.unread().size());
    while (auto reply = reader.next()) replies.push_back(std::move(*reply));
    if (reader.broken()) co_return "it does not speak the store's protocol";
    if (replies.size() >= greeting_.replies) break;
    if (stream.peer_closed()) co_return "closed by the store";
    const Io io = stream.fill();
    if (io == Io::failed) co_return stream.error().message();
    if (io == Io::ready) continue;
    const unsigned bits = co_await event();
    if (stopping_) co_return "stopped";
    if (bits & EventFlags::deadline) co_return "it accepts connections but does not answer";
  }
  if (replies.size() > greeting_.replies) co_return "it answers what nobody asked";
  co_return greeting_.check(replies);
}

std::string StoreConnection::send_some(Transport& stream, std::string& text, std::size_t& sent) {
  if (sent == text.size() || stream.send_blocked()) return {};
  const asio::const_buffer rest(text.data() + sent, text.size() - sent);
  const Transport::WriteResult s = stream.send({&rest, 1});
  if (s.io == Io::failed) return stream.error().message();
  sent += s.bytes;
  if (sent == text.size()) {
    text.clear();
    sent = 0;
  }
  return {};
}

std::string StoreConnection::take_replies(ReplyReader& reader) {
  while (auto reply = reader.next()) {
    if (waiting_.empty()) return "it answers what nobody asked";
    const auto pending = std::move(waiting_.front());
    waiting_.pop_front();
    late_ = 0;
    if (pending->done) continue;  // timed out, or not wanted
    pending->done = true;
    pending->reply = std::move(*reply);
    if (pending->wake != nullptr) pending->wake->set(EventFlags::replied);
  }
  return reader.broken() ? "it does not speak the store's protocol" : "";
}

void StoreConnection::fail_all(StoreErrc why) {
  out_.clear();
  sent_ = 0;
  late_ = 0;
  std::deque<std::shared_ptr<Pending>> failed;
  failed.swap(waiting_);
  for (const auto& pending : failed) {
    if (pending->done) continue;
    pending->done = true;
    pending->error = why;
    if (pending->wake != nullptr) pending->wake->set(EventFlags::replied);
  }
}

}  // namespace remora
