// Tunnels after 101: both directions, half-close, idle timeout, resets; and upgrades that do not happen.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using End = Exchange::End;

const std::string yaml = R"(
listeners: [{bind: "127.0.0.1:0", timeouts: {tunnel: 60s}}]
pools:
  app: {balance: first, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}
)";
const Fields upgrade = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
const BackendScript switches{.head =
                                 "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"};

void open(Trunk& trunk) {
  trunk.connector.script("a", switches);
  trunk.start("GET", "/", upgrade, "", true);
  ASSERT_FALSE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 101);
  EXPECT_EQ(trunk.delivered().head.tunnel, "websocket");
}

TEST(Tunnel, CarriesBytesBothWaysAtOnce) {
  Trunk trunk(yaml);
  // As long as a test client has nothing to send, its stream must not look ended.
  trunk.connector.script("a", switches);
  trunk.client.keep_open();
  open(trunk);
  trunk.client.arrive("ping", false);
  trunk.settle();
  EXPECT_EQ(trunk.connector.requests.back().body, "ping");
  trunk.backend.send_raw("pong");
  trunk.settle();
  EXPECT_EQ(trunk.delivered().body, "pong");
  EXPECT_FALSE(trunk.done());
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 1U);
  trunk.client.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.end(), End::close);
  EXPECT_TRUE(trunk.connector.kept.empty());
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(Tunnel, AnEndOfOneDirectionLeavesTheOther) {
  for (const bool client_first : {true, false}) {
    Trunk trunk(yaml);
    trunk.client.keep_open();
    open(trunk);
    if (client_first) {
      trunk.client.half_close();
      trunk.settle();
      EXPECT_TRUE(trunk.backend.sending_ended());
      EXPECT_FALSE(trunk.done());
      trunk.backend.send_raw("last words", true);
    } else {
      trunk.backend.send_raw("last words", true);
      trunk.settle();
      EXPECT_TRUE(trunk.client.sending_ended());
      EXPECT_FALSE(trunk.done());
      trunk.client.arrive("bye", false);
      trunk.client.half_close();
    }
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().body, "last words");
    EXPECT_EQ(trunk.end(), End::close);
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Tunnel, EndsWhenNothingMovesForTheTimeout) {
  Trunk trunk(yaml);
  trunk.client.keep_open();
  open(trunk);
  for (int i = 0; i < 3; ++i) {
    trunk.advance(59s);
    EXPECT_FALSE(trunk.done());
    trunk.backend.send_raw("x");
    trunk.settle();
  }
  trunk.advance(59900ms);
  EXPECT_FALSE(trunk.done());
  trunk.advance(200ms);
  EXPECT_TRUE(trunk.done());
}

TEST(Tunnel, AResetOfEitherEndEndsIt) {
  for (const bool clients : {true, false}) {
    Trunk trunk(yaml);
    trunk.client.keep_open();
    open(trunk);
    if (clients) {
      trunk.client.reset();
    } else {
      trunk.backend.reset();
    }
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.end(), End::close);
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Tunnel, AResetAfterAHalfCloseIsNoticed) {
  for (const bool clients : {true, false}) {
    Trunk trunk(yaml);
    trunk.client.keep_open();
    open(trunk);
    if (clients) {
      trunk.client.half_close();
      trunk.settle();
      EXPECT_FALSE(trunk.done());
      trunk.client.reset();
    } else {
      trunk.backend.send_raw("", true);
      trunk.settle();
      EXPECT_FALSE(trunk.done());
      trunk.backend.reset();
    }
    trunk.settle();
    EXPECT_TRUE(trunk.done());
  }
}

TEST(Tunnel, AClientThatDoesNotReadHoldsBackOnlyItsDirection) {
  Trunk trunk(yaml);
  trunk.client.keep_open();
  open(trunk);
  trunk.client.shut_window(2);
  trunk.backend.send_raw("pong");
  trunk.settle();
  EXPECT_EQ(trunk.delivered().body, "po");
  trunk.client.arrive("ping", false);
  trunk.settle();
  EXPECT_EQ(trunk.connector.requests.back().body, "ping");
  trunk.client.open_window();
  trunk.settle();
  EXPECT_EQ(trunk.delivered().body, "pong");
  trunk.client.reset();
  trunk.settle();
  EXPECT_TRUE(trunk.done());
}

TEST(Tunnel, OfARetriedRequestGivesItsRetryBack) {
  Trunk trunk(yaml);
  trunk.client.keep_open();
  trunk.connector.script("a", {.fails = BackendScript::Fails::closes});
  trunk.connector.script("b", switches);
  trunk.start("GET", "/", upgrade);
  EXPECT_EQ(trunk.delivered().head.status, 101);
  EXPECT_EQ(trunk.snapshot().pools.front()->counters->retrying.load(), 1U);
  trunk.client.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.snapshot().pools.front()->counters->retrying.load(), 0U);
}

TEST(Tunnel, NobodyAskedForIsABadGateway) {
  for (const Fields& asked : {Fields{}, Fields{{"Connection", "Upgrade"}, {"Upgrade", "h2c"}}}) {
    Trunk trunk(yaml);
    for (const char* id : {"a", "b"}) trunk.connector.always(id, switches);
    EXPECT_EQ(trunk.get("/", asked).head.status, 502);
    EXPECT_TRUE(trunk.connector.kept.empty());
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Tunnel, ARefusedUpgradeIsAnOrdinaryResponse) {
  Trunk trunk(yaml);
  trunk.connector.script("a", {.head = "403 No\r\nContent-Length: 2\r\n", .body = "no"});
  const Delivered& got = trunk.get("/", upgrade);
  EXPECT_EQ(got.head.status, 403);
  EXPECT_EQ(got.body, "no");
  EXPECT_EQ(trunk.end(), End::keep);
}

TEST(Tunnel, TouchesItsSessionWhileItLives) {
  Trunk trunk(
      "listeners: [{bind: 127.0.0.1:0, timeouts: {tunnel: 2h}}]\n"
      "pools: {app: {affinity: cookie, session: {idle_timeout: 4m}, backends: [{id: a, address: "
      "127.0.0.1:1}]}}\n");
  trunk.client.keep_open();
  open(trunk);
  const std::string cookie = trunk.cookie();
  EXPECT_FALSE(cookie.empty());
  trunk.advance(30min);
  EXPECT_FALSE(trunk.done());
  trunk.client.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
}

}  // namespace
}  // namespace remora::test
