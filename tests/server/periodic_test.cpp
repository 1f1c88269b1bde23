// What the control thread does by itself: housekeeping, and telling what is heard of the store.

#include <gtest/gtest.h>

#include <stdexcept>

#include "server/fakes.h"
#include "server/housekeeping.h"
#include "server/store_watch.h"

namespace remora {
namespace {

using namespace test;
using std::chrono::seconds;

class HousekeepingTest : public ::testing::Test {
 protected:
  HousekeepingTest() : housekeeping(clock, {memory, 16}, std::make_unique<HandAlarm>(alarm), tasks()) {}
  Housekeeping::Tasks tasks() {
    Housekeeping::Tasks t;
    t.recover = [this] { ++recovered; };
    t.unknown_keys = [this] {
      ++looked;
      return unknown;
    };
    t.every_second = [this] {
      ++rounds;
      if (throws) throw std::runtime_error("no memory");
    };
    return t;
  }
  HandClock clock;
  AlarmSetting alarm;
  SessionMemory memory{16};
  int recovered = 0, looked = 0, rounds = 0;
  std::uint64_t unknown = 0;
  bool throws = false;
  Housekeeping housekeeping;
};

TEST_F(HousekeepingTest, RunsAtOnceAndEverySecond) {
  housekeeping.start();
  EXPECT_EQ(rounds, 1);
  ASSERT_TRUE(alarm.at);
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(1));
  ring(alarm, clock);
  EXPECT_EQ(rounds, 2);
  housekeeping.stop();
  EXPECT_FALSE(alarm.at);
}

TEST_F(HousekeepingTest, GoesOnAfterARoundThatThrew) {
  throws = true;
  EXPECT_THROW(housekeeping.start(), std::runtime_error);
  throws = false;
  ASSERT_TRUE(ring(alarm, clock));
  EXPECT_EQ(rounds, 2);
}

TEST_F(HousekeepingTest, WhatAnExceptionCutShortIsRecoveredOnce) {
  housekeeping.start();
  EXPECT_EQ(recovered, 0);
  housekeeping.on_exception();
  ring(alarm, clock);
  ring(alarm, clock);
  EXPECT_EQ(recovered, 1);
}

TEST_F(HousekeepingTest, AfterALossHasBeenToldThereIsAPause) {
  unknown = 1;
  housekeeping.start();
  EXPECT_EQ(looked, 1);
  for (int i = 0; i < 29; ++i) ring(alarm, clock);
  EXPECT_EQ(looked, 1);
  ring(alarm, clock);
  EXPECT_EQ(looked, 2);
}

class StoreWatchTest : public ::testing::Test {
 protected:
  HandClock clock;
  boost::asio::io_context ctx;
  EventHub events{ctx.get_executor()};
  SessionMemory memory{16};
  HeardEvents heard{events};
  StoreWatch watch{clock, memory, events};
};

TEST_F(StoreWatchTest, AStoreThatIsFineFromTheBeginningIsNoNews) {
  watch.heard(true, "");
  EXPECT_EQ(heard.count(), 0u);
  EXPECT_TRUE(memory.store.available);
}

TEST_F(StoreWatchTest, EachChangeIsTold) {
  watch.heard(false, "refused");
  EXPECT_EQ(heard.count(), 1u);
  EXPECT_TRUE(heard.last_has("refused"));
  EXPECT_FALSE(memory.store.available);
  watch.heard(true, "one node is away");
  EXPECT_EQ(heard.count(), 2u);
  watch.heard(true, "");
  EXPECT_EQ(heard.count(), 3u);
  EXPECT_TRUE(memory.store.available);
}

TEST_F(StoreWatchTest, AnotherReasonIsToldEverMoreSeldom) {
  watch.heard(false, "refused");
  watch.heard(false, "timed out");
  EXPECT_EQ(heard.count(), 1u) << "not within a second";
  clock.advance(seconds(1));
  watch.heard(false, "refused");
  EXPECT_EQ(heard.count(), 1u) << "that is known";
  watch.heard(false, "timed out");
  EXPECT_EQ(heard.count(), 2u);
  clock.advance(seconds(1));
  watch.heard(false, "refused");
  EXPECT_EQ(heard.count(), 2u) << "the pause has doubled";
  clock.advance(seconds(1));
  watch.heard(false, "refused");
  EXPECT_EQ(heard.count(), 3u);
}

}  // namespace
}  // namespace remora
