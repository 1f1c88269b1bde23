// Probes over HTTP/2: the request as bytes, and verdicts from frames written by hand.
#include <gtest/gtest.h>

#include "health/http2_frames.h"
#include "health/http2_path_answer.h"

namespace remora::test {
namespace {

class ProbeOverHttp2 : public ::testing::Test {
 protected:
  config::Probe probe;
  ProbeAnswer answer{probe};
  Http2PathAnswer path{answer};
  Http2Reader reader{{"GET", "/healthz", "app.test", false, {{"accept", "*/*"}}, {}}, path};
};

TEST_F(ProbeOverHttp2, SendsThePrefaceAndOneRequest) {
  const std::string text = reader.text();
  EXPECT_EQ(text.substr(0, 24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_EQ(text[24 + 3], 4);                 // SETTINGS
  EXPECT_EQ(text[24 + 9 + 6 + 3], 1);         // HEADERS
  EXPECT_EQ(text[24 + 9 + 6 + 4] & 0x05, 5);  // that end head and stream
}

TEST_F(ProbeOverHttp2, TheStatusDecides) {
  reader.take(settings);
  EXPECT_FALSE(reader.decided());
  reader.take(frame(1, end_headers, 1, status_200));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "");
  EXPECT_FALSE(reader.complete());
  reader.take(frame(0, 1, 1, "ok"));
  EXPECT_TRUE(reader.complete());
}

TEST_F(ProbeOverHttp2, AnotherStatusFails) {
  reader.take(settings + frame(1, end_headers_and_stream, 1, status_404));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "status 404");
  EXPECT_TRUE(reader.complete());
}

TEST_F(ProbeOverHttp2, TheGenerationIsRead) {
  reader.take(settings + frame(1, end_headers_and_stream, 1, status_200 + literal("remora-generation", "7")));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->generation, 7U);
}

/// All these were "malformed response".
TEST_F(ProbeOverHttp2, AResetStreamFailsWithItsCode) {
  reader.take(settings + frame(3, 0, 1, std::string("\0\0\0\2", 4)));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "stream closed with error 2");
}

TEST_F(ProbeOverHttp2, AServerOfHttp1SpeaksNoHttp2) {
  reader.take("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "no HTTP/2");
}

TEST_F(ProbeOverHttp2, AHeadBeyondTheLimitIsTooLong) {
  std::string fields;
  for (int i = 0; i < 150; ++i) fields += literal("x", std::string(100, 'x'));
  const auto part = [](char type, const std::string& payload) {
    std::string whole = frame(type, 0, 1, payload);
    whole[1] = static_cast<char>(payload.size() >> 8);
    return whole;
  };
  reader.take(settings + part(1, status_200 + fields));
  for (int i = 0; i < 4; ++i) reader.take(part(9, fields));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "head too long");
}

/// As with HTTP/1, so that the next address of the backend is tried.
TEST_F(ProbeOverHttp2, ACloseBeforeTheHeadLeavesItUndecided) {
  reader.take(settings);
  reader.end();
  EXPECT_TRUE(reader.complete());
  EXPECT_FALSE(reader.decided());
}

}  // namespace
}  // namespace remora::test
