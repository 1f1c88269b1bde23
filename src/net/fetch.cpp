#include "net/fetch.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

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
  out.port = u.has_port() ? u.port_number() : static_cast<std::uint16_t>(out.secure ? 443 : 80);
  if (out.port == 0) return std::nullopt;
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

Task<Fetched> fetch(Loop& loop, std::shared_ptr<Wake> own_wake, FetchUrl url, Endpoint endpoint,
                    std::shared_ptr<const ClientTls> tls, std::chrono::milliseconds limit,
                    std::size_t most_bytes) {
  Wake& wake = *own_wake;
  wake.until(std::chrono::steady_clock::now() + limit);
  Connecting connecting(loop, endpoint, tls.get(), url.host, wake, Wake::backend);
  for (;;) {
    const Io io = connecting.step();
    if (io == Io::ready) break;
    if (io == Io::failed)
      co_return failed(connecting.tls_error().empty() ? connecting.error().message()
                                                      : connecting.tls_error());
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & Wake::stop) co_return failed("stopped");
    if (bits & Wake::deadline) co_return failed("no connection in time");
  }
  const StreamRef stream = connecting.take();
  struct Closer {
    Stream& s;
    ~Closer() { s.close(); }
  } closer{*stream};
  const std::string request =
      "GET " + url.path + " HTTP/1.1\r\nHost: " + url.authority +
      "\r\nUser-Agent: remora\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  std::size_t sent = 0;
  std::string received;
  for (;;) {
    if (sent < request.size()) {
      const asio::const_buffer rest(request.data() + sent, request.size() - sent);
      const Stream::Sent s = stream->send({&rest, 1});
      if (s.io == Io::failed) co_return failed(stream->error().message());
      sent += s.bytes;
    }
    received.append(stream->unread());
    stream->consume(stream->unread().size());
    if (received.size() > most_bytes + 64 * 1024) co_return failed("its answer is too large");
    if (const auto done = judge(received, stream->peer_closed(), most_bytes)) co_return *done;
    const Io io = stream->fill();
    if (io == Io::failed) co_return failed(stream->error().message());
    if (io == Io::ready) continue;
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & Wake::stop) co_return failed("stopped");
    if (bits & Wake::deadline) co_return failed("no answer in time");
  }
}

}  // namespace remora
