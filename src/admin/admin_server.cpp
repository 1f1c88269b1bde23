#include "admin/admin_server.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/socket.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <map>

#include "admin/local_http.h"
#include "admin/local_socket.h"
#include "admin/metrics.h"
#include "admin/page.h"
#include "net/address.h"
#include "util/text.h"

namespace remora {

using namespace local;

namespace {
constexpr std::size_t most_connections = 64, most_listeners = 32;
constexpr auto patience = std::chrono::seconds(10);
constexpr auto keep_alive_every = std::chrono::seconds(15);

/// localhost or an address, with or without a port: no name that somebody else could point at us.
bool own_name(std::string_view host) {
  const std::size_t bracket = host.find(']');
  if (!host.empty() && host.front() == '[' && bracket != std::string_view::npos)
    return parse_ip(host.substr(1, bracket - 1)).has_value();
  host = host.substr(0, host.find(':'));
  return iequals(host, "localhost") || parse_ip(host).has_value();
}

void put(Response& response, unsigned status, std::string_view type, std::string body) {
  response.result(status);
  response.set(http::field::content_type, beast::string_view(type.data(), type.size()));
  response.body() = std::move(body);
}

void put(Response& response, ApiAnswer answer) {
  if (!answer.allow.empty()) response.set(http::field::allow, answer.allow);
  put(response, answer.status, answer.content_type, std::move(answer.body));
}

/// Everything but the stream of events; true: that is what was asked for.
bool respond(const Request& request, AdminActions& actions, Response& response) {
  const std::string_view target = view_of(request.target());
  const std::string_view path = target.substr(0, target.find('?'));
  const bool reads = request.method() == http::verb::get || request.method() == http::verb::head;
  if (path == "/healthz" || path == "/readyz") {
    const bool fine = path == "/healthz" || actions.ready();
    put(response, fine ? 200 : 503, "text/plain", fine ? "ok\n" : "stopping\n");
    return false;
  }
  if (const PageFile* file = find_page_file(path); file != nullptr && reads) {
    put(response, 200, file->type, std::string(file->content));
    response.set(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Referrer-Policy", "no-referrer");
    return false;
  }
  const std::string& token = actions.config().admin.token;
  if (!token.empty() && !bears_token(view_of(request[http::field::authorization]), token)) {
    response.set(http::field::www_authenticate, "Bearer");
    put(response, refuse(401, "a token is needed: Authorization: Bearer TOKEN (admin.token)"));
    return false;
  }
  if (token.empty() && !own_name(view_of(request[http::field::host]))) {
    put(response,
        refuse(403,
               "without admin.token this answers to `localhost` and addresses only, not to other names"));
    return false;
  }
  if (path == "/metrics") {
    if (reads)
      put(response, 200, "text/plain; version=0.0.4", metrics_text(actions));
    else
      put(response, refuse(405, "only GET here"));
    return false;
  }
  ApiRequest in;
  in.method = request.method() == http::verb::head ? "GET" : std::string(view_of(request.method_string()));
  in.target = target;
  in.content_type = view_of(request[http::field::content_type]);
  in.body = request.body();
  ApiAnswer answer = answer_api(in, actions);
  if (answer.events) return true;
  put(response, std::move(answer));
  return false;
}

/// The connection is the stream's until one of both ends.
Task<void> stream_events(HttpStream& stream, EventHub& hub, std::uint64_t after) {
  if (hub.listeners() >= most_listeners) {
    const std::string busy =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";
    static_cast<void>(co_await asio::async_write(stream, asio::buffer(busy), use));
    co_return;
  }
  const auto listener = hub.listen(after);
  std::string out =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: "
      "close\r\n\r\n: remora\n\n";
  for (;;) {
    stream.expires_after(patience);
    const auto [write_error, sent] = co_await asio::async_write(stream, asio::buffer(out), use);
    if (write_error || listener->overrun || listener->closed) co_return;
    out.clear();
    if (listener->pending.empty()) {
      stream.expires_never();
      listener->filled.expires_after(keep_alive_every);
      static_cast<void>(co_await listener->filled.async_wait(use));
    }
    for (; !listener->pending.empty(); listener->pending.pop_front()) out += listener->pending.front();
    if (out.empty()) out = ": still here\n\n";
  }
}

}  // namespace

struct AdminServer::Listening {
  Listening(asio::io_context& ctx, AdminActions& a) : acceptor(ctx), pause(ctx), actions(a) {}
  Acceptor acceptor;
  EventHub::Timer pause;
  AdminActions& actions;
  std::map<HttpStream*, bool> connections;  // true: waits for a request
  bool closing = false;
};

AdminServer::AdminServer(Loop& loop, const config::Address& bind, int inherited, AdminActions& actions)
    : listening_(std::make_shared<Listening>(loop.ctx, actions)) {
  const int fd = inherited >= 0 ? inherited : open_local_socket(bind, "admin.bind");
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  listening_->acceptor.assign(Protocol(name.ss_family, 0), fd);
  asio::co_spawn(loop.ctx.get_executor(), accept(listening_), asio::detached);
}

AdminServer::~AdminServer() {
  boost::system::error_code ignored;
  listening_->acceptor.close(ignored);
  listening_->pause.cancel();
  listening_->closing = true;
  for (const auto& [stream, waits] : listening_->connections)
    if (waits) stream->close();
}

int AdminServer::fd() const {
  return listening_->acceptor.native_handle();
}

Task<void> AdminServer::answer(std::shared_ptr<Listening> listening, std::shared_ptr<void> own_stream) {
  HttpStream& stream = *static_cast<HttpStream*>(own_stream.get());
  AdminActions& actions = listening->actions;
  struct Registered {
    Listening& listening;
    HttpStream* stream;
    ~Registered() { listening.connections.erase(stream); }
  } registered{*listening, &stream};
  beast::flat_buffer buffer(16 * 1024);
  for (bool keep = true; keep && !listening->closing;) {
    listening->connections[&stream] = true;  // nothing is lost if it ends now
    Parser parser;
    stream.expires_after(patience);
    const auto [read_error, bytes] = co_await http::async_read(stream, buffer, parser, use);
    listening->connections[&stream] = false;
    const Request& request = parser.get();
    Response response;
    response.set(http::field::cache_control, "no-store");
    bool events = false;
    if (!read_error) {
      response.version(request.version());
      response.keep_alive(request.keep_alive());
      events = respond(request, actions, response);
    } else if (read_error == http::error::end_of_stream ||
               read_error.category() != boost::system::error_code(http::error::bad_method).category()) {
      break;  // gone, or silent for too long
    } else {
      response.version(11);
      response.keep_alive(false);
      put(response, refuse(read_error == http::error::body_limit ? 413 : 400,
                           "this is no HTTP request: " + read_error.message()));
    }
    if (events) {
      const auto after = parse_decimal(view_of(request["Last-Event-ID"])).value_or(0);
      co_await stream_events(stream, actions.events(), after);
      break;
    }
    response.prepare_payload();
    if (!read_error && request.method() == http::verb::head) response.body().clear();
    keep = !read_error && request.keep_alive();
    const auto [write_error, sent] = co_await http::async_write(stream, response, use);
    if (write_error) break;
  }
  boost::system::error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<void> AdminServer::accept(std::shared_ptr<Listening> listening) {
  while (listening->acceptor.is_open()) {
    HttpStream::socket_type socket(listening->acceptor.get_executor());
    const auto [ec] = co_await listening->acceptor.async_accept(socket, use);
    if (!listening->acceptor.is_open()) co_return;
    if (!ec && listening->connections.size() < most_connections) {
      ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
      asio::co_spawn(listening->acceptor.get_executor(),
                     answer(listening, std::make_shared<HttpStream>(std::move(socket))), asio::detached);
      continue;
    }
    listening->pause.expires_after(
        std::chrono::milliseconds(100));  // out of descriptors, or too many at once
    static_cast<void>(co_await listening->pause.async_wait(use));
  }
}

}  // namespace remora
