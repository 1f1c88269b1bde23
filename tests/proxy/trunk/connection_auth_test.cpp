// Authentication of a connection (NTLM, Negotiate): its backend connection is reserved for its client, and a
// handshake's legs all go over it.

#include <gtest/gtest.h>

#include "pool/permit.h"
#include "support/trunk.h"

namespace remora::test {
namespace {

using End = Exchange::End;
using Fails = BackendScript::Fails;
using Strings = std::vector<std::string>;

const std::string yaml = R"(
pools:
  app: {balance: round_robin, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}
)";
const Fields first_leg = {{"Authorization", "NTLM TlRMTVNTUAAB"}};
const Fields second_leg = {{"Authorization", "NTLM TlRMTVNTUAAD"}};
BackendScript challenge(bool reserved) {
  return {.reserved = reserved,
          .head = "401 Unauthorized\r\nWWW-Authenticate: NTLM TlRMTVNTUAAC\r\nContent-Length: 0\r\n"};
}

/// The first leg has been answered: the second is due at the backend that is returned.
std::string begin_handshake(Trunk& trunk) {
  for (const char* id : {"a", "b"}) trunk.connector.script(id, challenge(false));
  EXPECT_EQ(trunk.get("/", first_leg).head.status, 401);
  EXPECT_EQ(trunk.connector.kept_reserved.size(), 1U);
  return trunk.connector.kept_reserved.back();
}

TEST(ConnectionAuth, TheSecondLegGoesOverTheSameConnectionAndIsKeptForItsClient) {
  Trunk trunk(yaml);
  const std::string at = begin_handshake(trunk);
  EXPECT_TRUE(trunk.connector.reserved_in("app").leg_due);
  const std::string other = at == "a" ? "b" : "a";
  Trunk again(yaml);
  again.connector.reserve("app", again.backend_of(at), true);
  again.connector.script(at, {.reserved = true});
  again.connector.script(other, {});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(again.get("/", i == 0 ? second_leg : Fields{}).head.status, 200);
    EXPECT_EQ(again.connector.connected.back(), at);
    EXPECT_EQ(again.connector.kept_reserved.back(), at);
    EXPECT_FALSE(again.connector.reserved_in("app").leg_due);
    again.connector.script(at, {.reserved = true});
  }
}

TEST(ConnectionAuth, ALegWhoseConnectionIsGoneReachesNoOther) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.connector.reserve("app", trunk.backend_of("a"), true);
  const Delivered& got = trunk.get("/", second_leg);
  EXPECT_EQ(got.head.status, 502);
  EXPECT_TRUE(trunk.connector.connected.empty());
  EXPECT_EQ(trunk.end(), End::close) << "so that the client starts over";
  const auto log = trunk.take_log();
  EXPECT_EQ(log.front().at("failure").as_string(), "handshake_lost");
}

TEST(ConnectionAuth, ALegThatFailsIsNotRetried) {
  Trunk trunk(yaml);
  trunk.connector.reserve("app", trunk.backend_of("a"), true);
  trunk.connector.script("a", {.reserved = true, .fails = Fails::closes});
  EXPECT_EQ(trunk.get("/", second_leg).head.status, 502);
  EXPECT_EQ(trunk.connector.connected, Strings{"a"});
  EXPECT_EQ(trunk.end(), End::close);
}

TEST(ConnectionAuth, ARequestAfterTheHandshakeIsRetriedLikeAnyOther) {
  Trunk trunk(yaml);
  trunk.connector.reserve("app", trunk.backend_of("a"), false);
  trunk.connector.script("a", {.reserved = true, .fails = Fails::closes});
  EXPECT_EQ(trunk.get("/").head.status, 200);
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "b"}));
}

TEST(ConnectionAuth, AChallengeThatClosesEndsTheClientsConnection) {
  Trunk trunk(yaml);
  BackendScript closes = challenge(false);
  closes.keep_alive = false;
  for (const char* id : {"a", "b"}) trunk.connector.script(id, closes);
  EXPECT_EQ(trunk.get("/", first_leg).head.status, 401);
  EXPECT_EQ(trunk.end(), End::close);
  EXPECT_TRUE(trunk.connector.kept_reserved.empty());
}

TEST(ConnectionAuth, ADueLegKeepsTheConnectionEvenIfClientsShouldLeave) {
  Trunk trunk(yaml);
  trunk.worker.leaving = true;
  begin_handshake(trunk);
  EXPECT_EQ(trunk.end(), End::keep);
}

TEST(ConnectionAuth, AnOfferedSchemeReservesTheConnectionToo) {
  Trunk trunk(yaml);
  for (const char* id : {"a", "b"})
    trunk.connector.script(
        id, {.head = "401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n"});
  EXPECT_EQ(trunk.get("/").head.status, 401);
  EXPECT_EQ(trunk.connector.kept_reserved.size(), 1U);
  EXPECT_FALSE(trunk.connector.reserved_in("app").leg_due);
}

TEST(ConnectionAuth, AnErrorOfAReservedConnectionIsTheClientsOwn) {
  Trunk trunk(yaml);
  trunk.connector.reserve("app", trunk.backend_of("a"), false);
  trunk.connector.script("a", {.reserved = true, .head = "503 Busy\r\nContent-Length: 0\r\n"});
  EXPECT_EQ(trunk.get("/").head.status, 503);
  EXPECT_EQ(trunk.connector.connected, Strings{"a"});
}

TEST(ConnectionAuth, BehindAProxyOnlyARequestWithCredentialsUsesIt) {
  for (const bool authenticates : {true, false}) {
    Trunk trunk("listeners: [{bind: 127.0.0.1:0, trusted_proxies: [192.0.2.0/24]}]\n" + yaml);
    trunk.connector.reserve("app", trunk.backend_of("b"), false);
    trunk.connector.script("b", {.reserved = true});
    Fields fields = {{"X-Forwarded-For", "198.51.100.1"}};
    if (authenticates) fields.push_back(first_leg.front());
    EXPECT_EQ(trunk.get("/", fields).head.status, 200);
    EXPECT_EQ(trunk.connector.requests.back().backend == "b" && trunk.connector.requests.back().reused,
              authenticates);
  }
}

TEST(ConnectionAuth, ADueLegThatQueuedGoesToItsBackendEvenIfThatWasDrained) {
  Trunk trunk("pools: {app: {backends: [{id: a, address: 127.0.0.1:1, max_in_flight: 1}]}}\n");
  const std::shared_ptr<Backend> a = trunk.member("a").backend;
  trunk.connector.reserve("app", *a, true);
  trunk.connector.script("a", {.reserved = true});
  ASSERT_TRUE(a->queue->enter(*a, 1));
  trunk.start("GET", "/", second_leg);
  trunk.advance(std::chrono::seconds(1));
  trunk.member("a").admin = Admin::drain;
  a->queue->leave(a);
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(a->in_flight.load(), 0U);
}

TEST(ConnectionAuth, ADrainedBackendIsLeftUnlessALegIsDue) {
  for (const bool due : {true, false}) {
    Trunk trunk(yaml);
    trunk.connector.reserve("app", trunk.backend_of("b"), due);
    trunk.connector.script("b", {.reserved = true});
    trunk.member("b").admin = Admin::drain;
    EXPECT_EQ(trunk.get("/", due ? second_leg : Fields{}).head.status, 200);
    EXPECT_EQ(trunk.connector.connected.back(), due ? "b" : "a");
  }
}

}  // namespace
}  // namespace remora::test
