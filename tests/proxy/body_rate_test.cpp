#include "proxy/body_rate.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using namespace std::chrono_literals;

TEST(BodyRate, IsJudgedOnlyAfterTheGrace) {
  BodyRate rate;
  rate.received(1);
  rate.waited(30s);
  EXPECT_FALSE(rate.too_slow(240, 30s));
  rate.waited(1s);
  EXPECT_TRUE(rate.too_slow(240, 30s));
}

TEST(BodyRate, AByteBeforeEachPauseEndsIsTooSlow) {
  BodyRate rate;
  int bytes = 0;
  for (; bytes < 100 && !rate.too_slow(240, 30s); ++bytes) {
    rate.waited(29s);
    rate.received(1);
  }
  EXPECT_EQ(bytes, 2);
}

TEST(BodyRate, OnlyWaitingForTheClientCounts) {
  BodyRate rate;
  rate.received(1000);
  rate.waited(4s);
  EXPECT_FALSE(rate.too_slow(240, 1s));  // however long the backend took meanwhile
  rate.waited(1s);
  EXPECT_TRUE(rate.too_slow(240, 1s));
}

TEST(BodyRate, NoneIsNeverTooSlow) {
  BodyRate rate;
  rate.waited(1h);
  EXPECT_FALSE(rate.too_slow(0, 1s));
}

TEST(BodyRate, StartsAnewWithEachRequest) {
  BodyRate rate;
  rate.waited(1h);
  rate.clear();
  EXPECT_FALSE(rate.too_slow(240, 1s));
}

}  // namespace
}  // namespace remora
