// A backend that keeps a request waiting is suspected and probed: when suspicions are reported, what a
// probe's result does, and which requests leave a hung backend.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;
using Strings = std::vector<std::string>;

const std::string two = R"(
pools:
  app:
    balance: first
    timeouts: {response: 30s}
    failover: {suspect_after: 500ms, attempts: 3}
    health: {probe: {path: /healthz}, eject: {consecutive_failures: 1}}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";
const BackendScript silent{.when = When::never};

/// Starts a request that waits at a. `more`: fields.
void wait_at_a(Trunk& trunk, const std::string& method = "GET", const std::string& body = {}) {
  trunk.connector.script("a", silent);
  Fields fields;
  if (!body.empty()) fields.emplace_back("Content-Length", std::to_string(body.size()));
  trunk.start(method, "/", fields, body);
}
/// The prober's verdict.
void probed(Trunk& trunk, const std::string& id, bool passed) {
  Backend& backend = trunk.backend_of(id);
  backend.liveness.probed(passed, trunk.clock.steady_now());
  backend.liveness.set_down(!passed);
  backend.liveness.settled();
  trunk.worker.suspect_waiters.settled(backend);
  trunk.settle();
}

TEST(Doubt, IsReportedOnceAfterTheTimeAndNoSooner) {
  Trunk trunk(two);
  wait_at_a(trunk);
  trunk.advance(490ms);
  EXPECT_TRUE(trunk.reported_suspects.empty());
  trunk.advance(20ms);
  EXPECT_EQ(trunk.reported_suspects, Strings{"a"});
  trunk.advance(10s);
  EXPECT_EQ(trunk.reported_suspects, Strings{"a"}) << "the probe is pending";
  EXPECT_FALSE(trunk.done());
  trunk.client.reset();
  trunk.settle();
}

TEST(Doubt, IsRepeatedAfterOneTwoFourTimesTheTime) {
  Trunk trunk(two);
  wait_at_a(trunk);
  std::vector<int> at;
  std::size_t seen = 0;
  for (int tenth = 1; tenth < 90; ++tenth) {
    trunk.advance(100ms);
    if (trunk.reported_suspects.size() == seen) continue;
    seen = trunk.reported_suspects.size();
    at.push_back(tenth);
    probed(trunk, "a", true);
  }
  // Reported with the tick that follows, at most a tenth later.
  ASSERT_EQ(at.size(), 5U);
  const int due[] = {5, 10, 20, 40, 80};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_GE(at[i], due[i]);
    EXPECT_LE(at[i], due[i] + 1);
  }
  trunk.client.reset();
  trunk.settle();
}

TEST(Doubt, APassedProbeLetsTheRequestWait) {
  Trunk trunk(two);
  wait_at_a(trunk);
  trunk.advance(600ms);
  probed(trunk, "a", true);
  EXPECT_FALSE(trunk.done());
  trunk.advance(28s);
  EXPECT_FALSE(trunk.done());
  trunk.backend.go();
  trunk.client.reset();
  trunk.settle();
}

TEST(Doubt, ARecentResultCountsForAll) {
  Trunk trunk(two);
  wait_at_a(trunk);
  trunk.advance(450ms);
  trunk.backend_of("a").liveness.probed(true, trunk.clock.steady_now());
  trunk.advance(100ms);
  EXPECT_TRUE(trunk.reported_suspects.empty());
  trunk.client.reset();
  trunk.settle();
}

TEST(Doubt, OfAnotherRequestIsNotAskedAgain) {
  Trunk trunk(two);
  EXPECT_TRUE(trunk.backend_of("a").liveness.suspect());
  wait_at_a(trunk);
  trunk.advance(2s);
  EXPECT_TRUE(trunk.reported_suspects.empty());
  probed(trunk, "a", false);  // but this one hears of it too
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(Hung, ARequestGoesElsewhereAsSoonAsItsBackendIsFoundDown) {
  for (const char* method : {"GET", "HEAD", "PUT", "DELETE"}) {
    Trunk trunk(two);
    trunk.keep_log();
    wait_at_a(trunk, method, method == std::string("PUT") ? "hello" : "");
    trunk.advance(600ms);
    probed(trunk, "a", false);
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().head.status, 200);
    EXPECT_EQ(trunk.connector.connected, (Strings{"a", "b"}));
    EXPECT_EQ(trunk.connector.requests.back().body, method == std::string("PUT") ? "hello" : "");
    EXPECT_TRUE(trunk.holds_nothing());
    const auto log = trunk.take_log();
    EXPECT_EQ(log.front().at("attempts").as_int64(), 2);
  }
}

TEST(Hung, NoPostIsSentTwice) {
  Trunk trunk(two);
  wait_at_a(trunk, "POST", "hello");
  trunk.advance(600ms);
  EXPECT_TRUE(trunk.reported_suspects.empty()) << "it could not leave anyway";
  probed(trunk, "a", false);
  trunk.advance(29s);
  EXPECT_FALSE(trunk.done());
  trunk.advance(1s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 504);
  EXPECT_EQ(trunk.connector.connected, Strings{"a"});
}

TEST(Hung, ABodyThatWasNotKeptStays) {
  Trunk trunk(two + "    session: {}\n");
  trunk.pool_config().failover.replay_body = 4;
  wait_at_a(trunk, "PUT", "hello");
  trunk.advance(600ms);
  probed(trunk, "a", false);
  EXPECT_FALSE(trunk.done());
  trunk.client.reset();
  trunk.settle();
}

