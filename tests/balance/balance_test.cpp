#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "balance/expected_load.h"
#include "balance/policy.h"
#include "balance/rendezvous.h"
#include "session/lifecycle.h"
#include "support/manual_clock.h"

namespace remora {
namespace {

std::shared_ptr<PoolSnapshot> pool_of(std::vector<std::uint32_t> weights) {
  auto pool = std::make_shared<PoolSnapshot>();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    Member m;
    m.backend = std::make_shared<Backend>("p", "b" + std::to_string(i));
    m.weight = weights[i];
    pool->members.push_back(m);
  }
  return pool;
}

std::map<std::string, int> picks(LoadBalancer& balancer, int n, bool hold = false) {
  std::map<std::string, int> counts;
  for (int i = 0; i < n; ++i) {
    const Member* m = balancer.pick(Tried(), Purpose::request);
    ++counts[m->backend->id];
    if (hold) ++m->backend->in_flight;
  }
  return counts;
}

using config::Balance;
class EachPolicy : public ::testing::TestWithParam<Balance> {};

TEST_P(EachPolicy, NeverPicksTheTriedTheDownTheDrainedOrTheWeightless) {
  auto pool = pool_of({1, 1, 1, 0, 1});
  pool->members[1].health = Health::down;
  pool->members[2].admin = Admin::drain;
  const auto balancer = make_balancer(GetParam(), pool, 7);
  Tried tried;
  tried.add(pool->members[0].backend.get());
  for (int i = 0; i < 50; ++i) EXPECT_EQ(balancer->pick(tried, Purpose::request)->backend->id, "b4");
  tried.add(pool->members[4].backend.get());
  EXPECT_EQ(balancer->pick(tried, Purpose::request), nullptr);
}

TEST_P(EachPolicy, BeginsSessionsOnlyWhereThereIsRoom) {
  for (const std::size_t n : {3U, 40U}) {
    auto pool = pool_of(std::vector<std::uint32_t>(n, 1));
    for (Member& m : pool->members) {
      m.max_sessions = 2;
      m.sessions = std::make_shared<SessionGauge>();
      m.sessions->add();
      m.sessions->add();
    }
    const auto balancer = make_balancer(GetParam(), pool, 7);
    EXPECT_EQ(balancer->pick(Tried(), Purpose::session), nullptr);
    EXPECT_TRUE(balancer->candidates(Tried(), Purpose::session).empty());
    EXPECT_NE(balancer->pick(Tried(), Purpose::request), nullptr);  // begins no session
    pool->members[1].sessions->remove();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer->pick(Tried(), Purpose::session)->backend->id, "b1");
    pool->members[1].backend->failures.failed_to_connect(1);
    EXPECT_EQ(balancer->pick(Tried(), Purpose::session)->backend->id, "b1");  // better than none
    pool->members[2].max_sessions = 3;                                        // raised by a reload
    EXPECT_EQ(balancer->pick(Tried(), Purpose::session)->backend->id, "b2");
  }
}

TEST_P(EachPolicy, BeginsSessionsAtBackupsWhenAllOthersAreFull) {
  auto pool = pool_of({1, 1});
  pool->members[1].backup = true;
  pool->members[0].max_sessions = 1;
  pool->members[0].sessions = std::make_shared<SessionGauge>();
  const auto balancer = make_balancer(GetParam(), pool, 7);
  EXPECT_EQ(balancer->pick(Tried(), Purpose::session)->backend->id, "b0");
  pool->members[0].sessions->add();
  EXPECT_EQ(balancer->pick(Tried(), Purpose::session)->backend->id, "b1");
}

