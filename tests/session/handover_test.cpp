// Sessions from one process to the next: everything, then the changes; the later statement counts.

#include "session/handover.h"

#include <gtest/gtest.h>

#include "affinity/seal.h"
#include "session/lifecycle.h"

namespace remora {
namespace {

using std::chrono::seconds;

class Handover : public ::testing::Test {
 protected:
  static SessionKey key(std::uint8_t n) {
    SessionKey k;
    k.mac.fill(n);
    return k;
  }
  static Binding binding(std::uint8_t n, std::uint64_t backend, std::uint32_t epoch = 1) {
    Binding b;
    b.id.bytes.fill(n);
    b.backend = backend;
    b.epoch = epoch;
    b.created = b.last_seen = Clock::Wall(seconds(1000));
    return b;
  }
  std::uint64_t backend_in(SessionMemory& m, std::uint8_t n) const {
    const auto known = m.learned.find_now(key(n), now);
    return known ? known->binding.backend : 0;
  }
  bool take_over(std::string_view records, SessionMemory& memory) const {
    return take_over_sessions(records, memory, now.steady);
  }
  config::Session lifetimes;
  ClockReading now{Clock::Steady(seconds(5000)), Clock::Wall(seconds(1000))};
  SessionMemory old_one{1000}, new_one{1000};
};

TEST_F(Handover, BringsEverythingThatWasKnown) {
  old_one.learned.bind(key(1), binding(1, 7), 0, lifetimes, now);
  old_one.moves.moved(binding(2, 0).id, 3, 9, Reason::failover, lifetimes, now);
  old_one.active.seen(binding(3, 5), 0, lifetimes, now);
  SessionFeed feed(old_one);
  ASSERT_TRUE(take_over(feed.everything(), new_one));
  EXPECT_EQ(backend_in(new_one, 1), 7U);
  const auto move = new_one.moves.find(binding(2, 0).id, now);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->epoch, 3U);
  EXPECT_EQ(move->backend, 9U);
  EXPECT_EQ(new_one.active.size(), 1U);
}

// Found by the fuzzer: a value with less than a millisecond left was taken over as one that has expired
// already.
TEST_F(Handover, LeavesOutAValueWithLessThanAMillisecondLeft) {
  ASSERT_TRUE(new_one.values);
  new_one.values->restore("soon", "v", now.steady + std::chrono::nanoseconds(31), now.steady, {});
  new_one.values->restore("later", "v", now.steady + std::chrono::milliseconds(1), now.steady, {});
  std::size_t kept = 0;
  new_one.values->for_each(
      [&](const std::string& k, const std::string&, Clock::Steady expires, MemoryValues::Use) {
        EXPECT_EQ(k, "later");
        EXPECT_GT(expires, now.steady);
        ++kept;
      });
  EXPECT_EQ(kept, 1U);
}

// More were ended than the table of marks holds: what the filters know travels, too.
TEST_F(Handover, BringsEveryMarkOfAnEndedSession) {
  SessionMemory small(64), successor(1000);
  std::vector<SessionId> ended;
  const auto end_another = [&] {
    ended.push_back(new_session_id());
    small.moves.ended(ended.back(), 1, Reason::none, lifetimes, now);
  };
  for (int i = 0; i < 1300; ++i) end_another();
  SessionFeed feed(small);
  ASSERT_TRUE(take_over(feed.everything(), successor));
  for (int i = 0; i < 1300; ++i) end_another();
  ASSERT_TRUE(take_over(feed.take_changes(), successor));
  for (const SessionId& id : ended) {
    const auto mark = successor.moves.find(id, now);
    ASSERT_TRUE(mark);
    EXPECT_EQ(mark->kind, Move::Kind::ended);
  }
}

TEST_F(Handover, BringsStatesAndTheLaterVersionCounts) {
  const Clock::Steady at = now.steady;
  Record r;
  r.binding = binding(1, 7);
  r.state = {1, 1, {}, "first"};
  ASSERT_TRUE(old_one.values->swap("k", 0, encode(r), std::chrono::minutes(5), at)->done);
  SessionFeed feed(old_one);
  ASSERT_TRUE(take_over(feed.everything(), new_one));
  const auto taken = new_one.values->get("k", at);
  ASSERT_TRUE(taken);
  EXPECT_EQ(decode(taken->value)->state.sealed, "first");
  r.state = {1, 2, {}, "second"};
  ASSERT_TRUE(
      old_one.values->swap("k", old_one.values->get("k", at)->token, encode(r), seconds(60), at)->done);
  const std::string late = feed.take_changes();
  ASSERT_TRUE(take_over(late, new_one));
  EXPECT_EQ(decode(new_one.values->get("k", at)->value)->state.sealed, "second");
  r.state = {1, 3, {}, "third"};
  ASSERT_TRUE(
      new_one.values->swap("k", new_one.values->get("k", at)->token, encode(r), seconds(60), at)->done);
  ASSERT_TRUE(take_over(late, new_one));
  EXPECT_EQ(decode(new_one.values->get("k", at)->value)->state.sealed, "third");
}

TEST_F(Handover, BringsLaterChangesAndRemovals) {
  old_one.learned.bind(key(1), binding(1, 7), 0, lifetimes, now);
  SessionFeed feed(old_one);
  ASSERT_TRUE(take_over(feed.everything(), new_one));
  EXPECT_EQ(feed.take_changes(), "");
  old_one.learned.bind(key(2), binding(2, 8), 0, lifetimes, now);
  old_one.learned.forget(key(1), binding(1, 7).id);
  ASSERT_TRUE(take_over(feed.take_changes(), new_one));
  EXPECT_EQ(backend_in(new_one, 1), 0U);
  EXPECT_EQ(backend_in(new_one, 2), 8U);
  EXPECT_EQ(feed.take_changes(), "");
}

TEST_F(Handover, AnOlderEpochDoesNotOverwriteANewer) {
  old_one.learned.bind(key(1), binding(1, 7), 0, lifetimes, now);
  SessionFeed feed(old_one);
  const std::string early = feed.everything();
  ASSERT_TRUE(take_over(early, new_one));
  new_one.learned.move(key(1), 1, binding(1, 9, 2), Reason::failover, 0, lifetimes, now);
  ASSERT_TRUE(take_over(early, new_one));
  EXPECT_EQ(backend_in(new_one, 1), 9U);
}

TEST_F(Handover, WhatHasEndedStaysEnded) {
  const Binding b = binding(1, 7);
  old_one.moves.moved(b.id, 1, 7, Reason::failover, lifetimes, now);
  SessionFeed feed(old_one);
  const std::string early = feed.everything();
  new_one.moves.ended(b.id, 1, Reason::none, lifetimes, now);
  ASSERT_TRUE(take_over(early, new_one));
  EXPECT_EQ(new_one.moves.find(b.id, now)->kind, Move::Kind::ended);
}

TEST_F(Handover, OpenExchangesOfTheOldProcessAreNotOpenHere) {
  old_one.active.begin(binding(1, 7), 0, lifetimes, now);
  SessionFeed feed(old_one);
  ASSERT_TRUE(take_over(feed.everything(), new_one));
  const ClockReading later{now.steady + seconds(30), now.wall + seconds(30)};
  EXPECT_TRUE(new_one.active.begin(binding(1, 7), 0, lifetimes, later));  // it is idle, so far
}

TEST_F(Handover, AnotherLayoutOrACutTextIsRefused) {
  old_one.learned.bind(key(1), binding(1, 7), 0, lifetimes, now);
  SessionFeed feed(old_one);
  const std::string whole = feed.everything();
  EXPECT_FALSE(take_over("", new_one));
  EXPECT_FALSE(take_over("sessions 0\n" + whole, new_one));
  for (std::size_t n = 0; n < whole.size(); ++n)
    if (n != session_layout().size()) {
      EXPECT_FALSE(take_over(whole.substr(0, n), new_one)) << n;
    }
  EXPECT_FALSE(take_over(whole + "X", new_one));
  EXPECT_FALSE(take_over(std::string(session_layout()) + "Q+aaaa", new_one));
}

TEST_F(Handover, WithoutAFeedNothingIsCollected) {
  {
    SessionFeed feed(old_one);
  }
  old_one.learned.bind(key(1), binding(1, 7), 0, lifetimes, now);  // must not touch what is gone
  SessionFeed feed(old_one);
  EXPECT_EQ(feed.take_changes(), "");
}

}  // namespace
}  // namespace remora
