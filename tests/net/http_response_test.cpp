// Responses, read as their bytes come.

#include "net/http_response.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

struct Read {
  bool decided = false;
  std::string error;
  unsigned status = 0;
  std::string body;
};
/// The response in pieces of this size; `ended`: the server has closed behind it.
Read read(std::string_view response, std::size_t piece, bool ended = true,
          std::size_t max_body_bytes = 1 << 20) {
  HttpResponseReader reader(max_body_bytes);
  for (std::size_t at = 0; at < response.size(); at += piece) reader.take(response.substr(at, piece));
  if (ended) reader.end();
  Read out;
  out.decided = reader.decided();
  EXPECT_EQ(reader.complete(), reader.decided());
  if (!out.decided) return out;
  out.error = reader.error();
  if (!out.error.empty()) return out;
  out.status = reader.status();
  out.body = reader.take_body();
  return out;
}

std::string with_length(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string in_chunks(std::size_t count) {
  std::string out = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t i = 0; i < count; ++i) out += "a;some=extension\r\n0123456789\r\n";
  return out + "0\r\n\r\n";
}

/// Beast asserts that the last chunk's line is not passed alone: so it must be kept until its end has come.
TEST(HttpResponse, MayBeCutInTwoAnywhere) {
  for (const std::size_t chunks : {0U, 1U}) {
    const std::string response = in_chunks(chunks);
    for (std::size_t cut = 0; cut <= response.size(); ++cut) {
      HttpResponseReader reader(1000);
      reader.take(std::string_view(response).substr(0, cut));
      reader.take(std::string_view(response).substr(cut));
      ASSERT_TRUE(reader.complete()) << cut;
      EXPECT_EQ(reader.take_body().size(), chunks * 10) << cut;
    }
  }
}

TEST(HttpResponse, IsTheSameHoweverItComes) {
  const std::string body(100000, 'x');
  const std::string fields = "HTTP/1.1 200 OK\r\nX: " + std::string(20000, 'y') + "\r\n\r\n";
  for (const std::string& response : {with_length(body), in_chunks(5000), fields + body}) {
    const std::string whole = read(response, response.size()).body;
    EXPECT_GE(whole.size(), 50000U);
    for (const std::size_t piece : {1U, 7U, 1000U}) {
      const Read got = read(response, piece);
      ASSERT_TRUE(got.decided) << piece;
      EXPECT_EQ(got.error, "") << piece;
      EXPECT_EQ(got.status, 200U);
      EXPECT_TRUE(got.body == whole) << piece;
    }
  }
}

TEST(HttpResponse, EndsWhereItsFramingSays) {
  EXPECT_TRUE(read(with_length("ab"), 1, false).decided);
  EXPECT_TRUE(read(in_chunks(2), 1, false).decided);
  EXPECT_EQ(read(with_length("ab") + "more", 1000, false).body, "ab");
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\n\r\nkeys", 1, false).decided);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\n\r\nkeys", 1).body, "keys");
}

TEST(HttpResponse, ItsStatusIsTheCallersToJudge) {
  const Read got = read("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nwhy", 1, false);
  EXPECT_EQ(got.status, 503U);
  EXPECT_EQ(got.body, "why");
  HttpResponseReader reader(10);
  reader.take("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(reader.location(), "/there");
}

// Found by fuzzing: Beast asserts that the end of the last chunk came together with its line.
TEST(HttpResponse, OneThatIsCutAnywhereIsAFailure) {
  for (const std::string& whole : {in_chunks(2), with_length("abc")})
    for (std::size_t cut = 0; cut < whole.size(); ++cut)
      for (const std::size_t piece : {1U, 2U, 3U, 4U, 1000U})
        EXPECT_NE(read(std::string_view(whole).substr(0, cut), piece).error, "") << cut << " by " << piece;
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n", 1).decided);
}

TEST(HttpResponse, OneWithoutEndEnds) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& endless :
       {head + "X: " + std::string(200000, 'y'), chunked + "1;" + std::string(200000, 'y'),
        with_length(std::string(200000, 'y')), head + "\r\n" + std::string(200000, 'y'),
        chunked + "30000\r\n" + std::string(200000, 'y'), std::string(200000, 'y')})
    for (const std::size_t piece : {100U, 1000000U})
      EXPECT_NE(read(endless, piece, false, 100000).error, "") << endless.substr(0, 60);
}

TEST(HttpResponse, WhatIsNoHttpIsRefused) {
  for (const char* bad : {"", "HTTP/1.1 200", "SSH-2.0-x\r\n\r\n", "<html></html>\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"})
    EXPECT_NE(read(bad, 1000).error, "") << bad;
}

}  // namespace
}  // namespace remora
