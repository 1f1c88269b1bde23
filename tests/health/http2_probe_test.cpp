// Probes over HTTP/2: the request as bytes, and verdicts from frames written by hand.
#include <gtest/gtest.h>

#include "health/http2_frames.h"
#include "health/probe_answer.h"
#include "http/h2/http2_reader.h"

namespace remora::test {
namespace {

class ProbeOverHttp2 : public ::testing::Test {
 protected:
  config::Probe probe;
  ProbeAnswer answer{probe};
  Http2AsText as_text{answer};
  Http2Reader reader{{"GET", "/healthz", "app.test", false, {{"accept", "*/*"}}, {}}, as_text};
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

TEST_F(ProbeOverHttp2, AResetStreamFails) {
  reader.take(settings + frame(3, 0, 1, std::string("\0\0\0\2", 4)));
  ASSERT_TRUE(reader.decided());
  EXPECT_NE(answer.verdict()->failure, "");
}

TEST_F(ProbeOverHttp2, AServerOfHttp1Fails) {
  reader.take("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(reader.decided());
  EXPECT_NE(answer.verdict()->failure, "");
}

}  // namespace
}  // namespace remora::test