TEST_P(EachPolicy, PicksOneOfItsCandidatesAndTheOnlyOneIsCertain) {
  auto pool = pool_of({1, 2, 1, 1, 3});
  pool->members[0].health = Health::down;
  pool->members[2].max_in_flight = 1;
  pool->members[2].backend->in_flight = 1;
  const auto balancer = make_balancer(GetParam(), pool, 7);
  for (const Purpose purpose : {Purpose::request, Purpose::session})
    for (std::uint32_t load = 0; load < 6; ++load) {
      pool->members[1].backend->in_flight = load;
      pool->members[3].backend->in_flight = 5 - load;
      const std::vector<const Member*> all = balancer->candidates(Tried(), purpose);
      EXPECT_EQ(balancer->candidates(Tried(), purpose), all);
      for (int i = 0; i < 20; ++i) {
        const Member* const picked = balancer->pick(Tried(), purpose);
        EXPECT_NE(std::find(all.begin(), all.end(), picked), all.end()) << picked->backend->id;
      }
    }
  for (Member& m : pool->members) m.backend->in_flight = 9;
  for (Member& m : pool->members) m.max_in_flight = 1;
  EXPECT_EQ(balancer->candidates(Tried(), Purpose::request).size(), 1U);  // all are full
}

TEST_P(EachPolicy, UsesBackupsOnlyWhenNobodyElseIsLeft) {
  auto pool = pool_of({1, 1});
  pool->members[1].backup = true;
  const auto balancer = make_balancer(GetParam(), pool, 7);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer->pick(Tried(), Purpose::request)->backend->id, "b0");
  Tried tried;
  tried.add(pool->members[0].backend.get());
  EXPECT_EQ(balancer->pick(tried, Purpose::request)->backend->id, "b1");
}

TEST_P(EachPolicy, PassesOverTheFullAndQueuesAtTheLeastLoadedWhenAllAre) {
  auto pool = pool_of({1, 1});
  for (auto& m : pool->members) m.max_in_flight = 3;
  pool->members[0].backend->in_flight = 3;
  const auto balancer = make_balancer(GetParam(), pool, 7);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer->pick(Tried(), Purpose::request)->backend->id, "b1");
  pool->members[1].backend->in_flight = 5;
  EXPECT_EQ(balancer->pick(Tried(), Purpose::request)->backend->id, "b0");
}

TEST_P(EachPolicy, PassesOverThoseWhoseFailuresWereJustReported) {
  auto pool = pool_of({1, 1});
  ASSERT_TRUE(pool->members[0].backend->failures.failed_to_answer(1));
  const auto balancer = make_balancer(GetParam(), pool, 7);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer->pick(Tried(), Purpose::request)->backend->id, "b1");
  Tried tried;
  tried.add(pool->members[1].backend.get());
  EXPECT_EQ(balancer->pick(tried, Purpose::request)->backend->id, "b0");
  pool->members[0].backup = true;  // also as the last of the backups
  EXPECT_EQ(make_balancer(GetParam(), pool, 7)->pick(tried, Purpose::request)->backend->id, "b0");
  pool->members[0].backup = false;
  pool->members[0].backend->failures.judged();
  std::set<std::string> used;
  for (int i = 0; i < 50; ++i) {
    const Member* const m = balancer->pick(Tried(), Purpose::request);
    used.insert(m->backend->id);
    if (GetParam() == Balance::first) break;
  }
  EXPECT_TRUE(used.contains("b0"));
}

TEST_P(EachPolicy, AnEmptyPoolHasNobody) {
  EXPECT_EQ(make_balancer(GetParam(), pool_of({}), 7)->pick(Tried(), Purpose::request), nullptr);
}

INSTANTIATE_TEST_SUITE_P(All, EachPolicy,
                         ::testing::Values(Balance::round_robin, Balance::least_requests, Balance::random_two,
                                           Balance::peak_ewma, Balance::first));

