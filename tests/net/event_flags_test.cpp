// EventFlags, and the buffers of a loop, by a manual clock.

#include "net/event_flags.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "support/manual_loop.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::ManualLoop;

Task<void> collect(EventFlags& wake, std::vector<unsigned>& got, int n) {
  while (n-- > 0) {
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    got.push_back(bits);
  }
}

TEST(EventFlags, BitsSetWhileNobodyWaitsAreKept) {
  ManualLoop loop;
  EventFlags wake(loop.wheel);
  std::vector<unsigned> got;
  wake.set(EventFlags::client);
  wake.set(EventFlags::backend);
  asio::co_spawn(loop.ctx.get_executor(), collect(wake, got, 2), asio::detached);
  asio::post(loop.ctx, [&] { wake.set(EventFlags::stop); });
  loop.settle();
  EXPECT_EQ(got, (std::vector<unsigned>{EventFlags::client | EventFlags::backend, EventFlags::stop}));
}

TEST(EventFlags, TheDeadlineIsABit) {
  ManualLoop loop;
  EventFlags wake(loop.wheel);
  std::vector<unsigned> got;
  wake.until(loop.now() + 20ms);
  asio::co_spawn(loop.ctx.get_executor(), collect(wake, got, 1), asio::detached);
  loop.advance(10ms);
  EXPECT_TRUE(got.empty());
  loop.advance(10ms);
  EXPECT_EQ(got, (std::vector<unsigned>{EventFlags::deadline}));
}

TEST(BufferPool, LendsOneSizeForHeadsAndOneForBodiesAndWhateverElseIsAsked) {
  ManualLoop loop;
  EXPECT_EQ(loop.buffers.take(100).size(), BufferPool::small);
  EXPECT_EQ(loop.buffers.take(40'000).size(), BufferPool::large);
  EXPECT_GE(loop.buffers.take(100'000).size(), 100'000U);
}

TEST(BufferPool, TheLastGivenBackIsTheFirstLent) {
  ManualLoop loop;
  Buffer a = loop.buffers.take(1), b = loop.buffers.take(1);
  const char* const last = b.data();
  a.reset();
  b.reset();
  EXPECT_EQ(loop.buffers.take(1).data(), last);
}

TEST(BufferPool, GivesBackToTheKernelWhatWasNotNeededForASecond) {
  ManualLoop loop;
  std::vector<Buffer> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(loop.buffers.take(1));
    many.back().data()[0] = 'x';
  }
  many.clear();
  loop.advance(1900ms);
  EXPECT_EQ(loop.buffers.idle_bytes(), 1000 * BufferPool::small);  // the next burst needs them again
  loop.advance(100ms);
  EXPECT_EQ(loop.buffers.idle_bytes(), 64 * BufferPool::small);
}

TEST(BufferPool, KeepsWhatIsNeededAgainAndAgain) {
  ManualLoop loop;
  const auto burst = [&] {
    std::vector<Buffer> many;
    for (int i = 0; i < 200; ++i) many.push_back(loop.buffers.take(1));
  };
  std::size_t least = 1'000 * BufferPool::small;
  for (int i = 0; i < 20; ++i) {
    burst();
    least = std::min(least, loop.buffers.idle_bytes());
    loop.advance(300ms);
  }
  EXPECT_EQ(least, 200 * BufferPool::small);
  loop.advance(3s);
  EXPECT_EQ(loop.buffers.idle_bytes(), 64 * BufferPool::small);
}

}  // namespace
}  // namespace remora
