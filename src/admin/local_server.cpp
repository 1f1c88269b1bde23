#include "admin/local_server.h"

#include <fcntl.h>
#include <sys/socket.h>

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

struct LocalServer::Shared {
  Shared(asio::io_context& ctx, int fd, Limits l, Handler h)
      : acceptor(ctx), pause(ctx), limits(l), handler(std::move(h)) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
    acceptor.assign(Protocol(name.ss_family, 0), fd);
  }
  asio::basic_socket_acceptor<Protocol, Executor> acceptor;
  Timer pause;
  const Limits limits;
  const Handler handler;
  std::map<HttpStream*, bool> connections;  // true: a request is being answered
  bool leaving = false;

  void leave(bool busy_too) {
    leaving = true;
    boost::system::error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
    const auto open = connections;
    for (const auto& [stream, busy] : open)
      if (busy_too || !busy) stream->close();
  }
  static Task<void> serve(std::shared_ptr<Shared> self, std::shared_ptr<HttpStream> stream);
  static Task<void> accept(std::shared_ptr<Shared> self);
};

Task<void> LocalServer::Shared::serve(std::shared_ptr<Shared> self, std::shared_ptr<HttpStream> stream) {
  struct Registered {
    Shared& shared;
    HttpStream* stream;
    ~Registered() { shared.connections.erase(stream); }
  } registered{*self, stream.get()};
  beast::flat_buffer buffer(128 * 1024);
  for (bool keep = true; keep && !self->leaving;) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(16 * 1024);
    parser.body_limit(64 * 1024);
    self->connections[stream.get()] = false;
    stream->expires_after(self->limits.patience);
    const auto [read_error, bytes] = co_await http::async_read(*stream, buffer, parser, use);
    self->connections[stream.get()] = true;
    const bool gone = read_error == http::error::end_of_stream ||
                      read_error.category() != http::make_error_code(http::error::bad_method).category();
    if (read_error && gone) break;  // or silent for too long
    const Request& request = parser.get();
    const bool head_only = !read_error && request.method() == http::verb::head;
    keep = !read_error && request.keep_alive();
    LocalRequest in = taken_from(request);
    if (read_error) {
      in.refused = read_error == http::error::body_limit ? 413 : 400;
      in.why = "this is no HTTP request: " + read_error.message();
    }
    LocalAnswer answer = co_await self->handler(std::move(in));
    if (answer.stream) {
      StreamSink sink(*stream, self->limits.patience);
      co_await answer.stream(sink);
      break;
    }
    const Response response = made_of(std::move(answer), keep, head_only);
    stream->expires_after(self->limits.patience);
    const auto [write_error, sent] = co_await http::async_write(*stream, response, use);
    if (write_error) break;
  }
  boost::system::error_code ignored;
  stream->socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<void> LocalServer::Shared::accept(std::shared_ptr<Shared> self) {
  while (self->acceptor.is_open()) {
    HttpStream::socket_type socket(self->acceptor.get_executor());
    const auto [ec] = co_await self->acceptor.async_accept(socket, use);
    if (!self->acceptor.is_open()) co_return;
    if (!ec && self->connections.size() < self->limits.connections) {
      ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
      asio::co_spawn(self->acceptor.get_executor(),
                     serve(self, std::make_shared<HttpStream>(std::move(socket))), asio::detached);
      continue;
    }
    self->pause.expires_after(std::chrono::milliseconds(100));  // out of descriptors, or too many at once
    static_cast<void>(co_await self->pause.async_wait(use));
  }
}

LocalServer::LocalServer(asio::io_context& ctx, int fd, Limits limits, Handler handler)
    : shared_(std::make_shared<Shared>(ctx, fd, limits, std::move(handler))) {
  asio::co_spawn(ctx.get_executor(), Shared::accept(shared_), asio::detached);
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
