// The sessions of a backend, as the tables change; and the seats of those that are about to begin.

#include "session/tally.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "affinity/seal.h"
#include "session/memory.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

class Tally : public ::testing::Test {
 protected:
  static SessionKey key(int n) {
    SessionKey k;
    k.mac[0] = static_cast<std::uint8_t>(n);
    k.mac[31] = 1;
    return k;
  }
  Binding binding(std::uint64_t backend) const {
    Binding b;
    b.id = new_session_id();
    b.backend = backend;
    b.created = b.last_seen = now_.wall;
    return b;
  }
  Binding moved_to(Binding b, std::uint64_t backend) const {
    b.backend = backend;
    ++b.epoch;
    return b;
  }
  std::uint32_t at(std::uint64_t backend, std::uint16_t pool = 0) {
    return memory_.tally.gauge(pool, backend)->sessions();
  }
  void pass(std::chrono::milliseconds d) {
    now_.steady += d;
    now_.wall += d;
  }

  SessionMemory memory_{640};
  config::Session session_;
  ClockReading now_{Clock::Steady(1000h), Clock::Wall(500000h)};
};

TEST_F(Tally, FollowsLearnedSessionsExactly) {
  LocalTable& table = memory_.learned;
  const Binding b = binding(1), other = binding(1);
  table.bind(key(1), b, 0, session_, now_);
  table.bind(key(2), other, 0, session_, now_);
  EXPECT_EQ(at(1), 2U);
  table.bind(key(1), binding(2), 0, session_, now_);  // the first writer wins
  table.refresh(key(1), b, session_, now_);
  table.find_now(key(1), now_);
  EXPECT_EQ(at(1), 2U);
  EXPECT_EQ(at(2), 0U);
  table.move(key(1), 1, moved_to(b, 2), Reason::failover, 0, session_, now_);
  EXPECT_EQ(at(1), 1U);
  EXPECT_EQ(at(2), 1U);
  table.end(key(1), b.id);  // the mark stays, but is no session
  table.end(key(1), b.id);
  EXPECT_EQ(at(2), 0U);
  table.mark_replaced(key(2), other.id);
  EXPECT_EQ(at(1), 0U);
  table.bind(key(3), binding(1), 0, session_, now_);
  table.forget(key(3), binding(1).id);  // another session's id
  EXPECT_EQ(at(1), 1U);
  EXPECT_EQ(at(1, 7), 0U) << "another pool";
  pass(10h);
  memory_.sweep(now_);
  EXPECT_EQ(at(1), 0U) << "expired";
}

TEST_F(Tally, FollowsIssuedSessionsAsTheyAreSeen) {
  ActiveSessions& table = memory_.active;
  const Binding b = binding(1);
  table.seen(b, 0, session_, now_);
  table.seen(b, 0, session_, now_);
  EXPECT_EQ(at(1), 1U);
  table.seen(moved_to(b, 2), 0, session_, now_);
  EXPECT_EQ(at(1), 0U);
  EXPECT_EQ(at(2), 1U);
  table.begin(moved_to(b, 2), 0, session_, now_);
  table.finish(b.id, now_);
  EXPECT_EQ(at(2), 1U);
  table.gone(b.id);
  EXPECT_EQ(at(2), 0U);
}

TEST_F(Tally, EvictedSessionsLeaveTheirRoom) {
  for (int i = 0; i < 5000; ++i) memory_.active.seen(binding(1), 0, session_, now_);
  EXPECT_GT(memory_.active.evicted(), 0U);
  EXPECT_EQ(at(1), memory_.active.size());
}

TEST_F(Tally, FollowsAHotRestart) {
  LocalTable old(640);
  old.bind(key(1), binding(3), 5, session_, now_);
  old.entries().sweep([&](const SessionKey& k, const LocalTable::Kept& kept) {
    memory_.learned.restore(k, kept);
    memory_.learned.restore(k, kept);
    return true;
  });
  EXPECT_EQ(at(3, 5), 1U);
}

TEST_F(Tally, GaugesOfBackendsThatAreGoneAreDropped) {
  std::weak_ptr<SessionGauge> gone = memory_.tally.gauge(0, 16);
  const auto kept = memory_.tally.gauge(0, 32);
  memory_.tally.entered(0, 48);
  memory_.tally.gauge(0, 64);  // of the same part: looks around
  EXPECT_TRUE(gone.expired());
  EXPECT_EQ(memory_.tally.gauge(0, 32), kept);
  EXPECT_EQ(at(48), 1U);
}

TEST(Seats, AreNoMoreThanTheLimitHoweverManyAskAtOnce) {
  const auto gauge = std::make_shared<SessionGauge>();
  std::atomic<int> seated{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) seated += gauge->add_below(100) ? 1 : 0;
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(seated, 100);
  EXPECT_EQ(gauge->sessions(), 100U);
}

TEST(Seats, AreGivenUpOnce) {
  const auto gauge = std::make_shared<SessionGauge>();
  ASSERT_TRUE(gauge->add_below(2));
  Seat seat(gauge);
  Seat moved = std::move(seat);
  EXPECT_EQ(gauge->sessions(), 1U);
  ASSERT_TRUE(gauge->add_below(2));
  moved = Seat(gauge);  // the former one is free again
  EXPECT_EQ(gauge->sessions(), 1U);
  moved.give_up();
  moved.give_up();
  EXPECT_EQ(gauge->sessions(), 0U);
  gauge->remove();
  EXPECT_EQ(gauge->sessions(), 0U);
}

}  // namespace
}  // namespace remora
