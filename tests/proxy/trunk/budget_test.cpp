// The retry budget: which retries it counts, its reserve of ten per second, and that every count is given
// back. And what attempts report: failures in a row, lost backends.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using Fails = BackendScript::Fails;
using When = BackendScript::When;

constexpr const char* two = R"(
pools:
  app:
    balance: first
    timeouts: {connect: 100ms, response: 1s}
    failover: {retry_on: [connect, refused, reset, timeout, 502, 503, 504]}
    health: {eject: off}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";
/// With ejection after three failures in a row.
constexpr const char* ejects = R"(
pools:
  app:
    balance: first
    timeouts: {connect: 100ms, response: 1s}
    failover: {retry_on: [connect, refused, reset, timeout, 502, 503, 504]}
    health: {eject: {consecutive_failures: 3}}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";

/// So many requests of other connections hold a retry of this pool.
void others_retry(Trunk& trunk, std::uint32_t count) {
  trunk.snapshot().pools.front()->counters->retrying = count;
}
void others_run(Trunk& trunk, std::uint32_t count) {
  trunk.backend_of("b").in_flight = count;
}
std::uint32_t retrying(Trunk& trunk) {
  return trunk.snapshot().pools.front()->counters->retrying.load();
}
/// Takes all of the reserve of the next seconds.
void use_up_reserve(Trunk& trunk) {
  const Clock::Steady later = trunk.clock.steady_now() + std::chrono::seconds(10);
  while (trunk.snapshot().pools.front()->counters->retry_reserve.take(later)) {
  }
}
bool is_retried(Trunk& trunk, const BackendScript& first) {
  trunk.connector.connected.clear();
  trunk.connector.script("a", first);
  trunk.get("/");
  return trunk.connector.connected.size() > 1;
}
const BackendScript closes{.fails = Fails::closes};

TEST(Budget, ARetryIsCountedWhileItsRequestRunsAndThenGivenBack) {
  Trunk trunk(two);
  trunk.connector.script("a", closes);
  trunk.connector.script("b", {.when = When::on_go});
  trunk.start("GET", "/");
  EXPECT_EQ(retrying(trunk), 1U);
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(retrying(trunk), 0U);
}

TEST(Budget, ARequestThatIsRetriedTwiceCountsOnce) {
  Trunk trunk(
      "pools: {app: {balance: first, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: "
      "127.0.0.1:2}, "
      "{id: c, address: 127.0.0.1:3}]}}");
  trunk.connector.script("a", closes);
  trunk.connector.script("b", closes);
  trunk.connector.script("c", {.when = When::on_go});
  trunk.start("GET", "/");
  EXPECT_EQ(retrying(trunk), 1U);
  trunk.backend.go();
  trunk.settle();
  EXPECT_EQ(retrying(trunk), 0U);
}

TEST(Budget, ThreeRetriesAreAllowedHoweverFewRequestsRun) {
  for (const std::uint32_t others : {0U, 2U, 3U}) {
    Trunk trunk(two);
    use_up_reserve(trunk);
    others_retry(trunk, others);
    EXPECT_EQ(is_retried(trunk, closes), others < 3);
    EXPECT_EQ(retrying(trunk), others);
  }
}

TEST(Budget, IsAShareOfTheRequestsInFlightThisOneIncluded) {
  // 20 % of 20 is 4: the fourth retry is allowed, a fifth is not. 19 others and this one are 20.
  for (const auto& [others, running, allowed] :
       {std::tuple{3U, 19U, true}, {3U, 18U, false}, {4U, 19U, false}, {4U, 24U, true}, {9U, 49U, true}}) {
    Trunk trunk(two);
    use_up_reserve(trunk);
    others_retry(trunk, others);
    others_run(trunk, running);
    EXPECT_EQ(is_retried(trunk, closes), allowed) << others << " retries, " << running << " others";
  }
}

TEST(Budget, BeyondItTenRetriesASecondAreInReserve) {
  Trunk trunk(two);
  others_retry(trunk, 1000);
  int retried = 0;
  for (int i = 0; i < 30; ++i) retried += is_retried(trunk, closes) ? 1 : 0;
  EXPECT_EQ(retried, 10);
  trunk.clock.advance(std::chrono::milliseconds(301));
  retried = 0;
  for (int i = 0; i < 30; ++i) retried += is_retried(trunk, closes) ? 1 : 0;
  EXPECT_EQ(retried, 3);
}

TEST(Budget, WithinItTheReserveIsNotTouched) {
  Trunk trunk(two);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(is_retried(trunk, closes));
  others_retry(trunk, 1000);
  int retried = 0;
  for (int i = 0; i < 30; ++i) retried += is_retried(trunk, closes) ? 1 : 0;
  EXPECT_EQ(retried, 10);
}

