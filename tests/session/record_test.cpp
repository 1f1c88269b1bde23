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

TEST(Record, ASessionThatIsOverGivesItsNameToAnother) {
  const config::Session lifetimes;
  const Record standing = record_at(1, 3);
  Record next = record_at(2, 1);
  const SessionId over[] = {standing.binding.id};
  EXPECT_FALSE(gives_way(standing, next, over, lifetimes));  // the same session
  next.binding.id.bytes.fill(9);
  EXPECT_FALSE(gives_way(standing, next, {}, lifetimes));
  EXPECT_TRUE(gives_way(standing, next, over, lifetimes));
  next.binding.last_seen = standing.binding.last_seen + std::chrono::hours(1);  // it has expired
  EXPECT_TRUE(gives_way(standing, next, {}, lifetimes));
}

TEST(Record, AStateThatIsBroughtAgainOverwritesNothingNewer) {
  Record brought = record_at(2, 3);
  brought.state = {3, 4, {}, "of version 4"};
  EXPECT_TRUE(bring_rule(std::nullopt, brought, 1));
  Record here = record_at(1, 2);  // the session is at its second backend here
  here.state = {2, 5, {}, "saved here since"};
  EXPECT_FALSE(bring_rule(here, brought, 1));
  here.state = {2, 4, {}, "saved here, when the former owner saved too"};
  EXPECT_FALSE(bring_rule(here, brought, 1));
  here.state = {2, 5, Clock::Wall(std::chrono::seconds(9)), {}};  // deleted here since
  EXPECT_FALSE(bring_rule(here, brought, 1));
  here.binding.epoch = 3;
  here.state = {3, 1, {}, "brought by another request"};
  EXPECT_FALSE(bring_rule(here, brought, 1));
  here.binding.epoch = 4;
  here.state = {};
  EXPECT_FALSE(bring_rule(here, brought, 1));
}

TEST(Record, AStateComesBackToWhereAnOlderOneIsLeft) {
  Record brought = record_at(2, 3);
  brought.state = {3, 4, {}, "of version 4"};
  Record here = record_at(1, 1);
  for (const std::uint64_t version : {0U, 3U, 4U}) {
    here.state = {1, version, {}, version == 0 ? "" : "from before"};
    const auto next = bring_rule(here, brought, 2);
    ASSERT_TRUE(next) << version;
    EXPECT_EQ(next->state.sealed, "of version 4");
    EXPECT_EQ(next->binding.backend, 2U);
  }
}

TEST(Record, AStateComesAfterItsMoveWasTold) {
  Record brought = record_at(2, 3);
  brought.state = {3, 4, {}, "of version 4"};
  const auto next = bring_rule(record_at(2, 3), brought, 1);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->state.version, 4U);
}

TEST(Record, ADeletionIsBroughtToo) {
  Record brought = record_at(2, 3);
  brought.state.version = 4;
  brought.state.remove(Clock::Wall(std::chrono::seconds(9)), Clock::Wall(std::chrono::seconds(8)));
  Record here = record_at(1, 1);
  here.state = {1, 3, {}, "from before"};
  const auto next = bring_rule(here, brought, brought.state.epoch);
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->state.is_there(Clock::Wall(std::chrono::seconds(10))));
  EXPECT_EQ(next->state.epoch, brought.state.epoch);
}

