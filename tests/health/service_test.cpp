// Who is in service: ejections by time and share, slow starts, and what counts when few are left. By a manual
// clock.

#include "health/service.h"

#include <gtest/gtest.h>

#include "health/ejector.h"
#include "health/probes.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<PoolSnapshot> pool_of(std::size_t n) {
  auto pool = std::make_shared<PoolSnapshot>();
  for (std::size_t i = 0; i < n; ++i) {
    Member m;
    m.backend = std::make_shared<Backend>("p", std::string(1, static_cast<char>('a' + i)));
    pool->members.push_back(m);
  }
  return pool;
}

class Ejections : public ::testing::Test {
 protected:
  std::optional<std::chrono::milliseconds> report(std::size_t i, Ejected how = Ejected::all) {
    return ejector_.report(pool_->members[i].backend, how, rules_, pool_->members.size(), now_);
  }
  Ejected state(std::size_t i) { return ejector_.state(*pool_->members[i].backend); }

  Ejector ejector_;
  config::Eject rules_;
  std::shared_ptr<PoolSnapshot> pool_ = pool_of(4);
  Clock::Steady now_{1000h};
};

TEST_F(Ejections, EndByTimeAndGrowWhenTheyFollowEachOther) {
  EXPECT_EQ(report(0), 10s);
  EXPECT_EQ(state(0), Ejected::all);
  now_ += 9999ms;
  EXPECT_TRUE(ejector_.expire(now_).empty());
  EXPECT_EQ(ejector_.next_end(), now_ + 1ms);
  now_ += 1ms;
  EXPECT_EQ(ejector_.expire(now_).size(), 1U);
  EXPECT_EQ(state(0), Ejected::no);
  EXPECT_EQ(ejector_.next_end(), std::nullopt);
  now_ += 5s;
  EXPECT_EQ(report(0), 20s);
  now_ += 20s;
  ejector_.expire(now_);
  now_ += 21s;  // in service for longer than it was out: forgiven
  EXPECT_EQ(report(0), 10s);
}

TEST_F(Ejections, NeverGrowBeyondFiveMinutes) {
  std::chrono::milliseconds longest{0};
  for (int i = 0; i < 20; ++i) {
    const auto length = report(0);
    ASSERT_TRUE(length);
    longest = std::max(longest, *length);
    now_ += *length;
    ejector_.expire(now_);
  }
  EXPECT_EQ(longest, 5min);
}

TEST_F(Ejections, TakeNoMoreThanTheirShareOfAPool) {
  EXPECT_TRUE(report(0));
  EXPECT_TRUE(report(1));
  EXPECT_FALSE(report(2));
  EXPECT_EQ(state(2), Ejected::no);
  pool_ = pool_of(1);
  EXPECT_FALSE(report(0));  // the only one is never taken out
}

TEST_F(Ejections, GrowFromNothingNewToNothingAtAllWithinTheirTime) {
  EXPECT_TRUE(report(0, Ejected::new_sessions));
  EXPECT_FALSE(report(0, Ejected::all));
  EXPECT_EQ(state(0), Ejected::all);
  EXPECT_FALSE(report(0, Ejected::new_sessions));
  EXPECT_EQ(state(0), Ejected::all);
}

TEST_F(Ejections, OfBackendsThatLeftTheConfigurationAreForgotten) {
  report(0);
  ejector_.retain([](const Backend*) { return false; });
  EXPECT_EQ(state(0), Ejected::no);
  EXPECT_EQ(ejector_.next_end(), std::nullopt);
}

TEST(Streaks, AreOfOneKindInARow) {
  FailureStreaks s;
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(s.failed_to_connect(5));
  s.succeeded();
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(s.failed_to_connect(5));
    EXPECT_FALSE(s.failed_to_answer(5));
  }
  EXPECT_TRUE(s.failed_to_answer(5));
  EXPECT_TRUE(s.failed_to_connect(5));
  EXPECT_TRUE(s.reported());
  s.succeeded();
  EXPECT_TRUE(s.reported());
  s.judged();
  EXPECT_FALSE(s.reported());
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(s.failed_to_answer(0));  // off
}

