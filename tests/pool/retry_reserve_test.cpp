// The reserve of a retry budget: so many a second however few requests are in flight. By a manual clock.

#include <gtest/gtest.h>

#include "pool/pool_view.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

TEST(RetryReserve, TenAtOnceThenTenASecond) {
  TokenBucket reserve(10);
  Clock::Steady now{1000h};
  int taken = 0;
  for (int i = 0; i < 50; ++i) taken += reserve.take(now);
  EXPECT_EQ(taken, 10);
  for (int i = 0; i < 100; ++i) taken += reserve.take(now += 10ms);
  EXPECT_EQ(taken, 20);
  now += 1h;  // nobody saves up for more than a second
  for (int i = 0; i < 50; ++i) taken += reserve.take(now);
  EXPECT_EQ(taken, 30);
}

}  // namespace
}  // namespace remora
