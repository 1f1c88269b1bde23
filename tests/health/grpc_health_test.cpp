// Probes by grpc.health.v1: the request as bytes, and verdicts from frames written by hand.
#include "health/grpc_health.h"

#include <gtest/gtest.h>

#include "health/http2_frames.h"

namespace remora::test {
namespace {

using namespace std::string_literals;

/// A message as gRPC sends it: not compressed, with its length.
std::string message(const std::string& bytes) {
  return "\0\0\0\0"s + static_cast<char>(bytes.size()) + bytes;
}
const std::string serving = message("\x08\x01"), not_serving = message("\x08\x02");
const std::string head = frame(1, end_headers, 1, status_200 + literal("content-type", "application/grpc"));
constexpr char end_stream = 1;

std::string trailers(const std::string& status, const std::string& more = {}) {
  return frame(1, end_headers_and_stream, 1, literal("grpc-status", status) + more);
}
std::string data(const std::string& bytes) {
  return frame(0, 0, 1, bytes);
}

/// "up", why not, or "none" while it is open. In pieces of any size the same.
std::string verdict_of(const std::string& bytes) {
  std::string whole;
  for (const std::size_t piece : {bytes.size() + 1, std::size_t{1}}) {
    GrpcHealthAnswer answer;
    Http2Reader reader({"POST", grpc_health_method, "app.test", false, {}, grpc_health_request("")}, answer);
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      reader.take(std::string_view(bytes).substr(at, piece));
    std::string verdict = "none";
    if (answer.verdict()) verdict = answer.verdict()->failure.empty() ? "up" : answer.verdict()->failure;
    EXPECT_TRUE(whole.empty() || whole == verdict) << whole << ", in pieces " << verdict;
    whole = verdict;
  }
  return whole;
}

TEST(GrpcHealth, TheRequestNamesTheService) {
  EXPECT_EQ(grpc_health_request(""), "\0\0\0\0\0"s);
  EXPECT_EQ(grpc_health_request("a.B"), "\0\0\0\0\5\n\3a.B"s);
  const std::string service(200, 'x');
  EXPECT_EQ(grpc_health_request(service), "\0\0\0\0\xcb\n\xc8\1"s + service);
}

TEST(GrpcHealth, TheCallIsAPostWithABody) {
  GrpcHealthAnswer answer;
  const Http2Reader reader({"POST", grpc_health_method, "app.test", false, {}, grpc_health_request("a.B")},
                           answer);
  const std::string text = reader.text();
  EXPECT_EQ(text.substr(text.size() - 10), grpc_health_request("a.B"));
  EXPECT_EQ(text[text.size() - 10 - 9 + 4], end_stream);
}

TEST(GrpcHealth, OnlyServingPasses) {
  EXPECT_EQ(verdict_of(settings + head + data(serving) + trailers("0")), "up");
  EXPECT_EQ(verdict_of(settings + head + data(not_serving) + trailers("0")), "NOT_SERVING");
  EXPECT_EQ(verdict_of(settings + head + data(message("")) + trailers("0")), "UNKNOWN");
  EXPECT_EQ(verdict_of(settings + head + data(message("\x08\x03")) + trailers("0")), "SERVICE_UNKNOWN");
}

TEST(GrpcHealth, ItIsOpenUntilTheCallHasEnded) {
  EXPECT_EQ(verdict_of(settings), "none");
  EXPECT_EQ(verdict_of(settings + head + data(serving)), "none");
}

TEST(GrpcHealth, AStatusInTrailersFails) {
  EXPECT_EQ(verdict_of(settings + head + data(serving) + trailers("14")), "gRPC status 14");
  EXPECT_EQ(verdict_of(settings + head + data(serving) + frame(0, end_stream, 1, "")), "no gRPC status");
}

TEST(GrpcHealth, ATrailersOnlyResponseFails) {
  const std::string only = status_200 + literal("content-type", "application/grpc") +
                           literal("grpc-status", "12") + literal("grpc-message", "no such method");
  EXPECT_EQ(verdict_of(settings + frame(1, end_headers_and_stream, 1, only)),
            "gRPC status 12: no such method");
}

TEST(GrpcHealth, WhatIsNoGrpcFails) {
  EXPECT_EQ(verdict_of(settings + frame(1, end_headers_and_stream, 1, status_404)), "status 404");
  EXPECT_EQ(verdict_of(settings + frame(1, end_headers, 1, status_200)), "no gRPC");
  const std::string web =
      frame(1, end_headers, 1, status_200 + literal("content-type", "application/grpc-web+proto"));
  EXPECT_EQ(verdict_of(settings + web), "no gRPC");
  EXPECT_EQ(verdict_of("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "no HTTP/2");
  EXPECT_EQ(verdict_of(settings + frame(3, 0, 1, "\0\0\0\7"s)), "stream closed with error 7");
}

TEST(GrpcHealth, AMalformedMessageFails) {
  for (const std::string& body :
       {""s, "\0\0\0"s, "\1\0\0\0\2\x08\x01"s, "\0\0\0\0\3\x08\x01"s, serving + serving, message("\x08"),
        message("\x08\xff"), message("\x0f\x01"), message("\x12\x05x"), message(std::string(11, '\xff')),
        message("\x02\x01")})
    EXPECT_EQ(serving_status(body), std::nullopt) << testing::PrintToString(body);
}

TEST(GrpcHealth, FieldsThatAreNotKnownArePassedOver) {
  EXPECT_EQ(serving_status(message("\x12\x02xy\x08\x01\x18\x05")), 1U);
  EXPECT_EQ(serving_status(message("\x11" + std::string(8, 'x') + "\x1d" + std::string(4, 'x') + "\x08\x01")),
            1U);
  EXPECT_EQ(serving_status(message("\x08\x02\x08\x01")), 1U);
}

TEST(GrpcHealth, AnEndlessBodyFails) {
  std::string bytes = settings + head;
  for (int i = 0; i < 100; ++i) bytes += data(std::string(100, 'x'));
  EXPECT_EQ(verdict_of(bytes), "response too large");
}

TEST(GrpcHealth, TheGenerationIsRead) {
  GrpcHealthAnswer answer;
  answer.take_head("200", {{"content-type", "application/grpc"}, {"remora-generation", "7"}});
  answer.take_data(serving);
  answer.take_trailers({{"grpc-status", "0"}});
  answer.end("");
  ASSERT_TRUE(answer.decided());
  EXPECT_EQ(answer.verdict()->generation, 7U);
}

}  // namespace
}  // namespace remora::test
