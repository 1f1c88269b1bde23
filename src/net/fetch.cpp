#include "net/fetch.h"

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <utility>

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
  out.server_name = out.host;
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

namespace http = boost::beast::http;

namespace {

Fetched failed(std::string why) {
  Fetched f;
  f.error = std::move(why);
  return f;
}

constexpr std::size_t most_head_bytes = 64 * 1024, most_line_bytes = 16 * 1024;
}  // namespace

struct FetchReader::Parser {
  http::response_parser<http::string_body> it;
};

FetchReader::FetchReader(std::size_t most_bytes) : parser_(std::make_unique<Parser>()) {
  parser_->it.eager(true);
  parser_->it.body_limit(most_bytes);
  parser_->it.header_limit(most_head_bytes);
}

FetchReader::~FetchReader() = default;

/// Parsing starts when the head is complete, and resumes only when the line that the parser waits for has
/// ended.
bool FetchReader::worth_parsing(std::string_view received, bool ended) {
  const std::size_t seen = std::exchange(seen_, received.size());
  const bool headless = !parser_->it.is_header_done();
  if (ended || (!headless && at_ == seen)) return true;
  const std::string_view wanted = headless ? "\r\n\r\n" : "\n";
  return received.find(wanted, seen - std::min(seen, wanted.size() - 1)) != std::string_view::npos;
}

/// Beast assumes (and asserts) that the last chunk's line is followed by its end: "0", CRLF, CRLF. No
/// chunked body ends with fewer bytes.
bool FetchReader::has_enough(std::size_t bytes) const {
  constexpr std::size_t shortest_end = 5;
  return bytes >= shortest_end || !parser_->it.is_header_done() || !parser_->it.chunked();
}

std::optional<Fetched> FetchReader::read(std::string_view received, bool ended) {
  auto& parser = parser_->it;
  error_code ec;
  if (worth_parsing(received, ended))
    while (at_ < received.size() && !parser.is_done() && has_enough(received.size() - at_)) {
      work_ += received.size() - at_;
      const std::size_t used =
          parser.put(asio::const_buffer(received.data() + at_, received.size() - at_), ec);
      if (ec && ec != http::error::need_more) return failed("its answer: " + ec.message());
      if (used == 0) break;
      at_ += used;
    }
  if (!parser.is_done() && ended) {
    if (at_ == 0) return failed("its answer was cut");  // Beast does not allow put_eof() before any input
    ec = {};
    parser.put_eof(ec);
    if (ec || !parser.is_done()) return failed("its answer was cut");
  }
  if (!parser.is_done()) {
    if (received.size() - at_ > (parser.is_header_done() ? most_line_bytes : most_head_bytes))
      return failed("its answer has an endless head or line");
    return std::nullopt;
  }
  if (const unsigned status = parser.get().result_int(); status != 200) {
    const auto to = parser.get()[http::field::location];
    const bool redirects = status >= 300 && status < 400 && !to.empty();
    return failed("it answered " + std::to_string(status) +
                  (redirects ? " (redirects are not followed: give the URL that it leads to)" : ""));
  }
  Fetched out;
  out.body = std::move(parser.get().body());
  return out;
}

namespace {

/// Fetches from one address. Errors are returned in `Fetched::error`.
Task<Fetched> fetch_from(Loop& loop, std::shared_ptr<Wake> wake, Question question, std::size_t most_bytes) {
  std::optional<Fetched> answer;
  FetchReader reader(most_bytes);
  question.enough = [&](std::string_view received, bool ended) {
    answer = reader.read(received, ended);
    return answer.has_value();
  };
  const std::string trouble = co_await ask_once(loop, *wake, std::move(question));
  if (!trouble.empty()) co_return failed(trouble);
  co_return *answer;
}

}  // namespace

Task<Fetched> fetch(Loop& loop, std::shared_ptr<Wake> wake, FetchUrl url, std::vector<Endpoint> endpoints,
                    std::shared_ptr<const ClientTls> tls, std::chrono::milliseconds limit,
                    std::size_t most_bytes) {
  const Clock::Steady deadline = loop.clock.steady_now() + limit;
  Fetched fetched = failed("it has no address");
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    Question question;
    question.endpoint = endpoints[i];
    question.tls = tls;
    question.server_name = url.server_name;
    question.text = "GET " + url.path + " HTTP/1.1\r\nHost: " + url.authority +
                    "\r\nUser-Agent: remora\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
    question.most_bytes = most_bytes + 64 * 1024;
    // Divide the remaining time, so that an address that does not respond leaves time for the others (in the
    // spirit of RFC 8305).
    const Clock::Steady now = loop.clock.steady_now();
    const auto rest = deadline - now;
    if (rest.count() <= 0) break;
    question.connect_by = now + rest / static_cast<int>(endpoints.size() - i);
    question.answer_by = i + 1 == endpoints.size() ? deadline : now + rest * 3 / 4;
    fetched = co_await fetch_from(loop, wake, std::move(question), most_bytes);
    if (fetched.error.empty() || fetched.error == ask_stopped) break;
  }
  co_return fetched;
}

}  // namespace remora