TEST(RoundRobin, IsExactAndSmooth) {
  auto pool = pool_of({5, 1, 1});
  const auto balancer = make_balancer(Balance::round_robin, pool, 1);
  picks(*balancer, 70);
  const auto counts = picks(*balancer, 700);
  EXPECT_EQ(counts.at("b0"), 500);
  EXPECT_EQ(counts.at("b1"), 100);
  int run = 0, longest = 0;
  for (int i = 0; i < 70; ++i) {
    run = balancer->pick(Tried(), Purpose::request)->backend->id == "b0" ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  EXPECT_LE(longest, 5);
}

TEST(LeastRequests, EvensOutByWeight) {
  const auto counts = picks(*make_balancer(Balance::least_requests, pool_of({1, 2, 3}), 1), 600, true);
  EXPECT_NEAR(counts.at("b0"), 100, 2);
  EXPECT_NEAR(counts.at("b2"), 300, 2);
}

TEST(LeastRequests, TiesFallEvenlyAndLargePoolsAreSampled) {
  for (const std::size_t n : {3U, 16U, 100U}) {
    const auto counts =
        picks(*make_balancer(Balance::least_requests, pool_of(std::vector<std::uint32_t>(n, 1)), 1),
              static_cast<int>(n) * 200);
    EXPECT_EQ(counts.size(), n);
    for (const auto& [id, count] : counts) EXPECT_NEAR(count, 200, 80) << id;
  }
}

TEST(RandomTwo, PrefersTheLessLoaded) {
  auto pool = pool_of({1, 1, 1});
  pool->members[0].backend->in_flight = 100;
  EXPECT_EQ(picks(*make_balancer(Balance::random_two, pool, 1), 300).count("b0"), 0U);
}

TEST(PeakEwma, AvoidsTheSlowAndForgivesSlowly) {
  using namespace std::chrono_literals;
  auto pool = pool_of({1, 1});
  const auto balancer = make_balancer(Balance::peak_ewma, pool, 1);
  std::chrono::steady_clock::time_point now{};
  balancer->observe(*pool->members[0].backend, 500ms, now);
  balancer->observe(*pool->members[1].backend, 5ms, now);
  EXPECT_EQ(picks(*balancer, 50).count("b0"), 0U);
  for (int i = 0; i < 20; ++i) balancer->observe(*pool->members[0].backend, 1ms, now += 10s);
  EXPECT_GT(picks(*balancer, 50)["b0"], 0);
}

TEST(PeakEwma, WhatNeverAnsweredIsNotQuick) {
  using namespace std::chrono_literals;
  using Took = LoadBalancer::Took;
  auto pool = pool_of({1, 1});
  const auto balancer = make_balancer(Balance::peak_ewma, pool, 1);
  std::chrono::steady_clock::time_point now{};
  balancer->observe(*pool->members[0].backend, 500ms, now);
  balancer->observe(*pool->members[1].backend, 50ms, now);
  // Clients that leave at once, and errors, would have made it the favorite.
  for (int i = 0; i < 20; ++i) balancer->observe(*pool->members[0].backend, 1ms, now += 10s, Took::at_least);
  EXPECT_EQ(picks(*balancer, 50).count("b0"), 0U);
  balancer->observe(*pool->members[1].backend, 900ms, now, Took::at_least);  // and it takes longer still
  EXPECT_EQ(picks(*balancer, 50).count("b1"), 0U);
}

TEST(First, FillsInOrder) {
  auto pool = pool_of({1, 1});
  for (auto& m : pool->members) m.max_in_flight = 2;
  const auto balancer = make_balancer(Balance::first, pool, 1);
  EXPECT_EQ(picks(*balancer, 4, true), (std::map<std::string, int>{{"b0", 2}, {"b1", 2}}));
}

// Rendezvous ----------------------------------------------------------------------------------------

TEST(PoolSnapshot, FindsEachMemberByItsHashIndexedOrNot) {
  const auto pool = pool_of(std::vector<std::uint32_t>(500, 1));
  for (const bool indexed : {false, true}) {
    if (indexed) pool->index();
    for (const Member& m : pool->members) ASSERT_EQ(pool->find(m.backend->hash), &m);
    EXPECT_EQ(pool->find(pool->members[7].backend->hash + 1), nullptr);
    EXPECT_EQ(pool->find(0), nullptr);
    EXPECT_EQ(pool->find(~std::uint64_t{0}), nullptr);
  }
  const PoolSnapshot copy = *pool;  // as every change of facts makes one
  EXPECT_EQ(copy.find(copy.members[3].backend->hash), &copy.members[3]);
}

/// What one logarithm a member would give, whatever the weights (a contract between releases: sessions stay).
TEST(Rendezvous, TheOrderIsThatOfTheWeightedLogarithms) {
  const auto mixed = pool_of({1, 2, 1, 3, 2, 1, 1}), same = pool_of({4, 4, 4, 4, 4});
  for (const auto& pool : {mixed, same})
    for (std::uint64_t key = 1; key < 2000; ++key) {
      const Member* best = nullptr;
      for (const Member& m : pool->members)
        if (best == nullptr || RendezvousScore(key, m).value() > RendezvousScore(key, *best).value())
          best = &m;
      ASSERT_EQ(rendezvous(key, *pool, Tried()), best);
    }
}

TEST(Rendezvous, ASlowStartLeadsNoKeyElsewhere) {
  auto whole = pool_of({100, 100, 200, 100});
  auto warming = std::make_shared<PoolSnapshot>(*whole);
  for (Member& m : warming->members) m.full_weight = m.weight;
  warming->members[2].weight = 20;
  for (const double bounded : {0.0, 1.25})
    for (std::uint64_t key = 1; key < 2000; ++key)
      ASSERT_EQ(rendezvous(key, *whole, Tried(), bounded)->backend,
                rendezvous(key, *warming, Tried(), bounded)->backend);
}

TEST(Rendezvous, ASessionBeginsAtItsKeysFirstChoiceWithRoom) {
  auto pool = pool_of({1, 1, 1, 1});
  for (Member& m : pool->members) {
    m.max_sessions = 1;
    m.sessions = std::make_shared<SessionGauge>();
  }
  const Member* const first = rendezvous_for_session(7, *pool, Tried());
  EXPECT_EQ(first, rendezvous(7, *pool, Tried()));
  first->sessions->add();
  Tried tried;
  tried.add(first->backend.get());
  EXPECT_EQ(rendezvous_for_session(7, *pool, Tried()), rendezvous(7, *pool, tried));
  for (const Member& m : pool->members) m.sessions->add();
  EXPECT_EQ(rendezvous_for_session(7, *pool, Tried()), nullptr);
  EXPECT_EQ(rendezvous(7, *pool, Tried()), first);  // a hash without a session needs no room
}

TEST(Rendezvous, OneOfTenComesOrGoesAndOnlyItsShareMoves) {
  auto ten = pool_of(std::vector<std::uint32_t>(10, 1));
  auto nine = std::make_shared<PoolSnapshot>(*ten);
  nine->members.pop_back();
  int moved = 0;
  for (std::uint64_t key = 0; key < 100'000; ++key) {
    const Member* a = rendezvous(key * 0x9e3779b97f4a7c15ULL, *ten, Tried());
    const Member* b = rendezvous(key * 0x9e3779b97f4a7c15ULL, *nine, Tried());
    if (a->backend == b->backend) continue;
    ++moved;
    EXPECT_EQ(a->backend->id, "b9");  // nobody moves between two that stayed
  }
  EXPECT_NEAR(moved, 10'000, 600);
}

TEST(Rendezvous, FollowsWeights) {
  auto pool = pool_of({1, 2, 0, 5});
  std::map<std::string, int> counts;
  for (std::uint64_t key = 0; key < 80'000; ++key)
    ++counts[rendezvous(key * 0x9e3779b97f4a7c15ULL, *pool, Tried())->backend->id];
  EXPECT_EQ(counts.count("b2"), 0U);
  EXPECT_NEAR(counts["b0"], 10'000, 500);
  EXPECT_NEAR(counts["b1"], 20'000, 700);
  EXPECT_NEAR(counts["b3"], 50'000, 900);
}

// Lifecycle -----------------------------------------------------------------------------------------

TEST(Lifecycle, ADeadBackendsSessionsSpreadEvenlyAndEveryReplicaAgrees) {
  auto pool = pool_of({1, 1, 1, 1});
  pool->members[0].health = Health::down;
  std::map<std::string, int> counts;
  for (int i = 0; i < 3000; ++i) {
    Binding b;
    for (std::size_t k = 0; k < 4; ++k) b.id.bytes[k] = static_cast<std::uint8_t>(i >> (8 * k));
    const Member* to = rendezvous(move_key(b), *pool, Tried());
    EXPECT_EQ(to, rendezvous(move_key(b), *pool, Tried()));
    ++counts[to->backend->id];
    const Binding after = moved(b, *to->backend);
    EXPECT_EQ(after.epoch, b.epoch + 1);
    EXPECT_NE(move_key(after), move_key(b));  // the next move is another draw
  }
  EXPECT_EQ(counts.size(), 3U);
  for (const auto& [id, n] : counts) EXPECT_NEAR(n, 1000, 120) << id;
}

// Bounded load --------------------------------------------------------------------------------------

TEST(BoundedLoad, CapsABackendAtItsShareAndSpillsOverInTheKeysOwnOrder) {
  auto pool = pool_of({1, 1, 1, 1});
  constexpr std::uint64_t hot = 42;
  const Member* const first = rendezvous(hot, *pool, Tried());
  Tried without_first;
  without_first.add(first->backend.get());
  const Member* const second = rendezvous(hot, *pool, without_first);
  std::map<const Member*, std::uint32_t> got;
  for (std::uint32_t i = 0; i < 400; ++i) {  // one key only, nothing ever ends
    const Member* const m = rendezvous(hot, *pool, Tried(), 1.25);
    ++m->backend->in_flight;
    ++got[m];
    for (const Member& each : pool->members)
      EXPECT_LE(each.backend->in_flight, std::ceil(1.25 * (i + 1) / 4)) << each.backend->id;
  }
  EXPECT_EQ(got[first], 125U);
  EXPECT_EQ(got[second], 125U);
}

TEST(BoundedLoad, FollowsWeights) {
  auto pool = pool_of({3, 1});
  for (std::uint64_t i = 0; i < 400; ++i)
    ++rendezvous(i * 0x9e3779b97f4a7c15ULL, *pool, Tried(), 1.01)->backend->in_flight;
  EXPECT_NEAR(pool->members[0].backend->in_flight, 300U, 6);
}

TEST(BoundedLoad, AKeyStaysWhereItIsWhileThereIsRoom) {
  auto pool = pool_of({1, 1, 1});
  for (auto& m : pool->members) m.backend->in_flight = 10;
  for (std::uint64_t key = 0; key < 1000; ++key)
    EXPECT_EQ(rendezvous(key, *pool, Tried(), 1.25), rendezvous(key, *pool, Tried()));
}

// Expected load -------------------------------------------------------------------------------------

TEST(ExpectedLoad, CountsRequestsAndForgetsThem) {
  Backend b("p", "b");
  Clock::Steady now{std::chrono::hours(1)};
  b.served = 100;
  EXPECT_DOUBLE_EQ(expected_load(b, now), 100);
  now += std::chrono::minutes(1);
  EXPECT_NEAR(expected_load(b, now), 100 / std::exp(1), 1e-9);
  b.served += 10;
  EXPECT_NEAR(expected_load(b, now), 100 / std::exp(1) + 10, 1e-9);
}

TEST(ExpectedLoad, SessionsGoToTheBackendsOfQuietUsers) {
  auto pool = pool_of({1, 1, 1, 1});
  const auto balancer = make_balancer(Balance::least_requests, pool, 3);
  pool->members[2].backend->served = 1000;  // somebody there asks without end
  std::map<std::string, int> counts;
  for (int i = 0; i < 300; ++i) {
    const Member* const m = balancer->pick(Tried(), Purpose::session);
    ++m->backend->served;
    ++counts[m->backend->id];
  }
  EXPECT_EQ(counts.count("b2"), 0U);
  for (const char* id : {"b0", "b1", "b3"}) EXPECT_NEAR(counts[id], 100, 2);
}

TEST(ExpectedLoad, WhoWasBusyLongAgoGetsSessionsAgain) {
  test::ManualClock clock;
  auto pool = pool_of({1, 1});
  const auto balancer = make_balancer(Balance::least_requests, pool, 3, clock);
  pool->members[0].backend->served = 1000;
  const auto sessions_at_first = [&] {
    int n = 0;
    for (int i = 0; i < 100; ++i) n += balancer->pick(Tried(), Purpose::session)->backend->id == "b0" ? 1 : 0;
    return n;
  };
  EXPECT_EQ(sessions_at_first(), 0);
  clock.advance(std::chrono::minutes(5));
  EXPECT_EQ(sessions_at_first(), 0);  // what is left of them still says something
  clock.advance(std::chrono::hours(1));
  EXPECT_NEAR(sessions_at_first(), 50, 20);
}

}  // namespace
}  // namespace remora
