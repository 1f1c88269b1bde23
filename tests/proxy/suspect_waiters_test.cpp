// Who hears that a suspicion was settled.

#include "proxy/suspect_waiters.h"

#include <gtest/gtest.h>

#include "net/loop.h"

namespace remora {
namespace {

TEST(SuspectWaiters, HearOfTheirOwnBackendOnce) {
  Loop loop;
  EventFlags first(loop.wheel), second(loop.wheel), third(loop.wheel);
  SuspectWaiters suspect_waiters;
  SuspectWaiter a(first), b(second), c(third);
  const Backend one("p", "one"), two("p", "two");
  suspect_waiters.add(a, one);
  suspect_waiters.add(b, two);
  suspect_waiters.add(c, one);
  c.leave();
  suspect_waiters.settled(one);
  EXPECT_EQ(first.take(), EventFlags::verdict);
  EXPECT_EQ(second.take(), 0U);
  EXPECT_EQ(third.take(), 0U);
  EXPECT_FALSE(a.waits());
  EXPECT_TRUE(b.waits());
  suspect_waiters.settled(one);
  EXPECT_EQ(first.take(), 0U);
}

TEST(SuspectWaiters, MayDoubtAgainOrGoWhileOthersHear) {
  Loop loop;
  EventFlags first(loop.wheel), second(loop.wheel);
  SuspectWaiters suspect_waiters;
  const Backend backend("p", "b");
  SuspectWaiter a(first);
  auto b = std::make_unique<SuspectWaiter>(second);
  int heard = 0;
  suspect_waiters.add(a, backend);
  suspect_waiters.add(*b, backend);
  first.call([&](unsigned) {
    ++heard;
    b.reset();
    suspect_waiters.add(a, backend);
  });
  suspect_waiters.settled(backend);
  EXPECT_EQ(heard, 1);
  EXPECT_TRUE(a.waits());
  EXPECT_EQ(second.take(), 0U);
}

}  // namespace
}  // namespace remora