TEST(Record, NoStateIsBroughtToASessionThatEndedOrToAnother) {
  Record brought = record_at(2, 3);
  brought.state = {3, 4, {}, "of version 4"};
  Record here = record_at(1, 1);
  here.ended = true;
  EXPECT_FALSE(bring_rule(here, brought, 1));
  here.ended = false;
  here.binding.id.bytes.fill(9);
  EXPECT_FALSE(bring_rule(here, brought, 1));
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

// expressjs/session #632, tj/connect-redis #328: a slow request brought back what a logout had destroyed.
TEST(Record, WhatWasDeletedIsNotBroughtBackByARequestOfBefore) {
  const auto at = [](int ms) { return Clock::Wall(std::chrono::milliseconds(2'000'000 + ms)); };
  const Seal some = [](std::uint32_t, std::uint64_t) { return std::string("state"); };
  const Seal none = [](std::uint32_t, std::uint64_t) { return std::string(); };
  Saved saved = Saved::saved;
  const Record writer = record_at(42, 1);
  auto kept = save_rule(writer, writer, 0, some, saved, {at(0), at(10)});
  ASSERT_TRUE(kept);
  // A logout that the app got at 20 and answered at 50.
  auto gone = save_rule(kept, writer, 0, none, saved, {at(20), at(50)});
  ASSERT_TRUE(gone);
  gone = decode(encode(*gone));
  ASSERT_TRUE(gone);
  EXPECT_FALSE(gone->state.is_there(at(60)));
  for (const int sent : {0, 19, 21, 49}) {
    EXPECT_FALSE(save_rule(gone, writer, 0, some, saved, {at(sent), at(60)})) << sent;
    EXPECT_EQ(saved, Saved::outdated);
  }
  // The request that deleted it may begin anew, and so may all that came later, and who does not say when.
  for (const int sent : {20, 50, 51, 1000})
    EXPECT_TRUE(save_rule(gone, writer, 0, some, saved, {at(sent), at(1001)}));
  EXPECT_TRUE(save_rule(gone, writer, 0, some, saved));
  // A clock that was set back makes nobody wait for it.
  EXPECT_TRUE(save_rule(gone, writer, 0, some, saved, {at(-1000), at(-900)}));
  // What stands again is a state like any other: the last answer wins.
  const auto again = save_rule(gone, writer, 0, some, saved, {at(60), at(70)});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->state.is_there(at(80)));
  EXPECT_TRUE(save_rule(again, writer, 0, some, saved, {at(0), at(80)}));
}

TEST(Record, ADeletionByWhomeverStandsForAllThatWasBeforeIt) {
  KeptState s;
  const Clock::Wall now(std::chrono::seconds(100)), later = now + std::chrono::hours(1);
  EXPECT_FALSE(s.was_deleted_since(now, later)) << "nothing was ever kept";
  s.version = 3;
  s.sealed = "x";
  s.remove(now, {});
  EXPECT_TRUE(s.was_deleted_since(now - std::chrono::milliseconds(1), later));
  EXPECT_FALSE(s.was_deleted_since(now, later));
  EXPECT_FALSE(s.was_deleted_since({}, later));
  s.remove(now, now + std::chrono::seconds(1));  // a clock that jumped
  EXPECT_TRUE(s.was_deleted_since(now - std::chrono::seconds(1), later));
}

TEST(Record, ASessionThatIsRenamedKeepsItsState) {
  Record before = record_at(1, 1);
  before.state = {1, 3, {}, "state"};
  Record renamed = record_at(1, 1);
  renamed.binding.id.bytes.fill(9);
  EXPECT_EQ(rename_rule(std::nullopt, renamed)->binding.id, renamed.binding.id);
  const auto next = rename_rule(before, renamed);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->binding.id, renamed.binding.id);
  EXPECT_EQ(next->state.sealed, "state");
  before.binding.epoch = 2;
  EXPECT_FALSE(rename_rule(before, renamed));  // it has moved meanwhile
  before.binding.epoch = 1;
  before.ended = true;
  EXPECT_FALSE(rename_rule(before, renamed));
}

TEST(Record, AnAppThatDidNotSeeTheLatestVersionConflicts) {
  Record standing = record_at(1, 1);
  standing.state = {1, 3, {}, "third"};
  Saved outcome = Saved::saved;
  const Seal seal = [](std::uint32_t, std::uint64_t) { return std::string("next"); };
  EXPECT_FALSE(save_rule(standing, record_at(1, 1), 2, seal, outcome));
  EXPECT_EQ(outcome, Saved::conflict);
  EXPECT_EQ(save_rule(standing, record_at(1, 1), 3, seal, outcome)->state.version, 4U);
  EXPECT_EQ(outcome, Saved::saved);
}

TEST(Record, AStateOfALaterOwnerTellsOfItsMove) {
  Record writer = record_at(2, 2);
  writer.reason = Reason::failover;
  Saved outcome = Saved::outdated;
  const auto next = save_rule(record_at(1, 1), writer, 0, [](auto...) { return std::string("s"); }, outcome);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->binding.backend, 2U);
  EXPECT_EQ(next->binding.epoch, 2U);
  EXPECT_EQ(next->reason, Reason::failover);
}

}  // namespace
}  // namespace remora