TEST(Facts, AreThreeAndCombinedInOnePlace) {
  struct Row {
    Admin admin;
    Health health;
    Ejected ejected;
    std::uint32_t weight;
    bool panic, takes_new, takes_bound;
  };
  for (const Row& row : std::vector<Row>{
           {Admin::ready, Health::unknown, Ejected::no, 1, false, true, true},
           {Admin::ready, Health::up, Ejected::no, 1, false, true, true},
           {Admin::ready, Health::up, Ejected::no, 0, false, false, true},
           {Admin::ready, Health::up, Ejected::new_sessions, 1, false, false, true},
           {Admin::ready, Health::up, Ejected::all, 1, false, false, false},
           {Admin::ready, Health::down, Ejected::no, 1, false, false, false},
           {Admin::ready, Health::down, Ejected::all, 1, true, true, true},
           {Admin::drain, Health::up, Ejected::no, 1, false, false, true},
           {Admin::drain, Health::up, Ejected::new_sessions, 1, false, false, true},
           {Admin::drain, Health::down, Ejected::no, 1, true, false, true},
           {Admin::maint, Health::up, Ejected::no, 1, false, false, false},
           {Admin::maint, Health::up, Ejected::no, 1, true, false, false},
       }) {
    Member m;
    m.admin = row.admin;
    m.health = row.health;
    m.ejected = row.ejected;
    m.weight = row.weight;
    m.panic = row.panic;
    EXPECT_EQ(m.accepts_new(), row.takes_new);
    EXPECT_EQ(m.accepts_bound(), row.takes_bound);
  }
}

TEST(Rescue, BelowThePanicThresholdAllAreUsed) {
  const auto pool = pool_of(4);
  pool->members[0].health = pool->members[1].health = Health::down;
  rescue(*pool, 0.5);
  EXPECT_FALSE(pool->members[0].accepts_new());  // a half is not below a half
  pool->members[2].ejected = Ejected::all;
  rescue(*pool, 0.5);
  for (const Member& m : pool->members) EXPECT_TRUE(m.accepts_new());
  pool->members[2].ejected = Ejected::no;
  rescue(*pool, 0.5);
  EXPECT_FALSE(pool->members[0].accepts_new());
}

TEST(Rescue, WhoseNameHasNoAddressIsOfNoUseInAPanicEither) {
  const auto pool = pool_of(2);
  pool->members[0].health = pool->members[1].health = Health::down;
  pool->members[1].nowhere = true;
  rescue(*pool, 1);
  EXPECT_TRUE(pool->members[0].accepts_new());
  EXPECT_FALSE(pool->members[1].accepts_new());
  EXPECT_FALSE(pool->members[1].accepts_bound());
}

TEST(Rescue, DrainedAndWeightlessBackendsCountForNothing) {
  const auto pool = pool_of(4);
  pool->members[0].admin = Admin::drain;
  pool->members[1].weight = 0;
  pool->members[2].health = Health::down;
  rescue(*pool, 0.5);
  EXPECT_FALSE(pool->members[2].panic);  // one of two
}

TEST(Rescue, WithNobodyElseTheEjectedComeBack) {
  const auto pool = pool_of(2);
  pool->members[0].health = Health::down;
  pool->members[1].ejected = Ejected::all;
  rescue(*pool, 0);
  EXPECT_FALSE(pool->members[0].accepts_new());
  EXPECT_TRUE(pool->members[1].accepts_new());
}

// The end of open streams ----------------------------------------------------------------------------

