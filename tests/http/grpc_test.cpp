// What a proxy knows of gRPC: its requests, deadlines and statuses.

#include "http/grpc.h"

#include <gtest/gtest.h>

#include "http/reason.h"

namespace remora {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

TEST(Grpc, IsToldByItsContentType) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc+json",
                           "Application/GRPC", "application/grpc;charset=utf-8"})
    EXPECT_TRUE(is_grpc_type(type)) << type;
  for (const char* type : {"", "application/grpc-web", "application/grpc-web+proto", "application/grpcx",
                           "application/json", "text/plain, application/grpc"})
    EXPECT_FALSE(is_grpc_type(type)) << type;
}

/// gRPC-Web, and a GET that names gRPC by mistake, get replies of plain HTTP.
TEST(Grpc, ACallIsAPostOfThatType) {
  RequestHead head;
  head.method_text = "POST";
  EXPECT_FALSE(is_grpc_request(head));
  head.fields.push_back({"content-type", "application/grpc+proto", Known::content_type});
  EXPECT_TRUE(is_grpc_request(head));
  head.method_text = "GET";
  EXPECT_FALSE(is_grpc_request(head));
}

RequestHead with_timeouts(std::initializer_list<std::string_view> values) {
  RequestHead head;
  head.fields.push_back({"te", "trailers", Known::te});
  for (const auto value : values) head.fields.push_back({"Grpc-Timeout", value});
  return head;
}
nanoseconds timeout(std::string_view value) {
  const GrpcTimeout read = read_grpc_timeout(with_timeouts({value}));
  EXPECT_FALSE(read.malformed) << value;
  return read.value.value_or(nanoseconds(-1));
}

TEST(GrpcTimeout, HasUpToEightDigitsAndAUnit) {
  EXPECT_EQ(timeout("1n"), 1ns);
  EXPECT_EQ(timeout("20u"), 20us);
  EXPECT_EQ(timeout("300m"), 300ms);
  EXPECT_EQ(timeout("10S"), 10s);
  EXPECT_EQ(timeout("2M"), 2min);
  EXPECT_EQ(timeout("3H"), 3h);
  EXPECT_EQ(timeout("99999999S"), 99'999'999s);
  EXPECT_EQ(timeout("00000001S"), 1s);
  EXPECT_EQ(timeout("0n"), 0ns);
}

TEST(GrpcTimeout, BeyondNanosecondsIsTheLongestThereIs) {
  EXPECT_EQ(timeout("99999999H"), nanoseconds::max());
}

TEST(GrpcTimeout, AnythingElseIsMalformed) {
  for (const char* value :
       {"", "1", "S", "1s", "1 S", "-1S", "+1S", "1.5S", "123456789S", "1SS", "S1", "0x1S"}) {
    const GrpcTimeout read = read_grpc_timeout(with_timeouts({value}));
    EXPECT_TRUE(read.malformed) << value;
  }
  EXPECT_TRUE(read_grpc_timeout(with_timeouts({"1S", "1S"})).malformed);
  EXPECT_TRUE(read_grpc_timeout(with_timeouts({"x", "1S"})).malformed);
}

TEST(GrpcTimeout, NoFieldIsNoDeadline) {
  const GrpcTimeout read = read_grpc_timeout(with_timeouts({}));
  EXPECT_FALSE(read.malformed);
  EXPECT_FALSE(read.value.has_value());
}

std::string written(nanoseconds rest) {
  std::string out;
  append_grpc_timeout(rest, out);
  return out;
}

TEST(GrpcTimeout, IsWrittenInTheSmallestUnitThatFits) {
  EXPECT_EQ(written(0ns), "0n");
  EXPECT_EQ(written(-5s), "0n");
  EXPECT_EQ(written(99'999'999ns), "99999999n");
  EXPECT_EQ(written(100'000'999ns), "100000u");
  EXPECT_EQ(written(9999ms), "9999000u");
  EXPECT_EQ(written(10min), "600000m");
  EXPECT_EQ(written(99'999'999s), "99999999S");
  EXPECT_EQ(written(nanoseconds::max()), "2562047H");
}

TEST(GrpcTimeout, ReadsBackAsWrittenOrLess) {
  for (const nanoseconds rest :
       {nanoseconds(1), nanoseconds(123'456'789), nanoseconds(61s), nanoseconds(30h)}) {
    const nanoseconds back = timeout(written(rest));
    EXPECT_LE(back, rest);
    EXPECT_GE(back, rest - rest / 1000);
  }
}

TEST(GrpcStatusOfReplies, FollowsTheHttpStatus) {
  const std::pair<std::uint16_t, std::string_view> table[] = {
      {400, "13"}, {401, "16"}, {403, "7"},  {404, "12"}, {413, "8"}, {429, "8"}, {431, "8"},
      {502, "14"}, {503, "14"}, {504, "14"}, {500, "2"},  {408, "2"}, {421, "2"}, {301, "2"}};
  for (const auto& [http, grpc] : table) EXPECT_EQ(number_of(grpc_status_for(http)), grpc) << http;
}

/// grpc-message is percent-encoded, and reason phrases hold nothing to encode.
TEST(GrpcStatusOfReplies, ReasonPhrasesNeedNoEncoding) {
  for (std::uint16_t status = 300; status < 600; ++status)
    for (const char c : reason_phrase(status)) EXPECT_TRUE(c >= ' ' && c <= '~' && c != '%') << status;
}

TEST(GrpcUnavailable, IsAResponseWithoutABodyThatSaysSo) {
  ResponseHead head;
  head.status = 200;
  head.body = {BodyLength::Kind::known, 0};
  EXPECT_FALSE(is_grpc_unavailable(head));
  head.fields.push_back({"grpc-status", "14"});
  EXPECT_TRUE(is_grpc_unavailable(head));
  head.body = {BodyLength::Kind::unknown, 0};
  EXPECT_FALSE(is_grpc_unavailable(head));
  head.body = {BodyLength::Kind::known, 0};
  head.fields.back().value = "4";
  EXPECT_FALSE(is_grpc_unavailable(head));
}

}  // namespace
}  // namespace remora
