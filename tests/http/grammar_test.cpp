// The grammar of heads, by tables, and beside Boost.Beast's: what we accept, it accepts with the same views.

#include "http/h1/grammar.h"

#include <gtest/gtest.h>

#include <random>

#include "support/beast_head.h"

namespace remora {
namespace {

using Status = Parsed::Status;

bool has_fields(std::string_view lines) {
  std::vector<Field> out;
  return parse_field_lines(lines, out);
}

TEST(Grammar, RequestLines) {
  RequestLine line;
  EXPECT_TRUE(parse_request_line("GET /a?b HTTP/1.1", line));
  EXPECT_EQ(line.method, "GET");
  EXPECT_EQ(line.target, "/a?b");
  EXPECT_EQ(line.minor, 1U);
  EXPECT_TRUE(parse_request_line("x!#$%&'*+-.^_`|~9 * HTTP/1.0", line));
  EXPECT_EQ(line.minor, 0U);
  for (const char* bad :
       {"", "GET", "GET ", "GET /", "GET / ", "GET / HTTP/1.1 ", "GET  / HTTP/1.1", "GET /  HTTP/1.1",
        " GET / HTTP/1.1", "G@T / HTTP/1.1", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET / http/1.1",
        "GET / HTTP/1.11", "GET /a b HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\ta HTTP/1.1"})
    EXPECT_FALSE(parse_request_line(bad, line)) << bad;
}

TEST(Grammar, StatusLines) {
  StatusLine line;
  EXPECT_TRUE(parse_status_line("HTTP/1.1 200 OK then", line));
  EXPECT_EQ(line.status, 200);
  EXPECT_EQ(line.reason, "OK then");
  EXPECT_TRUE(parse_status_line("HTTP/1.0 404 ", line));
  EXPECT_EQ(line.reason, "");
  EXPECT_TRUE(parse_status_line("HTTP/1.1 204", line));  // RFC 9112 4; a common sight
  for (const char* bad :
       {"", "HTTP/1.1", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 20x OK", "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK", "HTTP/2.0 200 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 200OK"})
    EXPECT_FALSE(parse_status_line(bad, line)) << bad;
}

TEST(Grammar, FieldLines) {
  std::vector<Field> fields;
  ASSERT_TRUE(parse_field_lines("Host: a\r\nX:\r\nY:  b c \t\r\ncOOkie:d\r\n", fields));
  ASSERT_EQ(fields.size(), 4U);
  EXPECT_EQ(fields[0].value, "a");
  EXPECT_TRUE(fields[0].verbatim);
  EXPECT_EQ(fields[1].value, "");
  EXPECT_FALSE(fields[1].verbatim);
  EXPECT_EQ(fields[2].value, "b c");
  EXPECT_FALSE(fields[2].verbatim);
  EXPECT_EQ(fields[3].known, Known::cookie);
  EXPECT_FALSE(fields[3].verbatim);
  for (const char* bad : {": a\r\n", "A : b\r\n", "A\r\n", "A b: c\r\n", "A", "A:", "A: b", "A: b\n",
                          "(A): b\r\n", "\xc3\xa4: b\r\n"})
    EXPECT_FALSE(has_fields(bad)) << bad;
  EXPECT_TRUE(has_fields("A: \xc3\xa4\tb\r\n"));  // obs-text and tabs are values' own business
}

TEST(Grammar, ForbiddenBytesAreSeenWhereverTheyStand) {
  for (int c = 0; c < 256; ++c) {
    const bool fine = c == '\t' || (c >= ' ' && c != 0x7f);
    for (std::size_t size = 1; size < 70; size += 3)
      for (std::size_t at = 0; at < size; ++at) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(c);
        const char* const end = text.data() + size;
        ASSERT_EQ(find_control(text.data(), end), fine ? end : text.data() + at)
            << c << " at " << at << " of " << size;
      }
  }
}

TEST(Grammar, KnownNamesInAnyLetterCaseAndNothingElse) {
  for (const char* name :
       {"Host", "hOST", "TE", "via", "Cookie", "Content-Length", "Proxy-Authorization", "X-Forwarded-For"})
    EXPECT_NE(known_field(name), Known::other) << name;
  for (const char* name : {"Hos", "Hosts", "H0st", "Content_Length", "Content-Lengtj", "Xroxy-Authorization",
                           "T", "Proxy-Authorizatiom"})
    EXPECT_EQ(known_field(name), Known::other) << name;
}

/// Mutations of good heads, cut, spliced and sprinkled with what parsers stumble over.
class Mutator {
 public:
  std::string next() {
    static const std::vector<std::string> seeds = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a/b?c=%20d HTTP/1.1\r\nHost: x.example:81\r\nContent-Length: 12\r\nConnection: close, "
        "X\r\n\r\n",
        "PUT http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nUpgrade: a/1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b; Path=/\r\n\r\n",
        "HTTP/1.0 404\r\nConnection: Keep-Alive\r\nX:\t y \r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    };
    static const std::vector<std::string> bits = {" ",       "\t", "\r\n",     "\r", "\n",
                                                  ":",       ",",  ";",        "\0", "\x7f",
                                                  "\x80",    "\"", "A: b\r\n", "1",  "Content-Length: 5\r\n",
                                                  "chunked", "<",  "{",        "(",  "@"};
    std::string text = seeds[random_() % seeds.size()];
    for (std::size_t n = random_() % 4; n > 0; --n) {
      const std::size_t at = random_() % text.size();
      switch (random_() % 4) {
        case 0:
          text[at] = static_cast<char>(random_());
          break;
        case 1:
          text.insert(at, bits[random_() % bits.size()]);
          break;
        case 2:
          text.erase(at, 1 + random_() % 3);
          break;
        default:
          text.insert(at, text.substr(random_() % text.size(), random_() % 12));
          break;
      }
      if (text.empty()) text = "x";
    }
    return text;
  }

 private:
  std::mt19937 random_{7};
};

TEST(Grammar, WhatWeAcceptBeastAcceptsWithTheSameViews) {
  Mutator mutator;
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string text = mutator.next();
    for (const bool request : {true, false}) {
      HeadScanner scanner;
      if (scanner.scan(text, response_limits(), request).status != Status::ok) continue;
      const std::string_view head =
          std::string_view(text).substr(scanner.skipped(), scanner.end() - scanner.skipped());
      if (request) {
        RequestHead out;
        if (parse_request_head(head, response_limits(), out).status != Status::ok) continue;
        RequestLine line;
        ASSERT_TRUE(parse_request_line(head.substr(0, head.find('\r')), line));
        ASSERT_TRUE(test::beast_agrees(head, out, line.target)) << head;
      } else {
        ResponseHead out;
        if (parse_response_head(head, Method::get, out).status != Status::ok) continue;
        ASSERT_TRUE(test::beast_agrees(head, out)) << head;
      }
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 20'000);  // or the mutations say nothing
}

}  // namespace
}  // namespace remora
