// What waits for the store while it is away, and what of it goes when there is too much.

#include "session/write_queue.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

class WriteQueueTest : public ::testing::Test {
 protected:
  static SessionKey key_of(unsigned n) {
    SessionKey key;
    for (std::size_t i = 0; i < 4; ++i) key.mac[i] = static_cast<std::uint8_t>(n >> (8 * i));
    return key;
  }
  static StoreJob job(unsigned n, Reason reason = Reason::none) {
    StoreJob j;
    j.key = key_of(n);
    j.record.binding.id.bytes[0] = static_cast<std::uint8_t>(n);
    j.record.reason = reason;
    return j;
  }
  static StoreJob end(unsigned n) {
    StoreJob j = job(n);
    j.record.ended = true;
    return j;
  }
  static StoreJob state(unsigned n, std::size_t bytes) {
    StoreJob j = job(n);
    j.save = StoreJob::Save{[](std::uint32_t, std::uint64_t) { return std::string(); }, bytes, 0};
    return j;
  }
  std::uint64_t dropped() const { return counts.dropped.load(); }
  /// All that waits, in the order in which it is told.
  std::vector<StoreJob> all() {
    std::vector<StoreJob> out;
    while (auto j = queue.take()) {
      queue.done(j->key);
      out.push_back(std::move(*j));
    }
    return out;
  }
  StoreCounts counts;
  WriteQueue queue{counts, {.jobs = 100, .ends = 50, .state_bytes = 1000}};
};

// A flood while the store is away dropped logouts: the newest went.
TEST_F(WriteQueueTest, AFloodOfNewSessionsDropsNoLogout) {
  for (unsigned n = 0; n < 1000; ++n) queue.put(job(n, Reason::new_));
  for (unsigned n = 2000; n < 2050; ++n) queue.put(end(n));
  EXPECT_EQ(dropped(), 900U);
  const auto told = all();
  ASSERT_EQ(told.size(), 150U);
  for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i].record.ended, i < 50) << i;
}

TEST_F(WriteQueueTest, ALogoutOfASessionThatWaitsAnywayIsKeptAndGoesFirst) {
  for (unsigned n = 0; n < 100; ++n) queue.put(job(n, Reason::new_));
  queue.put(end(70));
  EXPECT_EQ(dropped(), 0U);
  const auto first = queue.take();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->key, key_of(70));
  EXPECT_TRUE(first->record.ended);
}

TEST_F(WriteQueueTest, TheLeastValuableGoesFirst) {
  for (unsigned n = 0; n < 100; ++n) queue.put(n % 2 == 0 ? job(n) : job(n, Reason::new_));
  for (unsigned n = 100; n < 150; ++n) queue.put(job(n, Reason::failover));
  for (unsigned n = 200; n < 300; ++n) queue.put(job(n));  // nothing is worth less than these
  const auto told = all();
  ASSERT_EQ(told.size(), 100U);
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_EQ(to_string(told[i].record.reason), to_string(i < 50 ? Reason::failover : Reason::new_)) << i;
}

TEST_F(WriteQueueTest, OneJobPerSessionHoweverOftenItIsSaid) {
  for (int i = 0; i < 1000; ++i) queue.put(job(1));
  EXPECT_EQ(queue.size(), 1U);
  queue.put(state(1, 10));
  queue.put(job(1));
  const auto told = all();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told.front().save) << "a state is not lost under a later word";
  EXPECT_EQ(counts.waiting.load(), 0U);
}

TEST_F(WriteQueueTest, StatesThatGrowInPlaceStayWithinTheirBytes) {
  for (unsigned n = 0; n < 10; ++n) queue.put(state(n, 1));
  for (unsigned n = 0; n < 10; ++n) queue.put(state(n, 400));
  std::size_t bytes = 0;
  for (const StoreJob& j : all()) bytes += j.save ? j.save->bytes : 0;
  EXPECT_LE(bytes, 1000U);
  EXPECT_GE(bytes, 800U);
}

TEST_F(WriteQueueTest, ASessionThatIsBeingToldOfWaits) {
  queue.put(job(1));
  queue.put(job(2));
  const auto one = queue.take();
  ASSERT_TRUE(one);
  queue.put(end(1));
  const auto two = queue.take();
  ASSERT_TRUE(two);
  EXPECT_EQ(two->key, key_of(2));
  EXPECT_FALSE(queue.take());
  queue.put_back(*one);  // it failed; the end that came meanwhile stands
  queue.done(key_of(1));
  const auto again = queue.take();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->record.ended);
}

