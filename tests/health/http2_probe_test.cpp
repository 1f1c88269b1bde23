// Probes over HTTP/2: the request as bytes, and verdicts from frames written by hand.
#include <gtest/gtest.h>

#include "health/probe_answer.h"
#include "http/h2/http2_reader.h"

namespace remora::test {
namespace {

std::string frame(char type, char flags, char stream, const std::string& payload) {
  return std::string("\0\0", 2) + static_cast<char>(payload.size()) + type + flags +
         std::string("\0\0\0", 3) + stream + payload;
}
const std::string settings = frame(4, 0, 0, "");
constexpr char end_headers = 4, end_headers_and_stream = 5;
const std::string status_200 = "\x88", status_404 = "\x8d";
/// A literal field that is not indexed (RFC 7541 6.2.2).
std::string literal(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) +
         value;
}

class Http2Probe : public ::testing::Test {
 protected:
  config::Probe probe;
  ProbeAnswer answer{probe};
  Http2Reader reader{"/healthz", "app.test", false, {{"accept", "*/*"}}, answer};
};

TEST_F(Http2Probe, SendsThePrefaceAndOneRequest) {
  const std::string text = reader.text();
  EXPECT_EQ(text.substr(0, 24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_EQ(text[24 + 3], 4);                 // SETTINGS
  EXPECT_EQ(text[24 + 9 + 6 + 3], 1);         // HEADERS
  EXPECT_EQ(text[24 + 9 + 6 + 4] & 0x05, 5);  // that end head and stream
}

TEST_F(Http2Probe, TheStatusDecides) {
  reader.take(settings);
  EXPECT_FALSE(reader.decided());
  reader.take(frame(1, end_headers, 1, status_200));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "");
  EXPECT_FALSE(reader.complete());
  reader.take(frame(0, 1, 1, "ok"));
  EXPECT_TRUE(reader.complete());
}

TEST_F(Http2Probe, AnotherStatusFails) {
  reader.take(settings + frame(1, end_headers_and_stream, 1, status_404));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->failure, "status 404");
  EXPECT_TRUE(reader.complete());
}

TEST_F(Http2Probe, TheGenerationIsRead) {
  reader.take(settings + frame(1, end_headers_and_stream, 1, status_200 + literal("remora-generation", "7")));
  ASSERT_TRUE(reader.decided());
  EXPECT_EQ(answer.verdict()->generation, 7U);
}

TEST_F(Http2Probe, AResetStreamFails) {
  reader.take(settings + frame(3, 0, 1, std::string("\0\0\0\2", 4)));
  ASSERT_TRUE(reader.decided());
  EXPECT_NE(answer.verdict()->failure, "");
}

TEST_F(Http2Probe, AServerOfHttp1Fails) {
  reader.take("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(reader.decided());
  EXPECT_NE(answer.verdict()->failure, "");
}

}  // namespace
}  // namespace remora::test
