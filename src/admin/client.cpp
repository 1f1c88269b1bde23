#include "admin/client.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "net/address.h"
#include "remora/task.h"

namespace remora {

namespace {
namespace beast = boost::beast;
namespace http = beast::http;
}  // namespace

AdminReply ask_admin(const config::Address& address, const std::string& token, const std::string& method,
                     const std::string& target, const std::string& body, std::chrono::milliseconds limit) {
  const auto endpoint = resolve(address);
  if (!endpoint) return {0, endpoint.error().message()};
  asio::io_context ctx;
  beast::basic_stream<asio::generic::stream_protocol, Executor> stream(ctx);
  http::request<http::string_body> request;
  request.method_string(method);
  request.target(target);
  request.version(11);
  const bool unix_socket = address.kind == config::Address::Kind::unix_path;
  request.set(http::field::host, unix_socket ? "localhost" : address.text());
  request.set(http::field::connection, "close");
  if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
  if (method != "GET") request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.prepare_payload();
  http::response_parser<http::string_body> parser;
  parser.body_limit(64 * 1024 * 1024);
  beast::flat_buffer buffer;
  error_code failure;
  const asio::generic::stream_protocol::endpoint to(endpoint->get(), endpoint->size);
  stream.expires_after(limit);
  stream.async_connect(to, [&](const error_code& connect_error) {
    failure = connect_error;
    if (failure) return;
    http::async_write(stream, request, [&](const error_code& write_error, std::size_t) {
      failure = write_error;
      if (failure) return;
      http::async_read(stream, buffer, parser,
                       [&](const error_code& read_error, std::size_t) { failure = read_error; });
    });
  });
  ctx.run();
  if (failure == beast::error::timeout) return {0, "no answer in time"};
  if (failure) return {0, failure.message()};
  return {parser.get().result_int(), std::move(parser.get().body())};
}

bool accepts_connections(const config::Address& address, std::chrono::milliseconds limit) {
  const auto endpoint = resolve(address);
  if (!endpoint) return false;
  asio::io_context ctx;
  beast::basic_stream<asio::generic::stream_protocol, Executor> stream(ctx);
  error_code failure;
  const asio::generic::stream_protocol::endpoint to(endpoint->get(), endpoint->size);
  stream.expires_after(limit);
  stream.async_connect(to, [&](const error_code& ec) { failure = ec; });
  ctx.run();
  return !failure;
}

}  // namespace remora