TEST(Budget, DeniesWhatABackendMayHaveDoneAndNothingElse) {
  struct Kind {
    const char* name;
    BackendScript script;
    bool costs;
  };
  const Kind kinds[] = {
      {"refused", {.connect = Connect::refuses}, false},
      {"connect timeout", {.connect = Connect::silent}, false},
      {"unreachable", {.connect = Connect::unreachable}, false},
      {"broken before the first byte", {.dead = true}, false},
      {"idle connection, dead", {.idle = true, .dead = true}, false},
      {"idle connection, closed", {.idle = true, .fails = Fails::closes}, false},
      {"closed", closes, true},
      {"silent", {.when = When::never}, true},
      {"503", {.head = "503 Busy\r\nContent-Length: 0\r\n"}, true},
  };
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.name);
    Trunk trunk(two);
    use_up_reserve(trunk);
    others_retry(trunk, 1000);
    trunk.connector.script("a", kind.script);
    trunk.get("/");
    EXPECT_EQ(trunk.connector.connected.size() > 1, !kind.costs);
  }
}

TEST(Budget, WithoutOneTheAppsOwnErrorIsDelivered) {
  for (const bool denied : {true, false}) {
    Trunk trunk(two);
    use_up_reserve(trunk);
    if (denied) others_retry(trunk, 1000);
    trunk.connector.script("a", {.head = "503 Busy\r\nContent-Length: 4\r\nX-App: yes\r\n", .body = "busy"});
    const Delivered& got = trunk.get("/");
    EXPECT_EQ(got.head.status, denied ? 503 : 200);
    EXPECT_EQ(field(got.head.fields, "X-App").has_value(), denied);
    EXPECT_EQ(got.body, denied ? "busy" : "");
    EXPECT_EQ(retrying(trunk), denied ? 1000U : 0U);
    EXPECT_EQ(trunk.connector.kept.size(), 1U);
    EXPECT_TRUE(denied || trunk.holds_nothing());
  }
}

TEST(Budget, ADeadIdleConnectionIsFreeOnceARequest) {
  // The first one costs nothing; the new connection that breaks afterwards does.
  Trunk trunk(two);
  use_up_reserve(trunk);
  others_retry(trunk, 1000);
  trunk.connector.script("a", {.idle = true, .fails = Fails::closes});
  trunk.connector.script("b", {.idle = true, .fails = Fails::closes});
  const Delivered& got = trunk.get("/");
  EXPECT_EQ(got.head.status, 502);
  EXPECT_EQ(trunk.connector.connected, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(trunk.connector.requests.back().reused) << "after a dead idle one, all are new";
}

TEST(Budget, AnIdleConnectionThatBreaksIsNotMentionedAnywhere) {
  Trunk trunk(two);
  for (int i = 0; i < 10; ++i) {
    trunk.connector.script("a", {.idle = true, .fails = Fails::closes});
    EXPECT_EQ(trunk.get("/").head.status, 200);
  }
  EXPECT_TRUE(trunk.reported_failures.empty());
  EXPECT_TRUE(trunk.reported_lost.empty());
}

// Reports -------------------------------------------------------------------------------------------

TEST(Reports, AThirdFailureInARowIsReportedAndASuccessBeginsAnew) {
  const BackendScript kinds[] = {closes,
                                 {.when = When::never},
                                 {.fails = Fails::malformed},
                                 {.head = "503 Busy\r\nContent-Length: 0\r\n"}};
  for (const BackendScript& kind : kinds) {
    Trunk trunk(ejects);
    for (int i = 0; i < 2; ++i) {
      trunk.connector.script("a", kind);
      trunk.get("/");
    }
    trunk.get("/");  // served
    for (int i = 0; i < 2; ++i) {
      trunk.connector.script("a", kind);
      trunk.get("/");
    }
    EXPECT_TRUE(trunk.reported_failures.empty());
    trunk.connector.script("a", kind);
    trunk.get("/");
    EXPECT_EQ(trunk.reported_failures, std::vector<std::string>{"a"});
  }
}

TEST(Reports, FailuresToConnectAndToAnswerAreCountedApart) {
  Trunk trunk(ejects);
  for (int i = 0; i < 2; ++i) {
    trunk.connector.script("a", closes);
    trunk.get("/");
    trunk.connector.script("a", {.connect = Connect::refuses});
    trunk.get("/");
  }
  EXPECT_TRUE(trunk.reported_failures.empty());
  trunk.connector.script("a", {.connect = Connect::refuses});
  trunk.get("/");
  EXPECT_EQ(trunk.reported_failures, std::vector<std::string>{"a"});
}

TEST(Reports, ABackendThatCannotBeReachedIsReportedLostOnce) {
  for (const Connect how : {Connect::refuses, Connect::silent, Connect::unreachable}) {
    Trunk trunk(ejects);
    for (int i = 0; i < 2; ++i) {
      trunk.connector.script("a", {.connect = how});
      EXPECT_EQ(trunk.get("/").head.status, 200);
    }
    EXPECT_EQ(trunk.reported_lost, std::vector<std::string>{"a"});
    trunk.backend_of("a").lost = false;  // the control thread has looked
    trunk.connector.script("a", {.connect = how});
    trunk.get("/");
    EXPECT_EQ(trunk.reported_lost.size(), 2U);
  }
}

TEST(Reports, WhatClientsDoSaysNothingOfABackend) {
  Trunk trunk(ejects);
  for (int i = 0; i < 5; ++i) {
    trunk.connector.script("a", {.when = When::never});
    trunk.start("GET", "/");
    trunk.client.reset();
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    trunk.new_connection();
  }
  EXPECT_TRUE(trunk.reported_failures.empty());
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 0U);
}

}  // namespace
}  // namespace remora::test
