#include "admin/local_server.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <map>
#include <new>

#include "util/text.h"

namespace remora {

namespace {
namespace beast = boost::beast;
namespace http = beast::http;
using Protocol = asio::generic::stream_protocol;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using HttpStream = beast::basic_stream<Protocol, Executor>;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;
constexpr auto use = asio::as_tuple(asio::deferred);

std::string text_of(beast::string_view s) {
  return {s.data(), s.size()};
}

LocalRequest taken_from(const Request& request) {
  LocalRequest in;
  in.method = text_of(request.method_string());
  in.target = text_of(request.target());
  for (const auto& field : request)
    in.fields.emplace_back(text_of(field.name_string()), text_of(field.value()));
  in.body = request.body();
  return in;
}

Response made_of(LocalAnswer answer, bool keep_alive, bool head_only) {
  Response response;
  response.result(answer.status);
  response.version(11);
  response.keep_alive(keep_alive);
  response.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : answer.fields) response.set(name, value);
  response.body() = std::move(answer.body);
  if (answer.status != 204) response.prepare_payload();
  if (head_only) response.body().clear();
  return response;
}

class StreamSink final : public LocalSink {
 public:
  StreamSink(HttpStream& stream, std::chrono::seconds patience) : stream_(stream), patience_(patience) {}
  Task<bool> write(std::string text) override {
    stream_.expires_after(patience_);
    const auto [ec, sent] = co_await asio::async_write(stream_, asio::buffer(text), use);
    stream_.expires_never();
    co_return !ec;
  }

 private:
  HttpStream& stream_;
  const std::chrono::seconds patience_;
};
}  // namespace

std::string_view LocalRequest::field(std::string_view name) const noexcept {
  for (const auto& [n, value] : fields)
    if (iequals(n, name)) return value;
  return {};
}

namespace {
constexpr std::chrono::milliseconds grace{50};       // minimum time for a new connection to send a request
constexpr std::chrono::seconds crowded_patience{1};  // for silent connections, above half the limit

/// State of one connection that decides when it may be replaced.
struct Held {
  /// In the order in which connections are replaced when a new one needs the slot.
  enum class Doing : std::uint8_t {
    nothing_yet,  // has never sent a complete request
    idle,         // between requests, or while one arrives
    sending,      // waits for the client to read the response
    answering,
    streaming  // counted separately
  } doing = Doing::nothing_yet;
  /// When we began to wait for the client, or when its burst of pipelined requests began.
  Clock::Steady since;
  bool dropped = false;  // closed, but its coroutine has not noticed yet

  void begin(Doing what, Clock::Steady now) noexcept {
    doing = what;
    since = now;
  }
  bool gives_way_before(const Held& other) const noexcept {
    return doing != other.doing ? doing < other.doing : since < other.since;
  }
};

/// Response at the stream limit.
LocalAnswer no_more_streams() {
  LocalAnswer answer;
  answer.status = 503;
  answer.fields.emplace_back("Retry-After", "5");
  return answer;
}
}  // namespace

std::size_t LocalRequest::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(), [&](const auto& f) { return iequals(f.first, name); }));
}

struct LocalServer::Shared {
  Shared(Loop& loop, UniqueFd listening, Limits l, Handler h)
      : clock(loop.clock), acceptor(loop.ctx), pause(loop.ctx), limits(l), handler(std::move(h)) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    ::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&name), &size);
    acceptor.assign(Protocol(name.ss_family, 0), listening.get());
    static_cast<void>(listening.release());
  }
  const Clock& clock;
  asio::basic_socket_acceptor<Protocol, Executor> acceptor;
  Timer pause;
  const Limits limits;
  const Handler handler;
  std::map<HttpStream*, Held> connections;
  bool leaving = false;

  void leave(bool busy_too) {
    leaving = true;
    boost::system::error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
    const auto open = connections;
    for (const auto& [stream, held] : open)
      if (busy_too || held.doing <= Held::Doing::idle) stream->close();
  }
  std::size_t streams() const noexcept {
    return static_cast<std::size_t>(std::count_if(connections.begin(), connections.end(), [](const auto& c) {
      return c.second.doing == Held::Doing::streaming;
    }));
  }
  bool crowded() const noexcept { return connections.size() > limits.connections / 2; }
  bool make_room();
  static Task<void> serve(std::shared_ptr<Shared> self, std::shared_ptr<HttpStream> stream);
  static Task<bool> answer(std::shared_ptr<Shared> self, HttpStream& stream, LocalRequest in, bool keep,
                           bool head_only);
  static Task<void> accept_one(std::shared_ptr<Shared> self);
  static Task<void> accept(std::shared_ptr<Shared> self);
};

