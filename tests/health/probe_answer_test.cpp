// Probes' answers: what counts as healthy, and where an answer ends.

#include "health/probe_answer.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

struct Read {
  std::string verdict;  // "up", why not, or "none"
  bool complete = false;
};
/// In pieces of this size; `ended`: the server closed behind it.
Read read(const std::string& bytes, bool ended = false, std::size_t piece = 1) {
  const config::Probe probe;
  ProbeAnswer answer(probe);
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    answer.take(std::string_view(bytes).substr(at, piece));
  if (ended) answer.end();
  if (!answer.verdict()) return {"none", answer.complete()};
  return {answer.verdict()->failure.empty() ? "up" : answer.verdict()->failure, answer.complete()};
}
/// The same however it is cut.
std::string verdict_of(const std::string& bytes, bool ended = false) {
  const std::string whole = read(bytes, ended, bytes.size() + 1).verdict;
  EXPECT_EQ(read(bytes, ended).verdict, whole) << bytes;
  return whole;
}
bool complete(const std::string& bytes) {
  const bool whole = read(bytes, false, bytes.size() + 1).complete;
  EXPECT_EQ(read(bytes).complete, whole) << bytes;
  return whole;
}

/// RFC 9112 2.2: a recipient may take a lone LF. Shell scripts send nothing else.
TEST(ProbeAnswer, LinesMayEndInLfAlone) {
  EXPECT_EQ(verdict_of("HTTP/1.0 200 OK\n\n"), "up");
  EXPECT_EQ(verdict_of("HTTP/1.0 200 OK\n\nok"), "up");
  EXPECT_EQ(verdict_of("HTTP/1.0 200 OK\nServer: x\nContent-Length: 2\n\nok"), "up");
  EXPECT_EQ(verdict_of("HTTP/1.1 200 OK\r\nServer: x\n\r\n"), "up");
  EXPECT_EQ(verdict_of("HTTP/1.0 503 No\n\n"), "status 503");
}

TEST(ProbeAnswer, AStatusLineAloneIsEnoughOnceTheServerHasClosed) {
  EXPECT_EQ(verdict_of("HTTP/1.0 200 OK\r\n"), "none");
  EXPECT_EQ(verdict_of("HTTP/1.0 200 OK\r\n", true), "up");
  EXPECT_EQ(verdict_of("HTTP/1.0 200 OK\nServer: x\n", true), "up");
  EXPECT_EQ(verdict_of("HTTP/1.0 500 No\n", true), "status 500");
  EXPECT_EQ(verdict_of("HTTP/1.0 200 O", true), "none");  // cut
  EXPECT_EQ(verdict_of("", true), "none");
}

TEST(ProbeAnswer, TheReasonMayBeMissing) {
  EXPECT_EQ(verdict_of("HTTP/1.1 200 \r\n\r\n"), "up");  // Tomcat
  EXPECT_EQ(verdict_of("HTTP/1.1 200\r\n\r\n"), "up");
}

/// RFC 9110 15.2: a client must be able to take any number of interim answers.
TEST(ProbeAnswer, InterimAnswersArePassedOver) {
  const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(verdict_of(hints), "none");
  EXPECT_EQ(verdict_of(hints + "HTTP/1.1 200 OK\r\n\r\n"), "up");
  EXPECT_EQ(verdict_of(hints + "HTTP/1.1 503 No\r\n\r\n"), "status 503");
  EXPECT_EQ(verdict_of("HTTP/1.1 100 Continue\n\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 X\r\n\r\n"),
            "up");
  EXPECT_EQ(verdict_of("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "status 101");
  std::string many;
  for (int i = 0; i < 200; ++i) many += "HTTP/1.1 103 X\r\n\r\n";
  EXPECT_EQ(verdict_of(many), "too many interim responses");
}

TEST(ProbeAnswer, WhatIsNoHttpIsMalformed) {
  for (const char* bytes :
       {"SSH-2.0-OpenSSH_9.2\r\n", "\r\n", "HTTP/1.1\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 099 OK\r\n", "HTTP/x.1 200 OK\r\n", "ICY 200 OK\r\n", "<html>\n", "HTTP/1.1 2x0 OK\n"})
    EXPECT_EQ(verdict_of(bytes), "malformed response") << bytes;
  EXPECT_EQ(verdict_of("HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x')), "head too long");
  EXPECT_EQ(verdict_of(std::string(70000, 'x')), "head too long");
}

/// A connection that is closed while bytes come is reset, and servers log that (yaoweibin/
/// nginx_upstream_check_module #171).
TEST(ProbeAnswer, ItsEndIsFoundByEveryFraming) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  EXPECT_TRUE(complete(head + "Content-Length: 0\r\n\r\n"));
  EXPECT_FALSE(complete(head + "Content-Length: 3\r\n\r\nab"));
  EXPECT_TRUE(complete(head + "Content-Length: 3\r\n\r\nabc"));
  EXPECT_TRUE(complete(head + "content-length:3\n\nabc"));
  EXPECT_TRUE(complete("HTTP/1.1 204 No Content\r\n\r\n"));
  EXPECT_TRUE(complete("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"));
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_FALSE(complete(chunked + "3\r\nabc\r\n"));
  EXPECT_FALSE(complete(chunked + "3\r\nabc\r\n0\r\n"));
  EXPECT_TRUE(complete(chunked + "3;x=y\r\nabc\r\n0\r\n\r\n"));
  EXPECT_TRUE(complete(chunked + "0A \r\n0123456789\r\n0\r\nX: y\r\n\r\n"));
  EXPECT_TRUE(complete(chunked + "nonsense\r\n"));
  EXPECT_FALSE(complete(head + "\r\nanything"));  // until it closes
  EXPECT_TRUE(read(head + "\r\nanything", true).complete);
  EXPECT_EQ(verdict_of(chunked + "nonsense\r\n"), "up");  // only the status decides
}

TEST(ProbeAnswer, TheGenerationIsTheFinalHeads) {
  const config::Probe probe;
  ProbeAnswer answer(probe);
  answer.take("HTTP/1.1 103 X\r\nRemora-Generation: 3\r\n\r\nHTTP/1.1 200 OK\nREMORA-GENERATION:  17 \n\n");
  ASSERT_TRUE(answer.verdict());
  EXPECT_EQ(answer.verdict()->generation, 17U);
}

}  // namespace
}  // namespace remora
