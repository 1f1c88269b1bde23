// Active and open sessions, recent moves, and moves restored by hot restart.

#include "session/open_session.h"

#include <gtest/gtest.h>

#include <map>

#include "session/moves.h"
#include "session/recent_moves.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

class OpenSessions : public ::testing::Test {
 protected:
  OpenSessions() { binding_.id.bytes.fill(1); }
  std::map<std::uint64_t, int> count() {
    std::map<std::uint64_t, int> out;
    active_.count(now_, [&](std::uint16_t, std::uint64_t backend) { ++out[backend]; });
    return out;
  }
  auto begin() { return active_.begin(binding_, 0, lifetimes_, now_); }
  void pass(std::chrono::milliseconds d) {
    now_.steady += d;
    now_.wall += d;
  }
  ActiveSessions active_{1000};
  config::Session lifetimes_;
  Binding binding_;
  ClockReading now_{Clock::Steady(1000h), Clock::Wall(500000h)};
};

TEST_F(OpenSessions, ARequestThatEndsAnyhowClosesItsSession) {
  begin();
  {
    const OpenSession open(active_, binding_.id, now_);
    EXPECT_TRUE(open);
    EXPECT_FALSE(begin());
    active_.finish(binding_.id, now_);
  }
  EXPECT_EQ(begin(), 0ms);
}

TEST_F(OpenSessions, TheTimeOfItsEndIsTheLastActivity) {
  begin();
  OpenSession open(active_, binding_.id, now_);
  pass(10s);
  open.finish(now_);
  EXPECT_FALSE(open);
  pass(5s);
  EXPECT_EQ(begin(), 5s);
}

TEST_F(OpenSessions, MovedElsewhereItClosesItsSessionOnceThere) {
  begin();
  OpenSession first(active_, binding_.id, now_), second(std::move(first));
  EXPECT_TRUE(second);
  SessionId other;
  other.bytes.fill(2);
  second = OpenSession(active_, other, now_);  // ends the first
  EXPECT_EQ(begin(), 0ms);
  OpenSession& itself = second;
  second = std::move(itself);
  EXPECT_TRUE(second);
  EXPECT_FALSE(OpenSession());
}

TEST_F(OpenSessions, ASessionIsCountedAtItsLatestBackendUntilItsIdleTimeout) {
  lifetimes_.idle_timeout = 60s;
  binding_.backend = 11;
  active_.seen(binding_, 0, lifetimes_, now_);
  binding_.backend = 22;
  active_.seen(binding_, 0, lifetimes_, now_);
  EXPECT_EQ(count(), (std::map<std::uint64_t, int>{{22, 1}}));
  pass(76s);
  EXPECT_TRUE(count().empty());
}

TEST_F(OpenSessions, WhileItIsOpenASessionDoesNotExpire) {
  lifetimes_.idle_timeout = 60s;
  binding_.backend = 11;
  begin();
  active_.seen(binding_, 0, lifetimes_, now_);  // its token is renewed meanwhile
  pass(1h);
  EXPECT_EQ(count().size(), 1U);
  active_.finish(binding_.id, now_);
  EXPECT_TRUE(count().empty());
}

TEST_F(OpenSessions, AnEndedSessionIsGone) {
  active_.gone(binding_.id);
  active_.seen(binding_, 0, lifetimes_, now_);
  active_.gone(binding_.id);
  EXPECT_EQ(active_.size(), 0U);
}

TEST_F(OpenSessions, ARestoredSessionIsOpenOnlyIfItIsOpenHere) {
  ActiveSessions::Active old;
  old.backend = 11;
  old.seen = Ticks::at(now_.steady);
  old.expires = old.seen + 1;
  old.open = 3;  // in the process that ends
  active_.restore(binding_.id, old);
  pass(1s);
  EXPECT_TRUE(count().empty());
  binding_.backend = 22;
  begin();
  active_.restore(binding_.id, old);  // older than what is known here
  EXPECT_EQ(count(), (std::map<std::uint64_t, int>{{22, 1}}));
  old.seen += 1000;
  active_.restore(binding_.id, old);
  EXPECT_EQ(count(), (std::map<std::uint64_t, int>{{11, 1}}));
  EXPECT_FALSE(begin());  // still open here
}

