#include "admin/session_server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <map>

#include "admin/local_http.h"
#include "admin/local_socket.h"

namespace remora {

using namespace local;

namespace {
constexpr std::size_t most_connections = 1024;
constexpr auto patience = std::chrono::seconds(75);

std::string text_of(beast::string_view s) {
  return {s.data(), s.size()};
}

SessionApiRequest taken_from(const Request& request) {
  SessionApiRequest in;
  in.method = text_of(request.method_string());
  in.target = text_of(request.target());
  in.session = text_of(request["Remora-Session"]);
  in.if_match = text_of(request[http::field::if_match]);
  in.if_none_match = text_of(request[http::field::if_none_match]);
  in.ttl = text_of(request["Remora-TTL"]);
  in.body = request.body();
  return in;
}

Response made_of(SessionApiAnswer answer, bool keep_alive, bool head_only) {
  Response response;
  response.result(answer.status);
  response.version(11);
  response.keep_alive(keep_alive);
  response.set(http::field::cache_control, "no-store");
  const bool is_state = answer.status == 200;
  if (answer.status != 204 && answer.status != 201)
    response.set(http::field::content_type, is_state ? "application/octet-stream" : "text/plain");
  if (!answer.etag.empty()) response.set(http::field::etag, answer.etag);
  if (!answer.ttl.empty()) response.set("Remora-TTL", answer.ttl);
  if (answer.status == 401) response.set(http::field::www_authenticate, "Bearer");
  if (answer.status == 503) response.set(http::field::retry_after, "1");
  response.body() = std::move(answer.body);
  if (answer.status != 204) response.prepare_payload();
  if (head_only) response.body().clear();
  return response;
}
}  // namespace

struct SessionServer::Shared {
  Shared(const config::SessionApi& a, const config::Store& s, const MakeStore& make, const Clock& c)
      : settings(a),
        timeout(s.timeout),
        clock(c),
        store(make(loop, c)),
        sessions(*store, s.prefix, c),
        acceptor(loop.ctx),
        work(asio::make_work_guard(loop.ctx)) {}
  const config::SessionApi settings;
  const std::chrono::milliseconds timeout;
  const Clock& clock;
  Loop loop;
  std::unique_ptr<Store> store;
  SessionStore sessions;
  CryptoScratch scratch;
  std::shared_ptr<const Snapshot> snapshot;
  Acceptor acceptor;
  asio::executor_work_guard<Executor> work;
  std::map<HttpStream*, bool> connections;  // true: a request is being answered
  bool stopping = false;

  bool authorised(const Request& request) const {
    return settings.token.empty() ||
           bears_token(view_of(request[http::field::authorization]), settings.token);
  }

  void leave() {
    stopping = true;
    boost::system::error_code ignored;
    acceptor.close(ignored);
    const auto open = connections;
    for (const auto& [stream, busy] : open)
      if (!busy) stream->close();
  }
  static Task<void> serve(std::shared_ptr<Shared> self, std::shared_ptr<HttpStream> stream);
  static Task<void> accept(std::shared_ptr<Shared> self);
};

Task<void> SessionServer::Shared::serve(std::shared_ptr<Shared> self, std::shared_ptr<HttpStream> stream) {
  struct Registered {
    Shared& shared;
    HttpStream* stream;
    ~Registered() { shared.connections.erase(stream); }
  } registered{*self, stream.get()};
  Wake wake(self->loop.wheel);
  beast::flat_buffer buffer(128 * 1024);
  for (bool keep = true; keep && !self->stopping;) {
    Parser parser;
    self->connections[stream.get()] = false;
    stream->expires_after(patience);
    const auto [read_error, bytes] = co_await http::async_read(*stream, buffer, parser, use);
    self->connections[stream.get()] = true;
    const bool too_large = read_error == http::error::body_limit;
    if (read_error && !too_large) break;
    const Request& request = parser.get();
    keep = !read_error && request.keep_alive();
    SessionApiAnswer answer;
    if (too_large) {
      answer.status = 413;
    } else if (!self->authorised(request)) {
      answer.status = 401;
      answer.body = "a token is needed: Authorization: Bearer TOKEN (session_api.token)\n";
    } else {
      SessionApiRequest in = taken_from(request);
      SessionApiContext context{self->snapshot, self->sessions, self->scratch,
                                self->clock,    self->timeout,  wake};
      answer = co_await answer_session_api(std::move(in), std::move(context));
    }
    const Response response = made_of(std::move(answer), keep, request.method() == http::verb::head);
    const auto [write_error, sent] = co_await http::async_write(*stream, response, use);
    if (write_error) break;
  }
  boost::system::error_code ignored;
  stream->socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<void> SessionServer::Shared::accept(std::shared_ptr<Shared> self) {
  Wake wake(self->loop.wheel);
  while (self->acceptor.is_open()) {
    HttpStream::socket_type socket(self->loop.ctx.get_executor());
    const auto [ec] = co_await self->acceptor.async_accept(socket, use);
    if (!self->acceptor.is_open()) break;
    if (!ec && self->connections.size() < most_connections) {
      ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
      asio::co_spawn(self->loop.ctx.get_executor(),
                     serve(self, std::make_shared<HttpStream>(std::move(socket))), asio::detached);
      continue;
    }
    wake.until(self->clock.steady_now() + std::chrono::milliseconds(100));  // out of descriptors, or too many
    if (wake.take() == 0) static_cast<void>(co_await wake.any());
  }
}

SessionServer::SessionServer(const config::SessionApi& settings, const config::Store& store,
                             const MakeStore& make, const Clock& clock,
                             std::shared_ptr<const Snapshot> snapshot)
    : shared_(std::make_shared<Shared>(settings, store, make, clock)) {
  shared_->snapshot = std::move(snapshot);
  const int fd = open_local_socket(settings.bind, "session_api", true);
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  shared_->acceptor.assign(Protocol(name.ss_family, 0), fd);
  asio::co_spawn(shared_->loop.ctx.get_executor(), Shared::accept(shared_), asio::detached);
  thread_ = std::thread([shared = shared_] {
    ::pthread_setname_np(::pthread_self(), "session-api");
    shared->loop.ctx.run();
  });
}

SessionServer::~SessionServer() {
  asio::post(shared_->loop.ctx, [shared = shared_] {
    shared->leave();
    const auto open = shared->connections;
    for (const auto& [stream, busy] : open) stream->close();
    shared->store->stop();
    shared->loop.wheel.stop();
    shared->work.reset();
  });
  thread_.join();
}

void SessionServer::leave() {
  asio::post(shared_->loop.ctx, [shared = shared_] { shared->leave(); });
}

void SessionServer::publish(std::shared_ptr<const Snapshot> snapshot) {
  asio::post(shared_->loop.ctx, [shared = shared_, snapshot = std::move(snapshot)]() mutable {
    shared->snapshot = std::move(snapshot);
  });
}

int SessionServer::fd() const noexcept {
  return shared_->acceptor.native_handle();
}

}  // namespace remora
