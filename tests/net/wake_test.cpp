// Deadlines and Wake on a real loop: order, putting off, taking back. Times are short and only bounded from
// below.

#include "net/wake.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "net/loop.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct Entry final : DeadlineEntry {
  std::function<void()> f;
  void expired() override { f(); }
};

TEST(DeadlineWheel, FiresInOrderAndNeverEarly) {
  Loop loop;
  const auto start = steady_clock::now();
  std::vector<int> order;
  Entry a, b, c;
  const auto fire = [&](int n, std::chrono::milliseconds due) {
    return [&, n, due] {
      EXPECT_GE(steady_clock::now() - start, due);
      order.push_back(n);
      if (order.size() == 3) loop.wheel.stop();
    };
  };
  a.f = fire(1, 30ms);
  b.f = fire(2, 60ms);
  c.f = fire(3, 150ms);
  c.arm(loop.wheel, start + 150ms);
  a.arm(loop.wheel, start + 30ms);
  b.arm(loop.wheel, start + 60ms);
  loop.ctx.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(DeadlineWheel, ADeadlinePutOffFiresOnceAtItsNewTime) {
  Loop loop;
  const auto start = steady_clock::now();
  int fired = 0;
  Entry a;
  a.f = [&] {
    ++fired;
    EXPECT_GE(steady_clock::now() - start, 120ms);
  };
  a.arm(loop.wheel, start + 20ms);
  a.arm(loop.wheel, start + 120ms);
  loop.ctx.run();  // ends by itself: an empty wheel does not tick
  EXPECT_EQ(fired, 1);
}

TEST(DeadlineWheel, DisarmedAndDestroyedEntriesAreForgotten) {
  Loop loop;
  Entry a;
  a.f = [] { ADD_FAILURE(); };
  a.arm(loop.wheel, steady_clock::now() + 20ms);
  a.disarm();
  {
    Entry b;
    b.f = [] { ADD_FAILURE(); };
    b.arm(loop.wheel, steady_clock::now() + 20ms);
  }
  loop.ctx.run();
}

TEST(DeadlineWheel, AnEntryMayDestroyAnother) {
  Loop loop;
  auto victim = std::make_unique<Entry>();
  victim->f = [] { ADD_FAILURE(); };
  Entry killer;
  killer.f = [&] { victim.reset(); };
  const auto at = steady_clock::now() + 20ms;
  victim->arm(loop.wheel, at);
  killer.arm(loop.wheel, at);  // linked before the victim in the same slot
  loop.ctx.run();
}

Task<void> collect(Wake& wake, std::vector<unsigned>& got, int n) {
  while (n-- > 0) {
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    got.push_back(bits);
  }
}

TEST(Wake, BitsSetWhileNobodyWaitsAreKept) {
  Loop loop;
  Wake wake(loop.wheel);
  std::vector<unsigned> got;
  wake.set(Wake::client);
  wake.set(Wake::backend);
  asio::co_spawn(loop.ctx.get_executor(), collect(wake, got, 2), asio::detached);
  asio::post(loop.ctx, [&] { wake.set(Wake::stop); });
  loop.ctx.run();
  EXPECT_EQ(got, (std::vector<unsigned>{Wake::client | Wake::backend, Wake::stop}));
}

TEST(Wake, TheDeadlineIsABit) {
  Loop loop;
  Wake wake(loop.wheel);
  std::vector<unsigned> got;
  wake.until(steady_clock::now() + 20ms);
  asio::co_spawn(loop.ctx.get_executor(), collect(wake, got, 1), asio::detached);
  loop.ctx.run();
  EXPECT_EQ(got, (std::vector<unsigned>{Wake::deadline}));
}

TEST(BufferPool, LendsOneSizeForHeadsAndOneForBodiesAndWhateverElseIsAsked) {
  Loop loop;
  EXPECT_EQ(loop.buffers.take(100).size(), BufferPool::small);
  EXPECT_EQ(loop.buffers.take(40'000).size(), BufferPool::large);
  EXPECT_GE(loop.buffers.take(100'000).size(), 100'000U);
}

TEST(BufferPool, TheLastGivenBackIsTheFirstLent) {
  Loop loop;
  Buffer a = loop.buffers.take(1), b = loop.buffers.take(1);
  const char* const last = b.data();
  a.reset();
  b.reset();
  EXPECT_EQ(loop.buffers.take(1).data(), last);
}

TEST(BufferPool, GivesBackToTheKernelWhatWasNotNeededForASecond) {
  Loop loop;
  std::vector<Buffer> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(loop.buffers.take(1));
    many.back().data()[0] = 'x';
  }
  many.clear();
  EXPECT_EQ(loop.buffers.idle_bytes(), 1000 * BufferPool::small);  // the next burst needs them again
  loop.ctx.run();  // ends by itself, when nothing is left to give back
  EXPECT_EQ(loop.buffers.idle_bytes(), 64 * BufferPool::small);
}

TEST(BufferPool, KeepsWhatIsNeededAgainAndAgain) {
  Loop loop;
  const auto burst = [&] {
    std::vector<Buffer> many;
    for (int i = 0; i < 200; ++i) many.push_back(loop.buffers.take(1));
  };
  int bursts = 0;
  std::size_t least = 1'000 * BufferPool::small;
  Entry again;
  again.f = [&] {
    burst();
    least = std::min(least, loop.buffers.idle_bytes());
    if (++bursts < 5) again.arm(loop.wheel, steady_clock::now() + 300ms);
  };
  again.f();
  loop.ctx.run();
  EXPECT_EQ(least, 200 * BufferPool::small);
  EXPECT_EQ(loop.buffers.idle_bytes(), 64 * BufferPool::small);
}

}  // namespace
}  // namespace remora
