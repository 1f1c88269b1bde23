#include "pool/permit.h"

#include <gtest/gtest.h>

#include "health/tracker.h"
#include "net/loop.h"
#include "pool/counted_retry.h"

namespace remora {
namespace {

TEST(PermitQueue, GrantsInOrderAcrossLoops) {
  Loop one, two;
  EventFlags a(one.wheel), b(two.wheel);
  const auto backend = make_backend("p", "b");
  ASSERT_TRUE(backend->queue->enter(*backend, 1));
  Permit place(backend, true);
  EXPECT_FALSE(backend->queue->enter(*backend, 1));
  const auto first = backend->queue->enqueue(*backend, 1, one.ctx, a);
  const auto second = backend->queue->enqueue(*backend, 1, two.ctx, b);
  EXPECT_FALSE(first->granted);
  place.free();
  one.ctx.run();
  EXPECT_TRUE(first->granted);
  EXPECT_FALSE(second->granted);
  EXPECT_EQ(backend->in_flight, 1U);  // handed over, never free in between
  EXPECT_EQ(a.take(), EventFlags::granted);
  Permit(backend, true).free();
  two.ctx.run();
  EXPECT_TRUE(second->granted);
  Permit(backend, true).free();
  EXPECT_EQ(backend->in_flight, 0U);
}

TEST(PermitQueue, AHigherLimitLetsInAsManyAsItAllows) {
  Loop loop;
  EventFlags a(loop.wheel), b(loop.wheel), c(loop.wheel);
  const auto backend = make_backend("p", "b");
  ASSERT_TRUE(backend->queue->enter(*backend, 1));
  const auto first = backend->queue->enqueue(*backend, 1, loop.ctx, a);
  const auto second = backend->queue->enqueue(*backend, 1, loop.ctx, b);
  const auto third = backend->queue->enqueue(*backend, 1, loop.ctx, c);
  backend->queue->admit(backend, 1);
  EXPECT_EQ(backend->in_flight, 1U);
  backend->queue->admit(backend, 2);
  EXPECT_EQ(backend->in_flight, 2U);
  backend->queue->admit(backend, 0);  // no limit any more
  EXPECT_EQ(backend->in_flight, 4U);
  loop.ctx.run();
  for (const auto& waiter : {first, second, third}) EXPECT_TRUE(waiter->granted);
  for (int i = 0; i < 4; ++i) Permit(backend, true).free();
  EXPECT_EQ(backend->in_flight, 0U);
}

TEST(PermitQueue, WhoLinesUpUnderAHigherLimitTakesThoseBeforeAlong) {
  Loop loop;
  EventFlags a(loop.wheel), b(loop.wheel);
  const auto backend = make_backend("p", "b");
  ASSERT_TRUE(backend->queue->enter(*backend, 1));
  QueuedPermit before(backend, 1, loop.ctx, a);
  QueuedPermit behind(backend, 3, loop.ctx, b);
  loop.ctx.run();
  EXPECT_TRUE(before.granted());
  EXPECT_TRUE(behind.granted());
  before.take().free();
  behind.take().free();
  Permit(backend, true).free();
  EXPECT_EQ(backend->in_flight, 0U);
}

TEST(PermitQueue, WhoGivesUpPassesThePlaceOn) {
  Loop loop;
  EventFlags a(loop.wheel), b(loop.wheel);
  const auto backend = make_backend("p", "b");
  ASSERT_TRUE(backend->queue->enter(*backend, 1));
  const auto gives_up = backend->queue->enqueue(*backend, 1, loop.ctx, a);
  const auto waits = backend->queue->enqueue(*backend, 1, loop.ctx, b);
  Permit(backend, true).free();  // the grant for `gives_up` is posted, not yet run
  backend->queue->give_up(backend, gives_up);
  loop.ctx.run();
  loop.ctx.restart();
  loop.ctx.run();
  EXPECT_TRUE(waits->granted);
  EXPECT_EQ(backend->in_flight, 1U);
  Permit(backend, true).free();
  EXPECT_EQ(backend->in_flight, 0U);
}

TEST(PermitQueue, WhoLeavesTheLineWithoutAWordGivesUpItsTurn) {
  Loop loop;
  EventFlags a(loop.wheel), b(loop.wheel);
  const auto backend = make_backend("p", "b");
  ASSERT_TRUE(backend->queue->enter(*backend, 1));
  auto leaves = std::make_unique<QueuedPermit>(backend, 1, loop.ctx, a);
  QueuedPermit waits(backend, 1, loop.ctx, b);
  Permit(backend, true).free();
  leaves.reset();  // by an exception, say; its grant is posted
  loop.ctx.run();
  ASSERT_TRUE(waits.granted());
  EXPECT_EQ(a.take(), 0U);
  waits.take().free();
  EXPECT_EQ(backend->in_flight, 0U);
}

TEST(PermitQueue, APlaceThatWasGrantedAndNotTakenGoesBack) {
  Loop loop;
  EventFlags a(loop.wheel);
  const auto backend = make_backend("p", "b");
  {
    QueuedPermit at_once(backend, 1, loop.ctx, a);
    EXPECT_TRUE(at_once.granted());
    EXPECT_EQ(backend->in_flight, 1U);
  }
  EXPECT_EQ(backend->in_flight, 0U);
}

TEST(CountedRetry, GivesItsCountBackOnceAndToItsOwnPool) {
  const auto one = std::make_shared<PoolCounters>(1), two = std::make_shared<PoolCounters>(1);
  {
    CountedRetry retry(one);
    EXPECT_EQ(one->retrying, 1U);
    CountedRetry moved(std::move(retry));
    retry = CountedRetry(two);
    moved = std::move(retry);
    EXPECT_EQ(one->retrying, 0U);
    EXPECT_EQ(two->retrying, 1U);
    moved.give_back();
    moved.give_back();
    EXPECT_EQ(two->retrying, 0U);
  }
  EXPECT_EQ(one->retrying, 0U);
  EXPECT_EQ(two->retrying, 0U);
}

TEST(HealthTracker, FlipsAfterRiseAndFallAndAtOnceFromUnknown) {
  HealthTracker t(2, 3, Health::unknown);
  EXPECT_EQ(t.observe(true, false), Health::up);
  EXPECT_EQ(t.observe(false, false), std::nullopt);
  EXPECT_EQ(t.observe(false, false), std::nullopt);
  EXPECT_EQ(t.observe(true, false), std::nullopt);  // the streak is broken
  EXPECT_EQ(t.observe(false, false), std::nullopt);
  EXPECT_EQ(t.observe(false, false), std::nullopt);
  EXPECT_TRUE(t.undecided());
  EXPECT_EQ(t.observe(false, false), Health::down);
  EXPECT_EQ(t.observe(true, false), std::nullopt);
  EXPECT_EQ(t.observe(true, false), Health::up);
  HealthTracker dead(2, 3, Health::down);
  EXPECT_EQ(dead.observe(true, true),
            Health::up);  // nobody else is in service: the first good probe is enough
  EXPECT_TRUE(dead.condemn());
  EXPECT_FALSE(dead.condemn());
  EXPECT_EQ(dead.observe(true, false), std::nullopt);
  EXPECT_EQ(dead.observe(true, false), Health::up);
}

}  // namespace
}  // namespace remora
