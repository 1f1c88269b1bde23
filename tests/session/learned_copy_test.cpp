// The local table as a cache of a shared store: conflicts with the store's records, and staleness.

#include <gtest/gtest.h>

#include "session/local_table.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

class LearnedCopy : public ::testing::Test {
 protected:
  LearnedCopy() { key_.mac.fill(1); }
  Binding binding(std::uint64_t backend, std::uint32_t epoch, std::uint8_t id = 1) const {
    Binding b;
    b.id.bytes.fill(id);
    b.backend = backend;
    b.epoch = epoch;
    b.created = b.last_seen = now_.wall;
    return b;
  }
  Record record(std::uint64_t backend, std::uint32_t epoch, std::uint8_t id = 1) const {
    Record r;
    r.binding = binding(backend, epoch, id);
    return r;
  }
  void adopt(const Record& r) { table_.adopt(key_, r, 0, lifetimes_, now_); }
  Standing bind(const Binding& b) { return table_.bind(key_, b, 0, lifetimes_, now_); }
  Standing standing() { return table_.find_now(key_, now_).value(); }
  void pass(std::chrono::milliseconds d) {
    now_.steady += d;
    now_.wall += d;
  }
  std::size_t living() {
    std::size_t n = 0;
    table_.count(now_, [&](std::uint16_t, std::uint64_t) { ++n; });
    return n;
  }

  LocalTable table_{1000, 2s};
  config::Session lifetimes_;
  SessionKey key_;
  ClockReading now_{Clock::Steady(1000h), Clock::Wall(500000h)};
};

TEST_F(LearnedCopy, IsStaleOnceItWasTrustedForItsTime) {
  adopt(record(11, 1));
  EXPECT_TRUE(table_.is_copy());
  pass(1900ms);
  EXPECT_FALSE(standing().stale);
  pass(100ms);
  EXPECT_TRUE(standing().stale);
  table_.trust(key_, now_);
  EXPECT_FALSE(standing().stale);
  pass(2s);
  adopt(record(11, 1));
  EXPECT_FALSE(standing().stale);
}

TEST_F(LearnedCopy, ATableWithoutAStoreIsNeverStale) {
  LocalTable table(1000);
  EXPECT_FALSE(table.is_copy());
  table.bind(key_, binding(11, 1), 0, lifetimes_, now_);
  pass(1h);
  EXPECT_FALSE(table.find_now(key_, now_)->stale);
}

TEST_F(LearnedCopy, TheStoresLaterEpochStandsAndItsEarlierDoesNot) {
  adopt(record(11, 2));
  adopt(record(22, 3));
  EXPECT_EQ(standing().binding.backend, 22U);
  adopt(record(11, 2));
  EXPECT_EQ(standing().binding.backend, 22U);
  EXPECT_EQ(standing().binding.epoch, 3U);
}

// The end has not reached the store yet.
TEST_F(LearnedCopy, AnEndThatTheStoreDoesNotKnowStands) {
  adopt(record(11, 1));
  table_.end(key_, record(11, 1).binding.id);
  pass(3s);
  adopt(record(11, 1));
  EXPECT_TRUE(standing().ended);
  EXPECT_FALSE(standing().stale);
}

TEST_F(LearnedCopy, AnEndThatTheStoreKnowsIsAdopted) {
  adopt(record(11, 1));
  EXPECT_EQ(living(), 1U);
  Record over = record(11, 1);
  over.ended = true;
  adopt(over);
  EXPECT_TRUE(standing().ended);
  EXPECT_EQ(living(), 0U);
}

TEST_F(LearnedCopy, AnotherSessionUnderTheSameKeyReplacesOursWhateverItsEpoch) {
  adopt(record(11, 5));
  adopt(record(22, 1, 9));
  EXPECT_EQ(standing().binding.backend, 22U);
  EXPECT_EQ(standing().binding.id, record(22, 1, 9).binding.id);
}

TEST_F(LearnedCopy, TheLaterUseOfBothCountsForItsLife) {
  lifetimes_.idle_timeout = 60s;
  adopt(record(11, 1));
  Record old = record(11, 1);
  pass(50s);
  table_.refresh(key_, binding(11, 1), lifetimes_, now_);
  adopt(old);  // the store has not heard of that use
  pass(70s);
  EXPECT_EQ(living(), 1U);
  pass(10s);
  EXPECT_EQ(living(), 0U);
}

TEST_F(LearnedCopy, ARecordThatWasLastUsedLongAgoExpiresAccordingly) {
  lifetimes_.idle_timeout = 60s;
  Record old = record(11, 1);
  pass(70s);
  adopt(old);
  EXPECT_EQ(living(), 1U);
  pass(6s);
  EXPECT_EQ(living(), 0U);
}

TEST_F(LearnedCopy, AReplacedIdIsServedAndDoesNotCount) {
  bind(binding(11, 1));
  table_.mark_replaced(key_, binding(11, 1, 7).id);
  EXPECT_EQ(living(), 1U);  // another session's
  table_.mark_replaced(key_, binding(11, 1).id);
  EXPECT_EQ(living(), 0U);
  EXPECT_FALSE(standing().ended);
  table_.move(key_, 1, binding(22, 2), Reason::failover, 0, lifetimes_, now_);
  EXPECT_EQ(living(), 0U);
  EXPECT_EQ(standing().binding.backend, 22U);
}

TEST_F(LearnedCopy, OfARestoredEntryAndOursTheLaterStands) {
  const auto kept = [&](std::uint64_t backend, std::uint32_t epoch, std::uint32_t seen, bool ended = false) {
    LocalTable::Kept k{};
    k.id.bytes.fill(1);
    k.backend = backend;
    k.epoch = epoch;
    k.seen = seen;
    k.expires = ~std::uint32_t{0};
    k.ended = ended;
    return k;
  };
  table_.restore(key_, kept(11, 2, 100));
  table_.restore(key_, kept(22, 1, 200));
  EXPECT_EQ(standing().binding.backend, 11U);
  table_.restore(key_, kept(33, 2, 99));
  EXPECT_EQ(standing().binding.backend, 11U);
  table_.restore(key_, kept(44, 2, 101));
  EXPECT_EQ(standing().binding.backend, 44U);
  table_.restore(key_, kept(44, 2, 50, true));
  EXPECT_TRUE(standing().ended);
}

}  // namespace
}  // namespace remora
