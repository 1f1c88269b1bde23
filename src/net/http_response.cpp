#include "net/http_response.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace remora {

namespace http = boost::beast::http;

namespace {
constexpr std::size_t max_head_bytes = 64 * 1024, max_line_bytes = 16 * 1024;
}  // namespace

struct HttpResponseReader::Parser {
  http::response_parser<http::string_body> it;
};

HttpResponseReader::HttpResponseReader(std::size_t max_body_bytes) : parser_(std::make_unique<Parser>()) {
  parser_->it.eager(true);
  parser_->it.body_limit(max_body_bytes);
  parser_->it.header_limit(max_head_bytes);
}

HttpResponseReader::~HttpResponseReader() = default;

/// Beast assumes (and asserts) that the last chunk's line is followed by its end: "0", CRLF, CRLF. No
/// chunked body ends with fewer bytes.
bool HttpResponseReader::may_parse(std::size_t left) const {
  constexpr std::size_t shortest_end = 5;
  return left >= shortest_end || !parser_->it.is_header_done() || !parser_->it.chunked();
}

void HttpResponseReader::take(std::string_view bytes) {
  if (done_ || bytes.empty()) return;
  unparsed_ += bytes;
  parse();
  if (done_) return;
  done_ = parser_->it.is_done();
  if (!done_ && unparsed_.size() > (parser_->it.is_header_done() ? max_line_bytes : max_head_bytes))
    fail("invalid response: head or line too long");
}

/// Beast remembers how far it has searched an unfinished line, so passing it the line again costs little.
void HttpResponseReader::parse() {
  std::size_t at = 0;
  while (at < unparsed_.size() && !parser_->it.is_done() && may_parse(unparsed_.size() - at)) {
    error_code ec;
    const std::size_t used =
        parser_->it.put(asio::const_buffer(unparsed_.data() + at, unparsed_.size() - at), ec);
    if (ec && ec != http::error::need_more) return fail("invalid response: " + ec.message());
    started_ = true;
    if (used == 0) break;
    at += used;
  }
  unparsed_.erase(0, at);
}

void HttpResponseReader::end() {
  if (done_) return;
  error_code ec;
  if (started_) parser_->it.put_eof(ec);  // Beast does not allow it before any input
  if (ec || !parser_->it.is_done()) return fail("truncated response");
  done_ = true;
}

void HttpResponseReader::fail(std::string why) {
  error_ = std::move(why);
  done_ = true;
}

unsigned HttpResponseReader::status() const {
  return parser_->it.get().result_int();
}

std::string_view HttpResponseReader::location() const {
  const auto value = parser_->it.get()[http::field::location];
  return {value.data(), value.size()};
}

std::string HttpResponseReader::take_body() {
  return std::move(parser_->it.get().body());
}

}  // namespace remora
