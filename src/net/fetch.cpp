#include "net/fetch.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "util/text.h"

namespace remora {

std::optional<FetchUrl> parse_fetch_url(std::string_view text) {
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return std::nullopt;
  const boost::urls::url_view& u = *parsed;
  FetchUrl out;
  out.secure = u.scheme() == "https";
  if ((!out.secure && u.scheme() != "http") || u.has_userinfo() || u.has_fragment()) return std::nullopt;
  out.host = u.host_address();
  if (out.host.empty()) return std::nullopt;
  out.port = out.secure ? 443 : 80;
  if (u.has_port()) {
    const auto port = parse_decimal(std::string(u.port()));
    if (!port || *port == 0 || *port > 65535) return std::nullopt;
    out.port = static_cast<std::uint16_t>(*port);
  }
  out.authority = u.encoded_host_and_port();
  out.path = u.encoded_path();
  if (out.path.empty()) out.path = "/";
  if (u.has_query()) out.path.append("?").append(std::string(u.encoded_query()));
  return out;
}

namespace {

Fetched failed(std::string why) {
  Fetched f;
  f.error = std::move(why);
  return f;
}

/// What the bytes so far are; nothing: not all of it yet. `ended`: nothing more will come.
std::optional<Fetched> judge(std::string_view bytes, bool ended, std::size_t most_bytes) {
  namespace http = boost::beast::http;
  http::response_parser<http::string_body> parser;
  parser.eager(true);
  parser.body_limit(most_bytes);
  parser.header_limit(64 * 1024);
  error_code ec;
  for (std::size_t at = 0; at < bytes.size() && !parser.is_done();) {
    const std::size_t used = parser.put(asio::const_buffer(bytes.data() + at, bytes.size() - at), ec);
    if (ec && ec != http::error::need_more) return failed("its answer: " + ec.message());
    if (used == 0) break;
    at += used;
  }
  if (!parser.is_done() && ended) {
    ec = {};
    parser.put_eof(ec);
    if (ec || !parser.is_done()) return failed("its answer was cut");
  }
  if (!parser.is_done()) return std::nullopt;
  if (parser.get().result_int() != 200)
    return failed("it answered " + std::to_string(parser.get().result_int()));
  Fetched out;
  out.body = std::move(parser.get().body());
  return out;
}

}  // namespace

Task<Fetched> fetch(Loop& loop, std::shared_ptr<Wake> wake, FetchUrl url, Endpoint endpoint,
                    std::shared_ptr<const ClientTls> tls, std::chrono::milliseconds limit,
                    std::size_t most_bytes) {
  std::optional<Fetched> answer;
  Question question;
  question.endpoint = endpoint;
  question.tls = std::move(tls);
  question.server_name = url.host;
  question.text = "GET " + url.path + " HTTP/1.1\r\nHost: " + url.authority +
                  "\r\nUser-Agent: remora\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  question.most_bytes = most_bytes + 64 * 1024;
  question.enough = [&](std::string_view received, bool ended) {
    answer = judge(received, ended, most_bytes);
    return answer.has_value();
  };
  wake->until(std::chrono::steady_clock::now() + limit);
  const std::string trouble = co_await ask_once(loop, *wake, std::move(question));
  if (!trouble.empty()) co_return failed(trouble);
  co_return *answer;
}

}  // namespace remora
