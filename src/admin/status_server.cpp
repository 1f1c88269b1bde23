#include "admin/status_server.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace remora {

namespace {
namespace beast = boost::beast;
namespace http = beast::http;
using Protocol = asio::generic::stream_protocol;
using AdminStream = beast::basic_stream<Protocol, Executor>;
constexpr auto use = asio::as_tuple(asio::deferred);
constexpr int most_connections = 64;

/// In constant time, so that a token cannot be guessed byte by byte.
bool authorised(std::string_view field, const std::string& token) {
  const std::string wanted = "Bearer " + token;
  return field.size() == wanted.size() && CRYPTO_memcmp(field.data(), wanted.data(), wanted.size()) == 0;
}

Task<void> answer(AdminStream stream, std::shared_ptr<bool> ready, std::shared_ptr<int> open,
                  std::string token, std::function<std::string()> metrics) {
  ++*open;
  beast::flat_buffer buffer(16 * 1024);
  for (bool keep = true; keep;) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(8 * 1024);
    parser.body_limit(64 * 1024);
    stream.expires_after(std::chrono::seconds(10));
    const auto [read_error, bytes] = co_await http::async_read(stream, buffer, parser, use);
    if (read_error) break;
    const auto& request = parser.get();
    http::response<http::string_body> response;
    response.version(request.version());
    response.keep_alive(request.keep_alive());
    response.set(http::field::content_type, "text/plain");
    const bool open_to_all = request.target() == "/healthz" || request.target() == "/readyz";
    const bool wants_metrics = request.target() == "/metrics";
    const bool fine = request.target() == "/healthz" || *ready;
    const auto field = request[http::field::authorization];
    if (!open_to_all && !token.empty() && !authorised({field.data(), field.size()}, token)) {
      response.result(http::status::unauthorized);
      response.set(http::field::www_authenticate, "Bearer");
      response.body() = "a token is needed\n";
    } else if (request.method() != http::verb::get && request.method() != http::verb::head) {
      response.result(http::status::method_not_allowed);
      response.body() = "GET only\n";
    } else if (wants_metrics) {
      response.set(http::field::content_type, "text/plain; version=0.0.4");
      response.body() = metrics();
    } else if (!open_to_all) {
      response.result(http::status::not_found);
      response.body() = "there are /healthz, /readyz and /metrics\n";
    } else {
      response.result(fine ? http::status::ok : http::status::service_unavailable);
      response.body() = fine ? "ok\n" : "stopping\n";
    }
    response.prepare_payload();
    if (request.method() == http::verb::head) response.body().clear();
    keep = request.keep_alive();
    const auto [write_error, sent] = co_await http::async_write(stream, response, use);
    if (write_error) break;
  }
  --*open;
}
}  // namespace

struct StatusServer::Listening {
  Listening(asio::io_context& ctx, std::string t, std::function<std::string()> m)
      : acceptor(ctx), pause(ctx), token(std::move(t)), metrics(std::move(m)) {}
  asio::basic_socket_acceptor<Protocol, Executor> acceptor;
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                             Executor>
      pause;
  const std::string token;
  const std::function<std::string()> metrics;
};

StatusServer::StatusServer(Loop& loop, const config::Address& bind, std::string token,
                           std::function<std::string()> metrics)
    : listening_(std::make_shared<Listening>(loop.ctx, std::move(token), std::move(metrics))) {
  const auto endpoint = resolve(bind);
  const auto refuse = [&](const std::string& why) {
    throw std::runtime_error("admin.bind " + bind.text() + ": " + why +
                             "; choose another address or `admin: off`");
  };
  if (!endpoint) refuse(endpoint.error().message());
  if (endpoint->family() == AF_UNIX) ::unlink(bind.host.c_str());
  const int fd = ::socket(endpoint->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (endpoint->family() != AF_UNIX) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || ::bind(fd, endpoint->get(), endpoint->size) != 0 || ::listen(fd, 64) != 0) {
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    refuse(why);
  }
  listening_->acceptor.assign(Protocol(endpoint->family(), 0), fd);
  asio::co_spawn(loop.ctx.get_executor(), accept(listening_, ready_), asio::detached);
}

int StatusServer::fd() {
  return listening_->acceptor.native_handle();
}

StatusServer::~StatusServer() {
  stop();
}

void StatusServer::stop() {
  boost::system::error_code ignored;
  listening_->acceptor.close(ignored);
  listening_->pause.cancel();
}

Task<void> StatusServer::accept(std::shared_ptr<Listening> listening, std::shared_ptr<bool> ready) {
  const auto open = std::make_shared<int>(0);
  while (listening->acceptor.is_open()) {
    AdminStream::socket_type socket(listening->acceptor.get_executor());
    const auto [ec] = co_await listening->acceptor.async_accept(socket, use);
    if (!ec && *open < most_connections) {
      AdminStream stream(std::move(socket));
      asio::co_spawn(listening->acceptor.get_executor(),
                     answer(std::move(stream), ready, open, listening->token, listening->metrics),
                     asio::detached);
      continue;
    }
    if (!listening->acceptor.is_open()) co_return;
    listening->pause.expires_after(
        std::chrono::milliseconds(100));  // out of descriptors, or too many at once
    static_cast<void>(co_await listening->pause.async_wait(use));
  }
}

bool ask_health(const config::Address& admin, std::string& why) {
  const auto endpoint = resolve(admin);
  if (!endpoint) {
    why = endpoint.error().message();
    return false;
  }
  const int fd = ::socket(endpoint->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval two_seconds{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two_seconds, sizeof two_seconds);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &two_seconds, sizeof two_seconds);
  static constexpr char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  char reply[64];
  ssize_t n = -1;
  if (::connect(fd, endpoint->get(), endpoint->size) == 0 &&
      ::send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0)
    n = ::recv(fd, reply, sizeof reply, 0);
  const int error = errno;
  ::close(fd);
  if (n >= 12 && std::memcmp(reply, "HTTP/1.1 200", 12) == 0) return true;
  why = n < 0 ? std::strerror(error) : "it did not answer 200";
  return false;
}

}  // namespace remora