/// Makes room for one more connection by dropping the one that has kept us waiting longest; otherwise silent
/// clients could keep everybody out. Returns false if all connections are new or have a response in progress.
bool LocalServer::Shared::make_room() {
  const auto young = clock.steady_now() - grace;
  std::size_t taken = 0;
  std::pair<HttpStream* const, Held>* first_to_go = nullptr;
  for (auto& entry : connections) {
    const Held& held = entry.second;
    if (held.dropped || held.doing == Held::Doing::streaming) continue;
    ++taken;
    if (held.doing == Held::Doing::answering) continue;
    if (first_to_go == nullptr || held.gives_way_before(first_to_go->second)) first_to_go = &entry;
  }
  if (taken < limits.connections) return true;
  if (first_to_go == nullptr || first_to_go->second.since > young) return false;
  first_to_go->second.dropped = true;
  first_to_go->first->close();
  return true;
}

/// Returns true if the connection may carry another request.
Task<bool> LocalServer::Shared::answer(std::shared_ptr<Shared> self, HttpStream& stream, LocalRequest in,
                                       bool keep, bool head_only) {
  LocalAnswer reply = co_await self->handler(std::move(in));
  Held& held = self->connections.at(&stream);
  if (reply.stream && self->streams() < self->limits.streams) {
    held.begin(Held::Doing::streaming, self->clock.steady_now());
    StreamSink sink(stream, self->limits.patience);
    co_await reply.stream(sink);
    co_return false;
  }
  if (reply.stream) reply = no_more_streams();
  held.doing = Held::Doing::sending;
  const Response response = made_of(std::move(reply), keep, head_only);
  stream.expires_after(self->limits.patience);
  const auto [write_error, sent] = co_await http::async_write(stream, response, use);
  co_return keep && !write_error;
}

Task<void> LocalServer::Shared::serve(std::shared_ptr<Shared> self, std::shared_ptr<HttpStream> stream) {
  Held& held = self->connections[stream.get()];
  held.since = self->clock.steady_now();
  struct Registered {
    Shared& shared;
    HttpStream* stream;
    ~Registered() { shared.connections.erase(stream); }
  } registered{*self, stream.get()};
  beast::flat_buffer buffer(128 * 1024);
  for (bool keep = true; keep && !self->leaving && !held.dropped;) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(16 * 1024);
    parser.body_limit(64 * 1024);
    const bool hurry = held.doing == Held::Doing::nothing_yet && self->crowded();
    stream->expires_after(hurry ? std::min(crowded_patience, self->limits.patience) : self->limits.patience);
    const auto [read_error, bytes] = co_await http::async_read(*stream, buffer, parser, use);
    const bool gone = read_error == http::error::end_of_stream ||
                      read_error.category() != http::make_error_code(http::error::bad_method).category();
    if (read_error && gone) break;  // or timed out
    if (held.doing != Held::Doing::sending) held.begin(Held::Doing::answering, self->clock.steady_now());
    held.doing = Held::Doing::answering;
    const Request& request = parser.get();
    const bool head_only = !read_error && request.method() == http::verb::head;
    LocalRequest in = taken_from(request);
    if (read_error) {
      in.refused = read_error == http::error::body_limit ? 413 : 400;
      in.why = "this is no HTTP request: " + read_error.message();
    }
    const bool may_follow = !read_error && request.keep_alive();
    keep = co_await answer(self, *stream, std::move(in), may_follow, head_only);
    if (buffer.size() == 0)
      held.begin(Held::Doing::idle, self->clock.steady_now());  // else its burst continues
  }
  boost::system::error_code ignored;
  stream->socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<void> LocalServer::Shared::accept_one(std::shared_ptr<Shared> self) {
  HttpStream::socket_type socket(self->acceptor.get_executor());
  const auto [ec] = co_await self->acceptor.async_accept(socket, use);
  if (!self->acceptor.is_open()) co_return;
  for (bool first = true; !ec && !self->make_room(); first = false) {
    self->pause.expires_after(first ? grace : std::chrono::milliseconds(10));
    static_cast<void>(co_await self->pause.async_wait(use));
    if (!self->acceptor.is_open()) co_return;
  }
  if (!ec) {
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    asio::co_spawn(self->acceptor.get_executor(),
                   serve(self, std::make_shared<HttpStream>(std::move(socket))), asio::detached);
    co_return;
  }
  self->pause.expires_after(std::chrono::milliseconds(100));  // out of descriptors, say
  static_cast<void>(co_await self->pause.async_wait(use));
}

Task<void> LocalServer::Shared::accept(std::shared_ptr<Shared> self) {
  while (self->acceptor.is_open()) {
    try {
      co_await accept_one(self);
    } catch (const std::bad_alloc&) {  // that connection is lost; a later one may find memory
    }
  }
}

LocalServer::LocalServer(Loop& loop, UniqueFd socket, Limits limits, Handler handler)
    : shared_(std::make_shared<Shared>(loop, std::move(socket), limits, std::move(handler))) {
  asio::co_spawn(loop.ctx.get_executor(), Shared::accept(shared_), asio::detached);
}

LocalServer::~LocalServer() {
  leave();
}

int LocalServer::fd() const {
  return shared_->acceptor.native_handle();
}

void LocalServer::leave() {
  shared_->leave(false);
}

void LocalServer::close() {
  shared_->leave(true);
}

}  // namespace remora
