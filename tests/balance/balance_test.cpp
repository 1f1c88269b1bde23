#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "balance/policy.h"
#include "balance/rendezvous.h"
#include "session/lifecycle.h"

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

TEST(First, FillsInOrder) {
  auto pool = pool_of({1, 1});
  for (auto& m : pool->members) m.max_in_flight = 2;
  const auto balancer = make_balancer(Balance::first, pool, 1);
  EXPECT_EQ(picks(*balancer, 4, true), (std::map<std::string, int>{{"b0", 2}, {"b1", 2}}));
}

// Rendezvous ----------------------------------------------------------------------------------------

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

TEST(Lifecycle, ReasonsToMove) {
  Member m;
  EXPECT_EQ(reason_to_move(nullptr, Binding{}), Reason::removed);
  EXPECT_EQ(reason_to_move(&m, Binding{}), Reason::none);
  m.admin = Admin::drain;
  m.weight = 0;
  EXPECT_EQ(reason_to_move(&m, Binding{}), Reason::none);
  m.health = Health::down;
  EXPECT_EQ(reason_to_move(&m, Binding{}), Reason::failover);
  m.admin = Admin::maint;
  EXPECT_EQ(reason_to_move(&m, Binding{}), Reason::maint);
}

TEST(Lifecycle, TheAnnouncementIsAStructuredItem) {
  Binding b;
  b.id.bytes[0] = 0xab;
  b.epoch = 3;
  std::string out;
  append_announcement(b, Reason::failover, out);
  EXPECT_EQ(out, "\"ab000000000000000000000000000000\";epoch=3;reason=failover");
}

}  // namespace
}  // namespace remora
