#include "admin/client.h"

#include <boost/asio/co_spawn.hpp>

#include "net/http_response.h"
#include "net/loop.h"

namespace remora {

namespace {

/// Runs the request on a loop of its own. Returns the error.
std::string run(OneShotRequest request, ResponseReader* reader, std::chrono::milliseconds limit) {
  Loop loop;
  EventFlags wake(loop.wheel);
  wake.until(loop.clock.steady_now() + limit);
  std::string error;
  asio::co_spawn(loop.ctx.get_executor(), one_shot_request(loop, wake, std::move(request), reader),
                 [&](const std::exception_ptr& exception, std::string result) {
                   error = exception ? "out of memory" : std::move(result);
                   loop.ctx.stop();
                 });
  loop.ctx.run();
  return error;
}

}  // namespace

AdminReply ask_admin(const config::Address& address, const std::string& token, const std::string& method,
                     const std::string& target, const std::string& body, std::chrono::milliseconds limit) {
  const auto endpoint = resolve(address);
  if (!endpoint) return {0, endpoint.error().message()};
  constexpr std::size_t max_body_bytes = 64 * 1024 * 1024, max_head_bytes = 64 * 1024;
  const bool unix_socket = address.kind == config::Address::Kind::unix_path;
  const std::string authorization = "Bearer " + token;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
  if (!token.empty()) fields.emplace_back("Authorization", authorization);
  if (method != "GET") fields.emplace_back("Content-Type", "application/json");
  OneShotRequest request;
  request.endpoint = *endpoint;
  request.text = request_text(method, target, unix_socket ? "localhost" : address.text(), fields, body);
  request.max_bytes = max_body_bytes + max_head_bytes;
  HttpResponseReader response(max_body_bytes);
  const std::string error = run(std::move(request), &response, limit);
  if (!error.empty()) return {0, error};
  if (!response.error().empty()) return {0, response.error()};
  return {response.status(), response.take_body()};
}

bool accepts_connections(const config::Address& address, std::chrono::milliseconds limit) {
  const auto endpoint = resolve(address);
  if (!endpoint) return false;
  OneShotRequest request;
  request.endpoint = *endpoint;
  return run(std::move(request), nullptr, limit).empty();
}

}  // namespace remora
