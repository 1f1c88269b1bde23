// Who hears that a doubt was settled.

#include "proxy/doubters.h"

#include <gtest/gtest.h>

#include "net/loop.h"

namespace remora {
namespace {

TEST(Doubters, HearOfTheirOwnBackendOnce) {
  Loop loop;
  Wake first(loop.wheel), second(loop.wheel), third(loop.wheel);
  Doubters doubters;
  Doubter a(first), b(second), c(third);
  const Backend one("p", "one"), two("p", "two");
  doubters.add(a, one);
  doubters.add(b, two);
  doubters.add(c, one);
  c.leave();
  doubters.settled(one);
  EXPECT_EQ(first.take(), Wake::verdict);
  EXPECT_EQ(second.take(), 0U);
  EXPECT_EQ(third.take(), 0U);
  EXPECT_FALSE(a.waits());
  EXPECT_TRUE(b.waits());
  doubters.settled(one);
  EXPECT_EQ(first.take(), 0U);
}

TEST(Doubters, MayDoubtAgainOrGoWhileOthersHear) {
  Loop loop;
  Wake first(loop.wheel), second(loop.wheel);
  Doubters doubters;
  const Backend backend("p", "b");
  Doubter a(first);
  auto b = std::make_unique<Doubter>(second);
  int heard = 0;
  doubters.add(a, backend);
  doubters.add(*b, backend);
  first.call([&](unsigned) {
    ++heard;
    b.reset();
    doubters.add(a, backend);
  });
  doubters.settled(backend);
  EXPECT_EQ(heard, 1);
  EXPECT_TRUE(a.waits());
  EXPECT_EQ(second.take(), 0U);
}

}  // namespace
}  // namespace remora
