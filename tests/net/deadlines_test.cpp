// The timing wheel, by a manual clock; and once by its own timer.

#include "net/deadlines.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "support/failing_memory.h"
#include "support/manual_loop.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

struct Entry final : DeadlineEntry {
  std::function<void()> f;
  void expired() override { f(); }
};

class Wheel : public ::testing::Test {
 protected:
  /// Notes when it expired, in milliseconds since the beginning.
  void arm(Entry& entry, milliseconds at) {
    entry.f = [this] { fired.push_back(std::chrono::duration_cast<milliseconds>(loop.now() - start)); };
    entry.arm(loop.wheel, start + at);
  }
  test::ManualLoop loop;
  const Clock::Steady start = loop.now();
  std::vector<milliseconds> fired;
};

TEST_F(Wheel, EntriesExpireInOrderNeverEarlyAndWithinATick) {
  Entry a, b, c, d;
  arm(d, 150ms);
  arm(a, 30ms);
  arm(c, 60ms);
  arm(b, 31ms);
  loop.advance(200ms);
  EXPECT_EQ(fired, (std::vector{30ms, 40ms, 60ms, 150ms}));
}

TEST_F(Wheel, ADeadlinePutOffExpiresOnceAtItsNewTime) {
  Entry a;
  arm(a, 20ms);
  arm(a, 120ms);
  loop.advance(500ms);
  EXPECT_EQ(fired, std::vector{120ms});
}

TEST_F(Wheel, ADeadlineBroughtForwardExpiresOnceAtItsNewTime) {
  Entry a;
  arm(a, 5s);
  arm(a, 20ms);
  loop.advance(10s);
  EXPECT_EQ(fired, std::vector{20ms});
}

TEST_F(Wheel, OneThatIsDueAlreadyExpiresWithTheNextTick) {
  loop.advance(1s);
  Entry a;
  arm(a, 0ms);
  EXPECT_TRUE(fired.empty());
  loop.advance(1s);
  EXPECT_EQ(fired, std::vector{1010ms});
}

TEST_F(Wheel, DisarmedAndDestroyedEntriesAreForgotten) {
  Entry a;
  arm(a, 20ms);
  a.disarm();
  {
    Entry b;
    arm(b, 20ms);
  }
  loop.advance(1s);
  EXPECT_TRUE(fired.empty());
}

TEST_F(Wheel, AnEntryMayDestroyAnother) {
  auto victim = std::make_unique<Entry>();
  victim->f = [] { ADD_FAILURE(); };
  Entry killer;
  killer.f = [&] { victim.reset(); };
  victim->arm(loop.wheel, start + 20ms);
  killer.arm(loop.wheel, start + 20ms);  // before the victim in the same slot
  loop.advance(1s);
  EXPECT_FALSE(victim);
}

TEST_F(Wheel, DeadlinesBeyondOneTurnOfTheWheelAreOnTime) {
  Entry a, b, c;
  arm(a, 10240ms);
  arm(b, 25s);
  arm(c, 300s);
  loop.advance(301s);
  EXPECT_EQ(fired, (std::vector<milliseconds>{10240ms, 25s, 300s}));
}

TEST_F(Wheel, AfterALongSleepNewDeadlinesAreOnTime) {
  loop.jump(std::chrono::hours(5));
  Entry a;
  arm(a, std::chrono::hours(5) + 50ms);
  loop.advance(1s);
  EXPECT_EQ(fired, std::vector<milliseconds>{std::chrono::hours(5) + 50ms});
}

TEST_F(Wheel, ALateRunExpiresAllThatIsDue) {
  Entry a, b, c;
  arm(a, 20ms);
  arm(b, 10240ms);
  arm(c, 25s);
  loop.jump(20s);
  EXPECT_EQ(fired, (std::vector<milliseconds>{20s, 20s}));
  loop.advance(10s);
  EXPECT_EQ(fired.back(), 25s);
}

/// The turns that were still to be made counted twice, and the new deadline came that much later: up to 100
/// ms with ticks so far apart.
TEST_F(Wheel, OneThatArmsItselfAnewAsTheOnlyOneIsOnTimeThoughTheRunWasLate) {
  Entry a;
  a.f = [&] { arm(a, 130ms); };
  a.arm(loop.wheel, start + 10ms);
  loop.jump(100ms);
  loop.advance(1s);
  EXPECT_EQ(fired, std::vector{130ms});
}

