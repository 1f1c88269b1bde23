// Every timeout on a manual clock: when it passes, which status and which failure it leads to. And that a
// route's own timeouts win over its pool's.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using Connect = BackendScript::Connect;
using When = BackendScript::When;
using End = Exchange::End;

const std::string yaml = R"(
listeners: [{bind: "127.0.0.1:0", timeouts: {body: 3s, write: 5s, tunnel: 7s}, limits: {body_rate: none}}]
routes:
  - {path: /, pool: app}
  - {path: /own, pool: app, timeouts: {connect: 1s, response: 2s, read: 3s, write: 4s}}
pools:
  app:
    balance: first
    timeouts: {connect: 11s, response: 12s, read: 13s, write: 14s}
    failover: {attempts: 1}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";

struct Timeout {
  const char* name;
  BackendScript script;
  std::chrono::seconds after;
  std::uint16_t status;  // 0: the response is aborted
  const char* failure;
  const char* target = "/";
  bool whole = true;
  bool client_reads = true;
};

const Timeout timeouts[] = {
    {"connect", {.connect = Connect::silent}, 11s, 504, "connect"},
    {"response", {.when = When::never}, 12s, 504, "timeout"},
    {"write to the backend", {.when = When::never, .window = 2}, 14s, 504, "timeout"},
    {"body", {}, 3s, 408, "client_timeout", "/", false},
    {"read", {.body = "0123", .stalls_after = 2}, 13s, 0, "timeout"},
    {"write to the client", {.body = "0123"}, 5s, 0, "client_timeout", "/", true, false},
    {"a route's connect", {.connect = Connect::silent}, 1s, 504, "connect", "/own"},
    {"a route's response", {.when = When::never}, 2s, 504, "timeout", "/own"},
    {"a route's read", {.body = "0123", .stalls_after = 2}, 3s, 0, "timeout", "/own"},
    {"a route's write", {.when = When::never, .window = 2}, 4s, 504, "timeout", "/own"},
};

TEST(Timeouts, EachEndsItsPhaseAndNoSooner) {
  for (const Timeout& each : timeouts) {
    SCOPED_TRACE(each.name);
    Trunk trunk(yaml);
    trunk.keep_log();
    trunk.connector.script("a", each.script);
    if (!each.client_reads) trunk.client.shut_window(2);
    trunk.start("PUT", each.target, {{"Content-Length", "5"}}, each.whole ? "hello" : "he", each.whole);
    trunk.advance(each.after - 100ms);
    EXPECT_FALSE(trunk.done());
    trunk.advance(200ms);
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().aborted, each.status == 0);
    EXPECT_EQ(trunk.delivered().complete, each.status != 0);
    if (each.status != 0) {
      EXPECT_EQ(trunk.delivered().head.status, each.status);
    }
    EXPECT_TRUE(trunk.connector.kept.empty());
    EXPECT_TRUE(trunk.holds_nothing());
    const auto log = trunk.take_log();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log.front().at("failure").as_string(), each.failure);
    EXPECT_EQ(log.front().at("attempts").as_int64(), 1);
  }
}

TEST(Timeouts, TheBodysStartsAnewWithEachByte) {
  Trunk trunk(yaml);
  trunk.start("PUT", "/", {{"Content-Length", "6"}}, "h", false);
  for (int i = 0; i < 4; ++i) {
    trunk.advance(2900ms);
    EXPECT_FALSE(trunk.done());
    trunk.client.arrive("x", false);
  }
  trunk.client.arrive("x", true);
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(Timeouts, OfTheClientsReadingStartsAnewWithEachByte) {
  Trunk trunk(yaml);
  trunk.connector.script("a", {.body = "0123"});
  trunk.client.shut_window(1);
  trunk.start("GET", "/");
  for (int i = 0; i < 3; ++i) {
    trunk.advance(4900ms);
    EXPECT_FALSE(trunk.done());
    trunk.client.open_window(1);
  }
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().complete);
}

TEST(Timeouts, ARetryGetsTheWholeResponseTimeoutAgain) {
  Trunk trunk(R"(
pools:
  app:
    balance: first
    timeouts: {response: 2s}
    failover: {retry_on: [timeout]}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)");
  trunk.connector.script("a", {.when = When::never});
  trunk.connector.script("b", {.when = When::on_go});
  trunk.start("GET", "/");
  trunk.advance(3900ms);
  EXPECT_FALSE(trunk.done());
  EXPECT_EQ(trunk.connector.connected.size(), 2U);
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(Timeouts, ConnectingIsNotChargedToTheResponse) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.start("GET", "/");
  const auto log = trunk.take_log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log.front().at("connect_ms").as_double(), 0);
  EXPECT_EQ(log.front().at("total_ms").as_double(), 0);
}

TEST(Timeouts, OfALocalReplyIsTheClientsWriteTimeout) {
  Trunk trunk(yaml);
  trunk.connector.script("a", {.connect = Connect::refuses});
  trunk.client.shut_window();
  trunk.start("GET", "/");
  trunk.advance(4900ms);
  EXPECT_FALSE(trunk.done());
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 0U) << "the backend is released before the reply";
  trunk.advance(200ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().aborted);
  EXPECT_EQ(trunk.end(), End::close);
}

TEST(Timeouts, ALocalReplyWaitsForAClientThatReadsSlowly) {
  Trunk trunk(yaml);
  trunk.connector.script("a", {.connect = Connect::refuses});
  trunk.client.shut_window(10);
  trunk.start("GET", "/");
  EXPECT_FALSE(trunk.done());
  trunk.client.open_window();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_EQ(std::to_string(trunk.delivered().body.size()),
            field(trunk.delivered().head.fields, "Content-Length"));
}

TEST(Timeouts, AHeadThatComesTooLateIs408) {
  Trunk trunk(yaml);
  trunk.keep_log();
  EXPECT_EQ(trunk.refuse(true).head.status, 408);
  EXPECT_EQ(trunk.end(), End::linger);
  EXPECT_EQ(trunk.connection.listener->shared->refused.of(Refusal::head), 1U);
  const auto log = trunk.take_log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log.front().at("status").as_int64(), 408);
  EXPECT_EQ(log.front().at("failure").as_string(), "client_timeout");
  EXPECT_EQ(log.front().at("client").as_string(), "192.0.2.1");
}

}  // namespace
}  // namespace remora::test