TEST(EndingStreams, AreThoseInMaintenanceAndPastTheDeadlineWithSomewhereToGo) {
  struct Row {
    Admin admin;
    bool leaving;
    Health other;
    config::DrainStreams streams;
    bool ends;
  };
  using enum config::DrainStreams;
  for (const Row& row : {
           Row{Admin::ready, false, Health::up, end, false},
           Row{Admin::drain, false, Health::up, end, false},
           Row{Admin::drain, true, Health::up, end, true},
           Row{Admin::drain, true, Health::down, end, false},
           Row{Admin::maint, false, Health::up, end, true},
           Row{Admin::maint, false, Health::down, end, true},
           Row{Admin::drain, true, Health::up, keep, false},
           Row{Admin::maint, false, Health::up, keep, false},
       }) {
    const auto pool = pool_of(2);
    pool->members[0].admin = row.admin;
    pool->members[0].leaving = row.leaving;
    pool->members[1].health = row.other;
    config::Drain drain;
    drain.streams = row.streams;
    end_streams(*pool, drain);
    EXPECT_EQ(pool->members[0].ends_streams, row.ends)
        << to_string(row.admin) << row.leaving << to_string(row.other);
    EXPECT_FALSE(pool->members[1].ends_streams);
  }
}

TEST(SlowStart, GrowsFromATenthToTheWhole) {
  EXPECT_EQ(warm_weight(3, 0s, 0s), 3U);
  EXPECT_EQ(warm_weight(1, 10s, 0s), 10U);
  EXPECT_EQ(warm_weight(1, 10s, 5s), 50U);
  EXPECT_EQ(warm_weight(1, 10s, 10s), 100U);
  EXPECT_EQ(warm_weight(3, 10s, 1h), 300U);
  EXPECT_EQ(warm_weight(0, 10s, 5s), 0U);
}

// Returns -------------------------------------------------------------------------------------------

class SlowStarts : public ::testing::Test {
 protected:
  void see(std::size_t i, bool began = false, bool probed = true) {
    returns_.see(pool_->members[i], began, probed, now_);
  }
  std::optional<Clock::Steady> since(std::size_t i) { return returns_.since(*pool_->members[i].backend); }
  Member& member(std::size_t i) { return pool_->members[i]; }

  std::shared_ptr<PoolSnapshot> pool_ = pool_of(3);
  Returns returns_;
  Clock::Steady now_{1000h};
};

TEST_F(SlowStarts, ThoseThatAPoolBeganWithHaveNone) {
  for (const std::size_t i : {0U, 1U}) see(i, true);
  now_ += 1s;
  member(0).health = Health::up;
  member(1).health = Health::down;  // the first that is known of it
  for (const std::size_t i : {0U, 1U}) see(i);
  EXPECT_EQ(since(0), std::nullopt);
  EXPECT_EQ(since(1), std::nullopt);
  now_ += 1s;
  member(1).health = Health::up;
  see(1);
  EXPECT_EQ(since(1), now_);
}

TEST_F(SlowStarts, ANewOneAmongOthersBeginsWhenItIsInService) {
  see(0, true);
  see(1);  // nothing is known of it yet
  EXPECT_EQ(since(1), std::nullopt);
  now_ += 1s;
  member(1).health = Health::up;
  see(1);
  EXPECT_EQ(since(1), now_);
  see(2, false, false);  // nothing probes: at once
  EXPECT_EQ(since(2), now_);
}

TEST_F(SlowStarts, ComeAfterMaintenanceEjectionAndDeathButNotAfterADrain) {
  member(0).health = Health::up;
  see(0, true);
  const auto goes_and_returns = [&](auto away, auto back) {
    away(member(0));
    see(0);
    const bool forgotten = !since(0);
    now_ += 10s;
    back(member(0));
    see(0);
    return forgotten && since(0) == now_;
  };
  EXPECT_FALSE(
      goes_and_returns([](Member& m) { m.admin = Admin::drain; }, [](Member& m) { m.admin = Admin::ready; }));
  EXPECT_TRUE(
      goes_and_returns([](Member& m) { m.admin = Admin::maint; }, [](Member& m) { m.admin = Admin::ready; }));
  EXPECT_TRUE(goes_and_returns([](Member& m) { m.ejected = Ejected::new_sessions; },
                               [](Member& m) { m.ejected = Ejected::no; }));
  EXPECT_TRUE(
      goes_and_returns([](Member& m) { m.health = Health::down; }, [](Member& m) { m.health = Health::up; }));
  see(0);
  now_ += 1s;
  see(0);
  EXPECT_EQ(since(0), now_ - 1s);  // looking changes nothing
  returns_.retain([](const Backend*) { return false; });
  EXPECT_FALSE(returns_.knows(*member(0).backend));
}

