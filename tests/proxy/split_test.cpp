// Which pool of a split is drawn.

#include "proxy/split.h"

#include <gtest/gtest.h>

#include <map>

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