// While the store is away a late answer must not take the place of a logout that waits.
TEST_F(WriteQueueTest, ADeletionThatWaitsIsNotOverwrittenByAnOlderRequest) {
  const auto at = [](int ms) { return Clock::Wall(std::chrono::milliseconds(2'000'000 + ms)); };
  const auto said = [&](unsigned n, bool deletes, int sent, int when) {
    StoreJob j = state(n, deletes ? 0 : 10);
    j.save->deletes = deletes;
    j.save->times = {at(sent), at(when)};
    return j;
  };
  queue.put(said(1, true, 20, 50));
  queue.put(said(1, false, 0, 60));  // begun before
  queue.put(said(2, true, 20, 50));
  queue.put(said(2, false, 55, 60));  // begun after
  queue.put(said(3, true, 20, 50));
  queue.put(job(3));  // says nothing of the state
  const auto told = all();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_TRUE(told[0].save->deletes);
  EXPECT_FALSE(told[1].save->deletes);
  EXPECT_TRUE(told[2].save->deletes);
}

TEST_F(WriteQueueTest, TheBindingOfTheLaterEpochStandsWhicheverWasPutFirst) {
  for (const bool late_first : {false, true}) {
    StoreJob before = job(1), after = job(1);
    before.record.binding.epoch = 1;
    before.record.binding.backend = 11;
    after.record.binding.epoch = 2;
    after.record.binding.backend = 22;
    queue.put(late_first ? after : before);
    queue.put(late_first ? before : after);
    const auto told = all();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told.front().record.binding.backend, 22U);
  }
}

// The end was lost if the session had moved meanwhile, and the store went on to know the session as alive.
TEST_F(WriteQueueTest, AnEndStandsWhateverEpochItsWriterKnew) {
  for (const bool end_first : {false, true}) {
    StoreJob over = end(1), use = job(1);
    over.record.binding.epoch = 1;
    use.record.binding.epoch = 2;
    queue.put(end_first ? over : use);
    queue.put(end_first ? use : over);
    const auto told = all();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_TRUE(told.front().record.ended);
    EXPECT_EQ(told.front().record.binding.epoch, 2U);
  }
}

TEST_F(WriteQueueTest, AnEndOfAnotherSessionUnderTheSameNameEndsNothing) {
  StoreJob other = end(1), use = job(1);
  other.record.binding.id.bytes.fill(9);
  queue.put(other);
  queue.put(use);
  const auto told = all();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_FALSE(told.front().record.ended);
}

TEST_F(WriteQueueTest, TheSessionThatFollowsAnEndedOneStandsWhateverIsSaidOfThatLater) {
  StoreJob over = end(1), next = job(1, Reason::new_), late = job(1);
  over.record.binding.epoch = late.record.binding.epoch = 3;
  next.record.binding.id.bytes.fill(9);
  queue.put(over);
  queue.put(next);
  queue.put(late);
  queue.put(over);
  const auto told = all();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told.front().record.binding.id, next.record.binding.id);
  EXPECT_FALSE(told.front().record.ended);
  ASSERT_EQ(told.front().over.size(), 1U);
  EXPECT_EQ(told.front().over.front(), over.record.binding.id);
}

TEST_F(WriteQueueTest, OneStateThatIsLargerThanTheRoomIsNotKeptButItsBindingIs) {
  queue.put(state(1, 1001));
  EXPECT_EQ(counts.states[static_cast<std::size_t>(StateEvent::unsaved)], 1U);
  const auto told = all();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_FALSE(told.front().save);
  EXPECT_EQ(dropped(), 0U);
}

TEST_F(WriteQueueTest, AnEndThatFindsNoRoomAmongTheEndsKeepsItsPlace) {
  for (unsigned n = 0; n < 50; ++n) queue.put(end(n));
  queue.put(job(100));
  queue.put(end(100));
  queue.put(end(101));
  EXPECT_EQ(dropped(), 1U);
  const auto told = all();
  ASSERT_EQ(told.size(), 51U);
  EXPECT_TRUE(told.back().record.ended);
  EXPECT_EQ(told.back().key, key_of(100));
}

}  // namespace
}  // namespace remora
