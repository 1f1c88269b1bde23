// HTTP as the admin and the session API speak it: Beast over a TCP or unix socket of this machine. Not on the
// request path.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <string_view>

#include "remora/task.h"

namespace remora::local {

namespace beast = boost::beast;
namespace http = beast::http;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;
using HttpStream = beast::basic_stream<Protocol, Executor>;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;
constexpr auto use = asio::as_tuple(asio::deferred);

/// With the limits of both APIs: a head of 16 KiB, a body of 64 KiB.
struct Parser : http::request_parser<http::string_body> {
  Parser() {
    header_limit(16 * 1024);
    body_limit(64 * 1024);
  }
};

inline std::string_view view_of(beast::string_view s) {
  return {s.data(), s.size()};
}

}  // namespace remora::local
