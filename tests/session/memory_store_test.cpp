// The in-memory store: bounds, eviction, and what hot restart exports and restores.

#include "session/memory_store.h"

#include <gtest/gtest.h>

#include <map>

#include "session/memory.h"
#include "session/record.h"
#include "support/manual_clock.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

class MemoryStoreTest : public ::testing::Test {
 protected:
  Clock::Steady now() const { return clock.steady_now(); }
  bool put(const std::string& key, const std::string& value, std::chrono::milliseconds ttl = 1min,
           MemoryValues::Use use = {}) {
    const auto standing = values.get(key, now());
    const auto swapped = values.swap(key, standing ? standing->token : 0, value, ttl, now(), use);
    return swapped && swapped->done;
  }
  std::string read(const std::string& key) {
    const auto found = values.get(key, now());
    return found ? found->value : "(none)";
  }
  std::size_t count() {
    std::size_t n = 0;
    values.for_each([&](const std::string&, const std::string&, Clock::Steady, MemoryValues::Use) { ++n; });
    return n;
  }
  Record record_at(std::uint32_t epoch, std::uint64_t version = 0) const {
    Record r;
    r.binding.id.bytes.fill(1);
    r.binding.backend = 10 + epoch;
    r.binding.epoch = epoch;
    r.binding.created = r.binding.last_seen = Clock::Wall(1000s);
    if (version > 0) r.state = {epoch, version, {}, "state " + std::to_string(version)};
    return r;
  }
  static constexpr std::size_t bound = 16U * 10000;  // 10,000 bytes a shard
  test::ManualClock clock;
  MemoryValues values{bound};
};

TEST_F(MemoryStoreTest, AValueLargerThanItsShareIsRefusedAndTheOneThatStandsStays) {
  EXPECT_TRUE(put("k", "small"));
  EXPECT_FALSE(values.swap("k", values.get("k", now())->token, std::string(10000, 'x'), 1min, now()));
  EXPECT_EQ(read("k"), "small");
  EXPECT_TRUE(put("k", std::string(9000, 'x')));
}

TEST_F(MemoryStoreTest, StaysWithinItsBoundAndCountsWhatItDrops) {
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(put("key " + std::to_string(i), std::string(1000, 'x')));
  EXPECT_LE(values.bytes(), bound);
  EXPECT_EQ(values.evicted(), 1000 - count());
}

TEST_F(MemoryStoreTest, TheBytesOfADroppedValueAreFreeAgain) {
  EXPECT_EQ(values.bytes(), 0U);
  put("a", std::string(1000, 'x'), 1s);
  put("b", std::string(1000, 'x'), 2s);
  const std::size_t both = values.bytes();
  EXPECT_GT(both, 2000U);
  clock.advance(1s);
  EXPECT_EQ(read("a"), "(none)");
  EXPECT_EQ(values.bytes(), both / 2);
  clock.advance(1s);
  values.sweep(now());
  EXPECT_EQ(values.bytes(), 0U);
  EXPECT_EQ(values.evicted(), 0U);
}

TEST_F(MemoryStoreTest, ASweepKeepsWhatIsAlive) {
  put("short", "1", 1s);
  put("long", "2", 10s, {3, true});
  clock.advance(5s);
  values.sweep(now());
  EXPECT_EQ(count(), 1U);
  EXPECT_EQ(read("long"), "2");
}

TEST_F(MemoryStoreTest, AnUpdateKeepsTheSessionsPoolAndThatItsClientCameBack) {
  put("k", "1", 1min, {2, true});
  put("k", "2", 1min, {5, false});
  values.for_each([](const std::string&, const std::string& value, Clock::Steady, MemoryValues::Use use) {
    EXPECT_EQ(value, "2");
    EXPECT_EQ(use.pool, 2);
    EXPECT_TRUE(use.returning);
  });
}

TEST_F(MemoryStoreTest, ItsWatchHearsOfEveryWriteUntilItIsReplaced) {
  std::map<std::string, std::string> heard;
  const MemoryValues::Watch watch = [](void* context, const std::string& key, const std::string& value,
                                       Clock::Steady, MemoryValues::Use) {
    (*static_cast<std::map<std::string, std::string>*>(context))[key] = value;
  };
  put("before", "1");
  values.watch(watch, &heard);
  put("k", "1");
  put("k", "2");
  EXPECT_FALSE(values.swap("k", 0, "refused", 1min, now())->done);
  values.watch(nullptr, nullptr);
  put("after", "1");
  EXPECT_EQ(heard, (std::map<std::string, std::string>{{"k", "2"}}));
}

