// haproxy/haproxy #2196: a browser's first requests come on several connections at once.

#include "session/first_requests.h"

#include <gtest/gtest.h>

#include "session/lifecycle.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

class FirstOfAClient : public ::testing::Test {
 protected:
  FirstRequests first_;
  Clock::Steady now_{1000h};
};

TEST_F(FirstOfAClient, ShareABackendForASecond) {
  EXPECT_FALSE(first_.find(7, now_));
  EXPECT_EQ(first_.settle(7, 1, now_), 1U);
  EXPECT_EQ(first_.settle(7, 2, now_ + 10ms), 1U);  // of two at once the first decides
  EXPECT_EQ(first_.find(7, now_ + 999ms), 1U);
  EXPECT_FALSE(first_.find(8, now_));
  EXPECT_FALSE(first_.find(7, now_ + 1s));
  EXPECT_EQ(first_.settle(7, 2, now_ + 1s), 2U);
}

TEST_F(FirstOfAClient, ManyPeopleBehindOneAddressAreSpread) {
  first_.settle(7, 1, now_);
  for (std::uint32_t i = 1; i < FirstRequests::max_shared; ++i) EXPECT_EQ(first_.find(7, now_), 1U);
  EXPECT_FALSE(first_.find(7, now_));
  EXPECT_EQ(first_.settle(7, 2, now_), 2U);
}

TEST_F(FirstOfAClient, ABackendThatDidNotDoIsReplaced) {
  first_.settle(7, 1, now_);
  first_.replace(7, 2, now_);
  EXPECT_EQ(first_.find(7, now_), 2U);
}

TEST_F(FirstOfAClient, StrangersTakePlacesAndNothingGrows) {
  for (std::uint64_t i = 1; i < 100000; ++i) EXPECT_EQ(first_.settle(i * 0x9e3779b97f4a7c15ULL, i, now_), i);
}

TEST(Successor, IsTheSameForAllWhoAskAndAnotherLater) {
  SessionId expired;
  expired.bytes[3] = 9;
  const Clock::Wall now{std::chrono::minutes(10) * 2000000 + 1min};
  const SessionId next = successor(expired, now);
  EXPECT_EQ(next, successor(expired, now + 5s));
  EXPECT_FALSE(next == expired);
  EXPECT_FALSE(next == successor(expired, now + 10min));
  EXPECT_FALSE(next == successor(SessionId{}, now));
}

}  // namespace
}  // namespace remora
