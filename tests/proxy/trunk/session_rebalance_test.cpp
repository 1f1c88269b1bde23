// Moves of idle sessions off a backend that has more than its share of the load.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

TEST(Rebalance, TakesIdleSessionsOffABackendWithMoreThanItsShareAtABoundedRate) {
  Trunk trunk(
      app("affinity: cookie, session: {rebalance: {min_idle: 60s, moves_per_second: 1, threshold: "
          "1.25, without_state: on}}",
          "ab"));
  std::vector<Browser> at_a;
  for (int i = 0; i < 20; ++i) at_a.push_back(begin_at(trunk, "a"));
  const auto moved = [&] {
    int n = 0;
    for (Browser& user : at_a) n += user.ask(trunk).reason == "rebalance" ? 1 : 0;
    return n;
  };
  for (int i = 0; i < 20; ++i) EXPECT_EQ(moved(), 0);  // busy
  trunk.advance(61s);
  EXPECT_EQ(moved(), 1);  // at one instant
  trunk.advance(61s);
  trunk.member("a").weight = 0;  // its sessions stay
  EXPECT_EQ(moved(), 0);
}

TEST(Rebalance, MovesNoSessionWithAnOpenRequest) {
  Trunk trunk(
      app("affinity: cookie, session: {rebalance: {min_idle: 1s, moves_per_second: 1000, threshold: "
          "1.25, without_state: on}}",
          "ab"));
  Browser browser = begin_at(trunk, "a");
  for (int i = 0; i < 50; ++i) browser.ask(trunk);
  trunk.connector.script("a", {.when = BackendScript::When::on_go});
  browser.begin(trunk);
  trunk.advance(5s);
  // The client's other connection is another worker's.
  Trunk other(app("affinity: cookie, session: {rebalance: {min_idle: 1s, moves_per_second: 1000, threshold: "
                  "1.25, without_state: on}}",
                  "ab"),
              nullptr, trunk.memory);
  other.advance(5s);
  other.backend_of("a").served += 100;  // the load is there
  Browser copy = browser;
  EXPECT_EQ(copy.ask(other).reason, "sticky");
  trunk.backend.go();
  trunk.settle();
  EXPECT_EQ(browser.end(trunk).backend, "a");
  trunk.advance(5s);
  other.advance(5s);
  EXPECT_EQ(copy.ask(other).reason, "rebalance");
}

TEST(Rebalance, IsOffUnlessAskedFor) {
  Trunk trunk(app("affinity: cookie", "ab"));
  Browser browser = begin_at(trunk, "a");
  trunk.backend_of("a").served += 1000;
  trunk.rest(5min);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
}

}  // namespace
}  // namespace remora::test