TEST(Untested, GetNothingNewWhileAnotherOfTheirKindIsUp) {
  const auto pool = pool_of(4);
  pool->members[3].backup = true;
  const auto takers = [&] {
    std::string out;
    for (const Member& m : pool->members)
      if (m.accepts_new()) out += m.backend->id;
    return out;
  };
  hold_untested(*pool);
  EXPECT_EQ(takers(), "abcd");  // nobody knows anything
  pool->members[3].health = Health::up;
  hold_untested(*pool);
  EXPECT_EQ(takers(), "abcd");  // a backup takes no session that it would keep
  pool->members[0].health = Health::up;
  hold_untested(*pool);
  EXPECT_EQ(takers(), "ad");
  EXPECT_TRUE(pool->members[1].accepts_bound());
  pool->members[0].admin = Admin::drain;
  hold_untested(*pool);
  EXPECT_EQ(takers(), "bcd");
  pool->members[0].admin = Admin::ready;
  rescue(*pool, 0.5);  // what is only unknown is no reason for a panic
  hold_untested(*pool);
  EXPECT_EQ(takers(), "ad");
}

// Liveness ------------------------------------------------------------------------------------------

TEST(Liveness, OneOfManyWhoDoubtAsks) {
  Liveness l;
  EXPECT_TRUE(l.suspect());
  EXPECT_FALSE(l.suspect());
  l.settled();
  EXPECT_TRUE(l.suspect());
}

TEST(Liveness, OnlyProbesThatBeganLaterSayAnything) {
  Liveness l;
  const Clock::Steady t{1000h};
  EXPECT_FALSE(l.alive_at(t));
  EXPECT_FALSE(l.mute_since(t));
  l.probed(true, t);
  EXPECT_TRUE(l.alive_at(t));
  EXPECT_FALSE(l.alive_at(t + 1ms));
  l.probed(false, t + 2ms);
  EXPECT_TRUE(l.mute_since(t + 1ms));
  EXPECT_FALSE(l.mute_since(t));  // it was alive then
  EXPECT_FALSE(l.mute_since(t + 3ms));
}

// Probes --------------------------------------------------------------------------------------------

TEST(Probes, JudgeTheFirstBytesOfAnAnswer) {
  const config::Probe probe;
  struct Row {
    std::string bytes;
    bool decided;
    const char* failure;
    std::uint64_t generation;
  };
  for (const Row& row : std::vector<Row>{
           {"", false, "", 0},
           {"HTTP/1.1 200 OK\r\n", false, "", 0},
           {"HTTP/1.1 200 OK\r\n\r\n", true, "", 0},
           {"HTTP/1.1 204 No Content\r\nRemora-Generation: 17\r\n\r\n", true, "", 17},
           {"HTTP/1.1 500 Oops\r\nremora-generation: 18\r\n\r\n", true, "status 500", 18},
           {"HTTP/1.1 200 OK\r\nRemora-Generation: soon\r\n\r\n", true, "", 0},
           {"SSH-2.0-OpenSSH_9.2\r\n\r\n", true, "malformed response", 0},
           {std::string(70000, 'x'), true, "head too long", 0},
       }) {
    const auto verdict = judge_answer(row.bytes, probe);
    ASSERT_EQ(verdict.has_value(), row.decided) << row.bytes.substr(0, 30);
    if (!verdict) continue;
    EXPECT_EQ(verdict->failure, row.failure);
    EXPECT_EQ(verdict->generation, row.generation);
  }
}

}  // namespace
}  // namespace remora
