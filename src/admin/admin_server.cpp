#include "admin/admin_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>

#include "admin/local_socket.h"
#include "admin/metrics.h"
#include "admin/own_name.h"
#include "admin/page.h"
#include "util/text.h"

namespace remora {

namespace {
constexpr LocalServer::Limits limits{64, std::chrono::seconds(10), 32};
constexpr auto keep_alive_every = std::chrono::seconds(15);

LocalAnswer made(unsigned status, std::string_view type, std::string body) {
  LocalAnswer answer;
  answer.status = status;
  answer.fields.emplace_back("Content-Type", type);
  answer.body = std::move(body);
  return answer;
}

LocalAnswer made(ApiAnswer from) {
  LocalAnswer answer = made(from.status, from.content_type, std::move(from.body));
  if (!from.allow.empty()) answer.fields.emplace_back("Allow", from.allow);
  return answer;
}

LocalAnswer made(const PageFile& file) {
  LocalAnswer answer = made(200, file.type, std::string(file.content));
  answer.fields.emplace_back(
      "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'");
  answer.fields.emplace_back("X-Content-Type-Options", "nosniff");
  answer.fields.emplace_back("Referrer-Policy", "no-referrer");
  return answer;
}

/// Streams events until either side ends the connection.
Task<void> stream_events(LocalSink& sink, EventHub& hub, std::uint64_t after) {
  const auto listener = hub.listen(after);
  std::string out =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: "
      "close\r\n\r\n: remora\n\n";
  for (;;) {
    const bool read = co_await sink.write(std::move(out));
    if (!read || listener->overrun || listener->closed) co_return;
    out.clear();
    if (listener->pending.empty()) {
      listener->filled.expires_after(keep_alive_every);
      static_cast<void>(co_await listener->filled.async_wait(asio::as_tuple(asio::deferred)));
    }
    for (; !listener->pending.empty(); listener->pending.pop_front()) out += listener->pending.front();
    if (out.empty()) out = ": still here\n\n";
  }
}

/// The check without a token: status 200, or 403 if another site's page may have caused the request.
ApiAnswer judge_browser(const LocalRequest& request, bool reads) {
  const std::string_view host = request.field("Host");
  if (request.count("Host") > 1 || !is_own_name(host))
    return refuse(403,
                  "without admin.token this answers to `localhost` and addresses only, not to other names");
  if (!reads && !is_same_origin(request.field("Origin"), request.field("Sec-Fetch-Site"), host))
    return refuse(403, "a page of another site sent this");
  return ApiAnswer{};
}

LocalAnswer respond(const LocalRequest& request, AdminActions& actions) {
  if (request.refused != 0) return made(refuse(request.refused, request.why));
  if (!request.target.starts_with('/')) return made(refuse(400, "the target must begin with '/'"));
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (path == "/healthz" || path == "/readyz") {
    const bool fine = path == "/healthz" || actions.ready();
    return made(fine ? 200 : 503, "text/plain", fine ? "ok\n" : "stopping\n");
  }
  if (const PageFile* file = find_page_file(path); file != nullptr && reads) return made(*file);
  const std::string& token = actions.config().admin.token;
  if (!token.empty() && !bears_token(request.field("Authorization"), token)) {
    LocalAnswer answer = made(refuse(401, "a token is needed: Authorization: Bearer TOKEN (admin.token)"));
    answer.fields.emplace_back("WWW-Authenticate", "Bearer");
    return answer;
  }
  if (token.empty())
    if (ApiAnswer refused = judge_browser(request, reads); refused.status != 200)
      return made(std::move(refused));
  if (path == "/metrics")
    return reads ? made(200, "text/plain; version=0.0.4", metrics_text(actions))
                 : made(refuse(405, "only GET here"));
  ApiRequest in;
  in.method = request.method == "HEAD" ? "GET" : request.method;
  in.target = request.target;
  in.content_type = request.field("Content-Type");
  in.body = request.body;
  ApiAnswer from_api = answer_api(in, actions);
  if (!from_api.events) return made(std::move(from_api));
  LocalAnswer answer;
  const auto after = parse_decimal(request.field("Last-Event-ID")).value_or(0);
  answer.stream = [&hub = actions.events(), after](LocalSink& sink) {
    return stream_events(sink, hub, after);
  };
  return answer;
}

Task<LocalAnswer> answer(LocalRequest request, AdminActions& actions) {
  co_return respond(request, actions);
}

}  // namespace

AdminServer::AdminServer(Loop& loop, const config::Admin& settings, UniqueFd inherited, AdminActions& actions)
    : server_(
          loop,
          inherited ? std::move(inherited) : open_local_socket(*settings.bind, settings.access, "admin.bind"),
          limits, [&actions](LocalRequest request) { return answer(std::move(request), actions); }) {}

}  // namespace remora
