// How a coroutine lets others run, also when there is no memory to post its continuation: that exception went
// to the event loop, and the coroutine was destroyed.

#include "proxy/turn.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <functional>
#include <string>

#include "support/failing_memory.h"
#include "support/manual_loop.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

class TurnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!FailingMemory::works) GTEST_SKIP();
  }
  void run(std::function<Task<void>()> body) {
    asio::co_spawn(loop.ctx.get_executor(), std::move(body), asio::detached);
    loop.settle();
  }
  /// Yields without memory to post.
  Task<void> yield_starved() {
    use_up_recycled(loop.ctx);
    const FailingMemory none;
    co_await turn.let_others_run();
    failures = none.failures();
    said += "c";
  }
  /// Waits although a bit is pending, without memory to post.
  Task<void> wait_starved(Clock::Steady until) {
    use_up_recycled(loop.ctx);
    turn.wake().set(EventFlags::client);
    const FailingMemory none;
    const bool late = co_await turn.wait(until);
    failures = none.failures();
    said += late ? "late" : "c";
  }
  ManualLoop loop;
  Turn turn{loop, loop.manual_clock};
  std::string said;
  std::size_t failures = 0;
};

TEST_F(TurnTest, AnEventDoesNotResumeOneThatYieldsBeforeTheOthersHaveRun) {
  const auto body = [this]() -> Task<void> {
    asio::post(loop.ctx, [this] {
      turn.wake().set(EventFlags::client);
      said += "o";
    });
    co_await turn.let_others_run();
    said += "c";
  };
  run(body);
  EXPECT_EQ(said, "oc");
  EXPECT_EQ(turn.wake().take(), static_cast<unsigned>(EventFlags::client));
}

TEST_F(TurnTest, WithoutMemoryToYieldItGoesOnWithTheNextTick) {
  run([this] { return yield_starved(); });
  EXPECT_EQ(said, "");
  loop.advance(20ms);
  EXPECT_EQ(said, "c");
  EXPECT_GE(failures, 1U);
}

TEST_F(TurnTest, WithoutMemoryToYieldAnEventResumesItToo) {
  run([this] { return yield_starved(); });
  turn.wake().set(EventFlags::client);
  EXPECT_EQ(said, "c");
}

TEST_F(TurnTest, WithoutMemoryAPendingEventIsNotTakenForTheDeadline) {
  const Clock::Steady until = loop.now() + 1s;
  run([this, until] { return wait_starved(until); });
  loop.advance(20ms);
  EXPECT_EQ(said, "c");
  EXPECT_GE(failures, 1U);
}

}  // namespace
}  // namespace remora::test