TEST(RecentMovesTest, TheNewestHundredAreShownNewestFirst) {
  RecentMoves recent;
  EXPECT_TRUE(recent.list().empty());
  for (int i = 0; i < 150; ++i) recent.add({"pool", std::to_string(i), "to", Reason::failover, {}});
  const auto list = recent.list();
  ASSERT_EQ(list.size(), RecentMoves::most);
  EXPECT_EQ(list.front().from, "149");
  EXPECT_EQ(list.back().from, "50");
}

// Moves of the process before ------------------------------------------------------------------------

class RestoredMoves : public ::testing::Test {
 protected:
  RestoredMoves() { id_.bytes.fill(1); }
  Move move(Move::Kind kind, std::uint32_t epoch, std::uint32_t later = 0) const {
    Move m;
    m.kind = kind;
    m.epoch = epoch;
    m.backend = epoch;
    m.seen = Ticks::at(now_.steady) + later;
    m.expires = m.seen + 1000;
    return m;
  }
  std::optional<Move> find() { return moves_.find(id_, now_); }
  MoveMemory moves_{1000};
  config::Session lifetimes_;
  SessionId id_;
  ClockReading now_{Clock::Steady(1000h), Clock::Wall(500000h)};
};

TEST_F(RestoredMoves, GiveWayToLaterOnesHere) {
  moves_.restore(id_, move(Move::Kind::moved, 2));
  EXPECT_EQ(find()->epoch, 2U);
  moves_.restore(id_, move(Move::Kind::moved, 3));
  EXPECT_EQ(find()->epoch, 3U);
  moves_.restore(id_, move(Move::Kind::moved, 2, 100));
  EXPECT_EQ(find()->epoch, 3U);
}

TEST_F(RestoredMoves, AnEndStandsOverAMove) {
  moves_.restore(id_, move(Move::Kind::moved, 2));
  moves_.restore(id_, move(Move::Kind::ended, 2));
  EXPECT_EQ(find()->kind, Move::Kind::ended);
  EXPECT_EQ(moves_.size(), 1U);
  moves_.restore(id_, move(Move::Kind::renewed, 2, 1));
  EXPECT_EQ(find()->kind, Move::Kind::ended);
}

TEST_F(RestoredMoves, ARenewedSessionIsServedWhereItWasUntilItEnds) {
  moves_.renewed(id_, 1, 11, lifetimes_, now_);
  moves_.renewed(id_, 1, 22, lifetimes_, now_);
  EXPECT_EQ(find()->backend, 22U);
  moves_.ended(id_, 1, Reason::none, lifetimes_, now_);
  moves_.renewed(id_, 1, 33, lifetimes_, now_);
  EXPECT_EQ(find()->kind, Move::Kind::ended);
}

TEST_F(RestoredMoves, ActivityProlongsAMoveAndKeepsARequestToLeave) {
  moves_.moved(id_, 2, 22, Reason::failover, lifetimes_, now_);
  Binding b;
  b.id = id_;
  b.epoch = 2;
  b.leave = true;
  now_.steady += 1s;
  moves_.active(b, lifetimes_, now_);
  EXPECT_EQ(find()->kind, Move::Kind::moved);
  EXPECT_TRUE(find()->leave);
  b.leave = false;
  moves_.active(b, lifetimes_, now_);
  EXPECT_TRUE(find()->leave);
  EXPECT_EQ(find()->seen, Ticks::at(now_.steady));
  b.epoch = 1;  // the former owner
  now_.steady += 1s;
  moves_.active(b, lifetimes_, now_);
  EXPECT_NE(find()->seen, Ticks::at(now_.steady));
}

TEST_F(RestoredMoves, ALongExchangeIsKeptAsActivityAtItsLatestEpoch) {
  Binding b;
  b.id = id_;
  b.epoch = 2;
  moves_.active(b, lifetimes_, now_);
  b.epoch = 1;
  moves_.active(b, lifetimes_, now_);
  EXPECT_EQ(find()->epoch, 2U);
  b.epoch = 3;
  moves_.active(b, lifetimes_, now_);
  EXPECT_EQ(find()->epoch, 3U);
}

}  // namespace
}  // namespace remora