TEST_F(MemoryStoreTest, ARestoredValueLivesAsLongAsItWouldHave) {
  values.restore("k", encode(record_at(1)), now() + 10s, now(), {4, true});
  values.restore("expired", encode(record_at(1)), now(), now(), {});
  values.restore("almost", encode(record_at(1)), now() + 900us, now(), {});
  EXPECT_EQ(count(), 1U);
  clock.advance(9999ms);
  EXPECT_NE(read("k"), "(none)");
  clock.advance(1ms);
  EXPECT_EQ(read("k"), "(none)");
}

TEST_F(MemoryStoreTest, ARestoredRecordOverwritesOnlyWhatIsOlder) {
  const auto restored_over = [&](const std::string& here, const std::string& there) {
    put("k", here);
    values.restore("k", there, now() + 1min, now(), {});
    return read("k") == there;
  };
  Record ended = record_at(1);
  ended.ended = true;
  EXPECT_TRUE(restored_over(encode(record_at(1)), encode(record_at(2))));
  EXPECT_FALSE(restored_over(encode(record_at(2)), encode(record_at(1))));
  EXPECT_TRUE(restored_over(encode(record_at(2, 1)), encode(record_at(2, 2))));
  EXPECT_FALSE(restored_over(encode(record_at(2, 2)), encode(record_at(2, 1))));
  EXPECT_TRUE(restored_over(encode(record_at(1)), encode(ended)));
  EXPECT_FALSE(restored_over(encode(ended), encode(record_at(2))));
  EXPECT_TRUE(restored_over("1", "2"));  // not records: revoked values
  EXPECT_FALSE(restored_over(encode(record_at(1)), "not a record"));
  EXPECT_TRUE(restored_over("not a record", encode(record_at(1))));
}

// The newcomers of a pool that is alone may use all of it, and give way to those who came back.
TEST_F(MemoryStoreTest, AmongReturningSessionsTheLeastRecentlyUsedGoesFirst) {
  for (int i = 0; i < 300; ++i) put("user " + std::to_string(i), std::string(1000, 'x'), 1min, {0, true});
  EXPECT_GT(values.evicted(), 0U);
  EXPECT_NE(read("user 299"), "(none)");
  EXPECT_EQ(read("user 0"), "(none)");
}

TEST(SessionMemoryTest, HasValuesOfItsOwnOnlyWithoutASharedStore) {
  config::Store settings;
  EXPECT_TRUE(SessionMemory(settings).values);
  settings.kind = config::StoreKind::redis;
  EXPECT_FALSE(SessionMemory(settings).values);
  EXPECT_TRUE(SessionMemory(100).values);
}

TEST(SessionMemoryTest, ASweepDropsWhatHasExpiredEverywhere) {
  test::ManualClock clock;
  SessionMemory memory(100);
  const auto clock_reading = [&] { return ClockReading{clock.steady_now(), clock.wall_now()}; };
  memory.values->swap("k", 0, "value", 1s, clock.steady_now());
  SessionId id;
  id.bytes.fill(1);
  memory.handed.begin(id, 2, clock_reading());
  EXPECT_TRUE(memory.handed.pending(id, 2));
  clock.advance(11min);
  memory.sweep(clock_reading());
  EXPECT_FALSE(memory.handed.pending(id, 2));
  EXPECT_EQ(memory.values->bytes(), 0U);
  EXPECT_EQ(memory.evicted(), 0U);
}

TEST(HandedOverTest, ASessionIsPendingUntilItsNewBackendHasAnsweredAtThatEpoch) {
  HandedOver handed(100);
  SessionId id;
  id.bytes.fill(1);
  const ClockReading now{Clock::Steady(1h), Clock::Wall(1000h)};
  EXPECT_FALSE(handed.pending(id, 2));
  handed.answered(id, 2);
  handed.begin(id, 2, now);
  EXPECT_TRUE(handed.pending(id, 2));
  EXPECT_FALSE(handed.pending(id, 3));
  handed.begin(id, 3, now);
  handed.begin(id, 2, now);  // late: of the previous move
  EXPECT_TRUE(handed.pending(id, 3));
  handed.answered(id, 2);
  EXPECT_TRUE(handed.pending(id, 3));
  handed.answered(id, 3);
  EXPECT_FALSE(handed.pending(id, 3));
}

}  // namespace
}  // namespace remora