TEST(Hung, CostsNoBudget) {
  Trunk trunk(two);
  trunk.snapshot().pools.front()->counters->retrying = 1000;
  while (trunk.snapshot().pools.front()->counters->retry_reserve.take(trunk.clock.steady_now() + 1h)) {
  }
  wait_at_a(trunk);
  trunk.advance(600ms);
  probed(trunk, "a", false);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(trunk.snapshot().pools.front()->counters->retrying.load(), 1000U);
}

TEST(Hung, OnlyOneBackendIsLeftForARequest) {
  Trunk trunk(R"(
pools:
  app:
    balance: first
    timeouts: {response: 3s}
    failover: {suspect_after: 500ms, attempts: 5}
    health: {probe: {path: /healthz}}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}, {id: c, address: 127.0.0.1:3}]
)");
  for (const char* id : {"a", "b", "c"}) trunk.connector.always(id, silent);
  trunk.start("GET", "/");
  trunk.advance(600ms);
  probed(trunk, "a", false);
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "b"}));
  trunk.advance(600ms);
  probed(trunk, "b", false);
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "b"}));
  trunk.advance(3s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 504);
}

TEST(Hung, OthersThatWereFoundDownMeanwhileArePassedOver) {
  Trunk trunk(R"(
pools:
  app:
    balance: first
    timeouts: {response: 30s}
    failover: {suspect_after: 500ms}
    health: {probe: {path: /healthz}}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}, {id: c, address: 127.0.0.1:3}]
)");
  wait_at_a(trunk);
  trunk.advance(600ms);
  trunk.backend_of("b").liveness.set_down(true);
  probed(trunk, "a", false);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "c"}));
}

TEST(Hung, AtTheTimeoutAFailedProbeIsEnough) {
  for (const bool failed : {false, true}) {
    Trunk trunk(R"(
pools:
  app:
    balance: first
    timeouts: {response: 2s}
    failover: {suspect_after: 500ms}
    health: {probe: {path: /healthz}}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)");
    wait_at_a(trunk);
    trunk.advance(600ms);
    trunk.backend_of("a").liveness.probed(!failed, trunk.clock.steady_now());  // one failure is not down yet
    trunk.advance(1300ms);
    EXPECT_FALSE(trunk.done());
    trunk.advance(200ms);
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().head.status, failed ? 200 : 504);
    EXPECT_EQ(trunk.connector.connected.size(), failed ? 2U : 1U);
  }
}

TEST(Hung, NobodyElseInServiceNobodyIsDoubted) {
  Trunk trunk(two);
  trunk.member("b").health = Health::down;
  wait_at_a(trunk);
  trunk.advance(2s);
  EXPECT_TRUE(trunk.reported_suspects.empty());
  trunk.client.reset();
  trunk.settle();
}

TEST(Hung, TheLastAttemptAndPanicDoubtNobody) {
  for (const bool panic : {false, true}) {
    Trunk trunk(two);
    if (panic) trunk.member("a").panic = true;
    if (!panic) trunk.pool_config().failover.attempts = 1;
    wait_at_a(trunk);
    trunk.advance(2s);
    EXPECT_TRUE(trunk.reported_suspects.empty());
    trunk.client.reset();
    trunk.settle();
  }
}

TEST(Hung, ABoundSessionMovesAtOnce) {
  Trunk trunk(two + "    affinity: cookie\n");
  trunk.get("/");
  trunk.connector.connected.clear();
  trunk.connector.script("a", silent);
  trunk.start("GET", "/", {{"Cookie", trunk.cookie()}});
  trunk.advance(600ms);
  probed(trunk, "a", false);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "b"}));
}

TEST(Hung, AVerdictThatComesAfterTheResponseWakesNobody) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::on_go});
  trunk.start("GET", "/");
  trunk.advance(600ms);
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  probed(trunk, "a", false);
  EXPECT_EQ(trunk.connector.connected, Strings{"a"});
}

TEST(Doubt, DefaultsToAThirdOfTheTimeoutOrASecondAndOffIsOff) {
  struct Setting {
    const char* rules;
    std::chrono::milliseconds after;  // zero: never
  };
  const Setting settings[] = {
      {"timeouts: {response: 1500ms}, health: {probe: tcp}", 500ms},
      {"timeouts: {response: 30s}, health: {probe: tcp}", 1s},
      {"timeouts: {response: 30s}, health: {probe: tcp}, failover: {suspect_after: off}", 0ms},
      {"timeouts: {response: 30s}", 0ms},
  };
  for (const Setting& each : settings) {
    SCOPED_TRACE(each.rules);
    Trunk trunk(std::string("pools: {app: {balance: first, ") + each.rules +
                ", backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}}");
    wait_at_a(trunk);
    if (each.after.count() == 0) {
      trunk.advance(10s);
      EXPECT_TRUE(trunk.reported_suspects.empty());
    } else {
      trunk.advance(each.after - 20ms);
      EXPECT_TRUE(trunk.reported_suspects.empty());
      trunk.advance(40ms);
      EXPECT_EQ(trunk.reported_suspects, Strings{"a"});
    }
    trunk.client.reset();
    trunk.settle();
  }
}

}  // namespace
}  // namespace remora::test