TEST_F(Wheel, OneThatThrowsCostsNobodyElseTheirs) {
  Entry bad, good, later;
  arm(good, 20ms);
  bad.f = [] { throw std::bad_alloc(); };
  bad.arm(loop.wheel, start + 20ms);
  arm(later, 30ms);
  EXPECT_THROW(loop.advance(20ms), std::bad_alloc);
  EXPECT_EQ(fired, std::vector{20ms});
  loop.advance(1s);
  EXPECT_EQ(fired, (std::vector{20ms, 30ms}));
}

// When it wants to be run ---------------------------------------------------------------------------

/// Runs the wheel when it wants it, a moment late, as its timer does.
class WheelTicks : public ::testing::Test {
 protected:
  static constexpr std::chrono::microseconds clock_reading{60};
  void tick() {
    loop.manual_clock.advance(wheel.next_run() - loop.now() + clock_reading);
    wheel.run(loop.now());
    ++ticks;
  }
  /// How late a deadline after `limit` comes.
  Clock::Steady::duration lateness(milliseconds limit) {
    std::optional<Clock::Steady> fired;
    Entry a;
    a.f = [&] { fired = loop.now(); };
    const Clock::Steady due = loop.now() + limit;
    a.arm(wheel, due);
    ticks = 0;
    while (!fired && ticks < 10'000) tick();
    EXPECT_TRUE(fired);
    return fired.value_or(due) - due;
  }
  test::ManualLoop loop;
  DeadlineWheel& wheel = loop.wheel;
  int ticks = 0;
};

TEST_F(WheelTicks, NoneComeWhenNothingIsArmed) {
  EXPECT_EQ(wheel.next_run(), DeadlineWheel::never);
  lateness(50ms);
  EXPECT_EQ(wheel.next_run(), DeadlineWheel::never);
}

/// Ticks became slow at the deadline, and not behind the tick that it was rounded up to.
TEST_F(WheelTicks, ANearDeadlineIsLateByTwoTicksAtMost) {
  for (int phase = 0; phase < 50; ++phase)
    for (const auto limit : {0ms, 1ms, 9ms, 10ms, 11ms, 50ms, 85ms, 250ms, 899ms}) {
      loop.manual_clock.advance(777us);
      EXPECT_LE(lateness(limit), 2 * DeadlineWheel::tick + clock_reading)
          << limit.count() << " ms, " << phase;
    }
}

TEST_F(WheelTicks, AFarDeadlineCostsTenTicksASecondAndIsLateByATenthAtMost) {
  for (const milliseconds limit : {1000ms, 5000ms, 30000ms}) {
    EXPECT_LE(lateness(limit), 110ms + clock_reading);
    EXPECT_LE(ticks, limit / 100ms + 2);
  }
}

/// The one test of the timer that drives the wheel in earnest; in real time.
TEST(WheelTimer, RunsTheWheelWhileAnythingIsArmedAndNoLonger) {
  Loop loop;
  const Clock::Steady due = loop.clock.steady_now() + 30ms;
  Clock::Steady fired{};
  Entry a;
  a.f = [&] { fired = loop.clock.steady_now(); };
  a.arm(loop.wheel, due - 20ms);
  a.arm(loop.wheel, due);
  loop.ctx.run();  // ends by itself: an empty wheel does not tick
  EXPECT_GE(fired, due);
}

/// Starting the timer threw, and the wheel stood still for ever: it waited for a run that nobody would make.
TEST(WheelTimer, NeedsNoMemory) {
  if (!test::FailingMemory::works) GTEST_SKIP();
  Loop loop;
  const Clock::Steady start = loop.clock.steady_now();
  std::vector<int> fired;
  fired.reserve(2);
  Entry far, near;
  far.f = [&] { fired.push_back(2); };
  near.f = [&] { fired.push_back(1); };
  far.arm(loop.wheel, start + 950ms);  // so that ticks are far apart
  {
    const test::FailingMemory none;
    near.arm(loop.wheel, start + 5ms);
    while (fired.empty() && loop.ctx.run_one_for(5s) > 0) {
    }
  }
  far.disarm();
  EXPECT_EQ(fired, std::vector{1});
}

}  // namespace
}  // namespace remora
