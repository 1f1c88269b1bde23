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

TEST(BufferPool, GivesBackToTheKernelWhatIsTooMuch) {
  BufferPool pool;
  std::vector<Buffer> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(pool.take(100));
    many.back().data()[0] = 'x';
    EXPECT_EQ(many.back().size(), BufferPool::small);
  }
  const Buffer large = pool.take(40'000), odd = pool.take(100'000);
  EXPECT_EQ(large.size(), BufferPool::large);
  EXPECT_GE(odd.size(), 100'000U);
  many.clear();
}

}  // namespace
}  // namespace remora
