// Counting sessions may cost a twentieth of the time, not more: by a clock on which a count takes what the
// test says.

#include "admin/session_counter.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using namespace std::chrono_literals;

/// Each look at it takes a while.
class SlowClock final : public Clock {
 public:
  Steady steady_now() const noexcept override { return now += each; }
  Wall wall_now() const noexcept override { return Wall(500'000h); }
  std::chrono::milliseconds each{0};
  mutable Steady now{1000h};
};

class SessionCounterTest : public ::testing::Test {
 protected:
  void bind(std::uint8_t session) {
    SessionKey key;
    key.mac.fill(session);
    Binding b;
    b.id.bytes.fill(session);
    b.backend = 7;
    b.epoch = 1;
    b.created = b.last_seen = clock.wall_now();
    memory.learned.bind(key, b, 3, lifetimes, clock_reading());
  }
  ClockReading clock_reading() const { return {clock.now, clock.wall_now()}; }
  std::uint64_t count() {
    counter.refresh(clock_reading());
    return counter.at(3, 7).all();
  }
  config::Session lifetimes;
  SessionMemory memory{1000};
  SlowClock clock;
  SessionCounter counter{memory, clock};
};

TEST_F(SessionCounterTest, CountsSessionsByPoolAndBackend) {
  bind(1);
  bind(2);
  EXPECT_EQ(count(), 2U);
  EXPECT_EQ(counter.in_pool(3), 2U);
  EXPECT_EQ(counter.in_pool(4), 0U);
  EXPECT_EQ(counter.at(3, 8).all(), 0U);
}

TEST_F(SessionCounterTest, WhatCostNothingIsCountedEachTime) {
  EXPECT_EQ(count(), 0U);
  bind(1);
  EXPECT_EQ(count(), 1U);
}

TEST_F(SessionCounterTest, ACountStandsForTwentyTimesWhatItCost) {
  clock.each = 10ms;
  const Clock::Steady from = clock.now;
  bind(1);
  EXPECT_EQ(count(), 1U);
  bind(2);
  clock.each = 0ms;
  clock.now = from + 199ms;
  EXPECT_EQ(count(), 1U);
  clock.now = from + 200ms;
  EXPECT_EQ(count(), 2U);
}

}  // namespace
}  // namespace remora
