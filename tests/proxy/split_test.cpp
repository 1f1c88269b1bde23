// Which pool of a split is drawn.

#include "proxy/split.h"

#include <gtest/gtest.h>

#include <map>

#include "proxy/decide_pool.h"

namespace remora {
namespace {

RouteView route_of(std::vector<std::uint32_t> weights) {
  RouteView route;
  for (std::size_t i = 0; i < weights.size(); ++i) route.targets.push_back({10 + i, weights[i]});
  return route;
}

TEST(DrawTarget, FollowsTheWeightsOfThoseThatFit) {
  const RouteView route = route_of({2, 5, 3, 0});
  std::map<std::size_t, int> all, without;
  for (std::uint64_t key = 0; key < 1000; ++key) {
    ++all[*draw_target(route, key, [](std::size_t) { return true; })];
    ++without[*draw_target(route, key, [](std::size_t pool) { return pool != 11; })];
  }
  EXPECT_EQ(all, (std::map<std::size_t, int>{{0, 200}, {1, 500}, {2, 300}}));
  EXPECT_EQ(without, (std::map<std::size_t, int>{{0, 400}, {2, 600}}));
}

TEST(DrawTarget, SomebodyHasToFit) {
  const RouteView route = route_of({2, 0});
  EXPECT_EQ(draw_target(route, 7, [](std::size_t) { return false; }), std::nullopt);
  EXPECT_EQ(draw_target(route, 7, [](std::size_t pool) { return pool == 11; }),
            std::nullopt);  // of no weight
}

/// Two pools, of one backend each, and a route that splits between them. The third pool has both backends.
class DecidePool : public ::testing::Test {
 protected:
  DecidePool() {
    for (const std::vector<const char*>& ids : {std::vector{"a"}, std::vector{"b"}, std::vector{"a", "b"}}) {
      auto members = std::make_shared<PoolSnapshot>();
      for (const char* id : ids) {
        Member m;
        m.backend = std::make_shared<Backend>("p", id);
        members->members.push_back(m);
      }
      auto view = std::make_shared<PoolView>();
      view->snapshot = members;
      snapshot_.pools.push_back(view);
    }
    route_.targets = {{0, 1}, {1, 1}, {2, 1}};
  }
  Member& first_of(std::size_t pool) {
    return std::const_pointer_cast<PoolSnapshot>(snapshot_.pools[pool]->snapshot)->members.front();
  }
  static Recognized session(const char* backend, std::uint32_t epoch) {
    Recognized r;
    r.what = Recognized::What::session;
    r.binding.backend = backend_hash(backend);
    r.binding.epoch = epoch;
    return r;
  }
  PoolDecision decide(std::vector<Recognized> found, std::uint64_t key = 0) const {
    return decide_pool(snapshot_, route_, key, [&](const PoolView& pool) {
      for (std::size_t i = 0; i < found.size(); ++i)
        if (snapshot_.pools[i].get() == &pool) return found[i];
      return Recognized();
    });
  }

  Snapshot snapshot_;
  RouteView route_;
};

TEST_F(DecidePool, ASessionDecidesElseThePoolIsDrawn) {
  const PoolDecision none = decide({{}, {}}, 1);
  EXPECT_TRUE(none.drawn);
  EXPECT_EQ(none.pool, 1U);
  const PoolDecision there = decide({{}, session("b", 1)});
  EXPECT_FALSE(there.drawn);
  EXPECT_EQ(there.pool, 1U);
  EXPECT_FALSE(there.left);
  first_of(1).health = Health::down;
  EXPECT_EQ(decide({{}, {}}, 1).pool, 2U);  // only pools in service are drawn
}

TEST_F(DecidePool, APoolWithoutRoomIsDrawnOnlyWhenAllAreFull) {
  const auto fill = [](Member& m) {
    m.max_sessions = 1;
    m.sessions = std::make_shared<SessionGauge>();
    m.sessions->add();
  };
  fill(first_of(0));
  for (std::uint64_t key = 0; key < 10; ++key) EXPECT_NE(decide({}, key).pool, 0U);
  EXPECT_EQ(decide({session("a", 1)}).pool, 0U);  // bound sessions need none
  EXPECT_EQ(decide_other_pool(snapshot_, route_, 1, false, 0, Tried())->pool, 2U);
  fill(first_of(1));
  route_.targets.pop_back();
  bool first = false, second = false;
  for (std::uint64_t key = 0; key < 10; ++key) (decide({}, key).pool == 0 ? first : second) = true;
  EXPECT_TRUE(first && second);
  // A session that must move goes to a full pool rather than nowhere.
  const auto moves = decide_other_pool(snapshot_, route_, 0, true, 0, Tried());
  ASSERT_TRUE(moves.has_value());
  EXPECT_EQ(moves->pool, 1U);
}

TEST_F(DecidePool, ARouteLeadsToItsPoolsAndTheirFallbacks) {
  route_.targets = {{0, 1}};
  std::const_pointer_cast<PoolView>(snapshot_.pools[0])->fallback_pool = 1;
  std::const_pointer_cast<PoolView>(snapshot_.pools[1])->fallback_pool = 2;
  for (const std::size_t pool : {0U, 1U, 2U}) EXPECT_TRUE(can_lead_to(snapshot_, route_, pool));
  route_.targets = {{1, 1}};
  EXPECT_FALSE(can_lead_to(snapshot_, route_, 0));
}

TEST_F(DecidePool, OfSeveralSessionsThatHaveMovedAwayTheLatestMoveCounts) {
  const PoolDecision d = decide({session("b", 2), session("a", 3)});
  EXPECT_EQ(d.pool, 0U);
  EXPECT_EQ(d.left, 1U);
  EXPECT_EQ(d.found.binding.epoch, 3U);
  EXPECT_EQ(decide({session("b", 3), session("a", 3)}).pool, 1U);  // of equals, the first
}

TEST_F(DecidePool, TheFirstPoolOfABackendIsItsHome) {
  Tried tried;
  const Home home = home_of(snapshot_, route_, backend_hash("b"), tried);
  EXPECT_EQ(home.pool, 1U);
  first_of(1).admin = Admin::maint;
  EXPECT_EQ(home_of(snapshot_, route_, backend_hash("b"), tried).pool, 2U);
  EXPECT_EQ(home_of(snapshot_, route_, backend_hash("x"), tried).member, nullptr);
}

TEST_F(DecidePool, ASisterIsAnotherPoolInService) {
  const auto other_pool = decide_other_pool(snapshot_, route_, 0, false, 0, Tried());
  ASSERT_TRUE(other_pool.has_value());
  EXPECT_EQ(other_pool->pool, 1U);
  EXPECT_EQ(other_pool->member, nullptr);
  first_of(1).health = Health::down;
  EXPECT_EQ(decide_other_pool(snapshot_, route_, 0, false, 0, Tried())->pool, 2U);
  route_.targets.pop_back();
  EXPECT_FALSE(decide_other_pool(snapshot_, route_, 0, false, 0, Tried()).has_value());
}

TEST(InService, IsAPoolWithSomebodyForNewSessions) {
  PoolSnapshot pool;
  EXPECT_FALSE(in_service(pool));
  Member m;
  m.backend = std::make_shared<Backend>("p", "a");
  m.backup = true;
  pool.members.push_back(m);
  EXPECT_TRUE(in_service(pool));
  pool.members[0].admin = Admin::drain;
  EXPECT_FALSE(in_service(pool));
}

}  // namespace
}  // namespace remora
