// What stores keep, and by which rules it changes.

#include "session/record.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

Record record_at(std::uint64_t backend, std::uint32_t epoch) {
  Record r;
  r.binding.id.bytes.fill(7);
  r.binding.backend = backend;
  r.binding.epoch = epoch;
  r.binding.created = Clock::Wall(std::chrono::seconds(1000));
  r.binding.last_seen = Clock::Wall(std::chrono::seconds(2000));
  return r;
}

TEST(Record, IsReadAsItWasWritten) {
  Record r = record_at(42, 3);
  r.reason = Reason::failover;
  r.binding.generation = 99;
  r.binding.leave = r.replaced = true;
  r.state = {2, 5, Clock::Wall(std::chrono::seconds(9)), std::string("\0\xff", 2)};
  const auto read = decode(encode(r));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->binding.backend, 42U);
  EXPECT_EQ(read->binding.epoch, 3U);
  EXPECT_EQ(read->binding.generation, 99U);
  EXPECT_EQ(read->binding.created, r.binding.created);
  EXPECT_EQ(read->binding.last_seen, r.binding.last_seen);
  EXPECT_TRUE(read->binding.leave && read->replaced && !read->ended);
  EXPECT_EQ(read->reason, Reason::failover);
  EXPECT_EQ(read->state.epoch, 2U);
  EXPECT_EQ(read->state.version, 5U);
  EXPECT_EQ(read->state.expires, r.state.expires);
  EXPECT_EQ(read->state.sealed, r.state.sealed);
}

TEST(Record, CutOrOfAnotherFormatIsNone) {
  Record r = record_at(42, 3);
  const std::string bare = encode(r);
  r.state = {2, 5, {}, "state"};
  const std::string whole = encode(r);
  for (std::size_t n = 0; n < bare.size(); ++n) EXPECT_FALSE(decode(whole.substr(0, n))) << n;
  for (std::size_t n = bare.size(); n < bare.size() + 20; ++n) EXPECT_FALSE(decode(whole.substr(0, n))) << n;
  EXPECT_FALSE(decode(bare + "x"));
  for (const std::size_t at : {0U, 1U, 2U}) {
    std::string changed = bare;
    changed[at] = '\x7f';
    EXPECT_FALSE(decode(changed)) << at;
  }
}

TEST(Record, OfATimeThatNoClockOfOursSaysIsNone) {  // found by fuzzing: nanoseconds overflowed
  for (const std::size_t at : {39U, 47U}) {
    std::string bytes = encode(record_at(42, 3));
    bytes[at + 2] = 'I';
    EXPECT_FALSE(decode(bytes)) << at;
  }
}

TEST(Record, AMoveThatTheStoreNeverHeardOfIsToldWithTheNextUse) {
  const auto next = refresh_rule(record_at(1, 1), record_at(2, 2));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->binding.backend, 2U);
  EXPECT_FALSE(refresh_rule(record_at(2, 3), record_at(1, 2)));  // but not one that was overtaken
}

TEST(Record, AMoveOfAnotherSessionUnderTheSameNameChangesNothing) {
  Record other = record_at(1, 1);
  other.binding.id.bytes.fill(9);
  other.state = {1, 1, {}, "theirs"};
  EXPECT_FALSE(move_rule(other, record_at(2, 2)));
}

TEST(Record, AStoreThatLostItIsToldAgain) {
  EXPECT_TRUE(refresh_rule(std::nullopt, record_at(1, 4)));
}

TEST(Record, AnEndTakesTheStateWithIt) {
  Record r = record_at(1, 1);
  r.state = {1, 1, {}, "secret"};
  Record over = record_at(1, 1);
  over.ended = true;
  const auto next = end_rule(r, over);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->ended);
  EXPECT_EQ(encode(*next).find("secret"), std::string::npos);
}

}  // namespace
}  // namespace remora
