// When open streams end with a drain: evenly, within the spread, and only while their backend drains.

#include "proxy/open_streams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "net/loop.h"
#include "proxy/drain_times.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

constexpr Clock::Steady start{1000h};

TEST(DrainTimes, AreEvenAndWithinTheSpread) {
  for (const std::size_t all : {1UL, 2UL, 60UL, 1000UL})
    for (unsigned worker = 0; worker < 16; ++worker) {
      const double shift = spread_fraction(worker);
      Clock::Steady last = start;
      for (std::size_t nth = 0; nth < all; ++nth) {
        const Clock::Steady at = drain_time(start, 10s, nth, all, shift);
        EXPECT_GE(at, start);
        EXPECT_LT(at, start + 10s);
        if (nth > 0) {
          EXPECT_NEAR(static_cast<double>((at - last).count()), 1e10 / static_cast<double>(all), 10);
        }
        last = at;
      }
    }
}

TEST(DrainTimes, OfManyWorkersDoNotCoincide) {
  std::vector<Clock::Steady> times;
  for (unsigned worker = 0; worker < 8; ++worker)
    for (std::size_t nth = 0; nth < 2; ++nth)
      times.push_back(drain_time(start, 16s, nth, 2, spread_fraction(worker)));
  std::sort(times.begin(), times.end());
  for (std::size_t i = 1; i < times.size(); ++i) {
    EXPECT_GT(times[i] - times[i - 1], 400ms) << "sixteen in sixteen seconds";
    EXPECT_LT(times[i] - times[i - 1], 2s);
  }
}

class OpenStreamsTest : public ::testing::Test {
 protected:
  struct One {
    explicit One(Loop& loop) : wake(loop.wheel), stream(wake) {}
    EventFlags wake;
    OpenStream stream;
  };
  One& open(const Backend& of, Clock::Steady counts_from = start, Clock::Steady now = start) {
    One& one = all.emplace_back(loop);
    streams.add(one.stream, of, counts_from, now);
    return one;
  }
  void follow(std::vector<OpenStreams::Ending> endings, Clock::Steady now = start) {
    streams.follow(std::move(endings), living, now);
  }
  /// When it ends; max(): never.
  static Clock::Steady end_of(const One& one) { return one.stream.next_change(start - 1h); }

  Loop loop;
  const Backend a{"app", "a"}, b{"app", "b"};
  std::vector<const Backend*> living{&a, &b};
  std::deque<One> all;
  OpenStreams streams{0};
};

TEST_F(OpenStreamsTest, OfADrainingBackendEndTheOldestFirst) {
  for (int i = 0; i < 10; ++i) open(i % 2 == 0 ? a : b);
  follow({{&a, 10s}});
  Clock::Steady last = start;
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(all[i].wake.take(), i % 2 == 0 ? EventFlags::snapshot : 0U);
    if (i % 2 != 0) {
      EXPECT_EQ(end_of(all[i]), Clock::Steady::max());
      continue;
    }
    EXPECT_GT(end_of(all[i]), last);
    EXPECT_LT(end_of(all[i]), start + 10s);
    last = end_of(all[i]);
  }
}

TEST_F(OpenStreamsTest, KeepTheirTimesWhileNothingChanges) {
  One& one = open(a);
  follow({{&a, 10s}});
  const Clock::Steady ends = end_of(one);
  one.wake.take();
  follow({{&a, 10s}}, start + 5s);
  EXPECT_EQ(end_of(one), ends);
  EXPECT_EQ(one.wake.take(), 0U);
  follow({{&b, 10s}, {&a, 10s}}, start + 6s);  // another backend drains too
  EXPECT_EQ(end_of(one), ends);
  EXPECT_EQ(one.wake.take(), 0U);
}

TEST_F(OpenStreamsTest, StayIfTheDrainIsCalledOff) {
  One& one = open(a);
  follow({{&a, 10s}});
  follow({}, start + 1s);
  EXPECT_EQ(end_of(one), Clock::Steady::max());
  EXPECT_FALSE(one.stream.is_over(true, start + 1h));
  EXPECT_EQ(end_of(open(a)), Clock::Steady::max());
  follow({{&a, 10s}}, start + 1h);  // it drains again: the spread begins anew
  EXPECT_GT(end_of(one), start + 1h);
}

TEST_F(OpenStreamsTest, GoOnEndingIfTheirBackendLeavesTheFileMeanwhile) {
  One& one = open(a);
  follow({{&a, 10s}});
  const Clock::Steady ends = end_of(one);
  living = {&b};
  follow({}, start + 1s);
  EXPECT_EQ(end_of(one), ends);
}

TEST_F(OpenStreamsTest, ThatMayBeOrdinaryRequestsHaveTheirTime) {
  One& young = open(a, start + 60s);
  One& old = open(a, start - 60s);
  follow({{&a, 10s}});
  EXPECT_EQ(end_of(young), start + 60s);
  EXPECT_LT(end_of(old), start + 10s);
}

TEST_F(OpenStreamsTest, ThatOpenTooLateHaveASpreadOfTheirOwn) {
  follow({{&a, 10s}});
  std::vector<Clock::Steady> ends;
  for (int i = 0; i < 50; ++i) ends.push_back(end_of(open(a, start + 20s, start + 20s)));
  std::sort(ends.begin(), ends.end());
  EXPECT_GE(ends.front(), start + 20s);
  EXPECT_LT(ends.back(), start + 30s);
  for (std::size_t i = 1; i < ends.size(); ++i) EXPECT_LT(ends[i] - ends[i - 1], 600ms);
}

TEST_F(OpenStreamsTest, InTheMiddleOfAMessageHaveASecondMore) {
  One& one = open(a);
  follow({{&a, 10s}});
  const Clock::Steady at = end_of(one);
  EXPECT_FALSE(one.stream.is_over(true, at - 1ms));
  EXPECT_TRUE(one.stream.is_over(true, at));
  EXPECT_FALSE(one.stream.is_over(false, at + 999ms));
  EXPECT_EQ(one.stream.next_change(at), at + 1s);
  EXPECT_TRUE(one.stream.is_over(false, at + 1s));
}

TEST_F(OpenStreamsTest, MayGoOrComeWhileOthersAreWoken) {
  EventFlags first(loop.wheel), second(loop.wheel), third(loop.wheel);
  OpenStream one(first), late(third);
  auto two = std::make_unique<OpenStream>(second);
  streams.add(one, a, start, start);
  streams.add(*two, a, start, start);
  first.call([&](unsigned) {
    two.reset();
    streams.add(late, a, start, start);
  });
  follow({{&a, 10s}});
  EXPECT_EQ(second.take(), 0U);
  EXPECT_LT(late.next_change(start - 1h), start + 10s);
  follow({});
  EXPECT_EQ(late.next_change(start), Clock::Steady::max());
}

}  // namespace
}  // namespace remora
