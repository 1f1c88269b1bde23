// Requests on which a backend says that it did not act (HTTP/2: REFUSED_STREAM, GOAWAY): they are sent again
// whatever their method, and cost no retry budget.
#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using Fails = BackendScript::Fails;
using Strings = std::vector<std::string>;

const BackendScript refuses{.fails = Fails::refuses};

std::string two(const std::string& pool = {}) {
  return "pools: {app: {" + pool +
         "backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}}\n";
}
std::string one(const std::string& pool = {}) {
  return "pools: {app: {" + pool + "backends: [{id: a, address: 127.0.0.1:1}]}}\n";
}

TEST(Unprocessed, AnyMethodIsSentAgainToTheSameBackendFirst) {
  for (const char* method : {"GET", "POST", "PATCH", "DELETE"}) {
    Trunk trunk(one());
    trunk.connector.script("a", refuses);
    EXPECT_EQ(trunk.request(method, "/").head.status, 200) << method;
    EXPECT_EQ(trunk.connector.connected, (Strings{"a", "a"})) << method;
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Unprocessed, NoListNeedsToNameIt) {
  Trunk trunk(one("failover: {retry_on: []}, "));
  trunk.connector.script("a", refuses);
  EXPECT_EQ(trunk.request("POST", "/").head.status, 200);
}

TEST(Unprocessed, TheSecondTimeAnotherBackendIsTried) {
  Trunk trunk(two("balance: first, "));
  trunk.connector.script("a", refuses);
  trunk.connector.script("a", refuses);
  EXPECT_EQ(trunk.request("POST", "/").head.status, 200);
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "a", "b"}));
}

TEST(Unprocessed, WithoutAnotherBackendTheSameIsTriedUpToTheLimitOfAttempts) {
  Trunk trunk(one("failover: {attempts: 4}, "));
  trunk.connector.always("a", refuses);
  EXPECT_EQ(trunk.request("GET", "/").head.status, 502);
  EXPECT_EQ(trunk.connector.connected.size(), 4U);
}

TEST(Unprocessed, NoFailureOfTheBackendIsCounted) {
  Trunk trunk(one("health: {eject: {consecutive_failures: 1}}, "));
  trunk.connector.script("a", refuses);
  trunk.request("GET", "/");
  EXPECT_TRUE(trunk.reported_failures.empty());
}

TEST(Unprocessed, TheLogNamesIt) {
  Trunk trunk(one());
  trunk.keep_log();
  trunk.connector.always("a", refuses);
  trunk.request("GET", "/");
  const auto log = trunk.take_log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].at("failure").as_string(), "unprocessed");
}

TEST(Unprocessed, ABackendThatAsksForHttp1IsAskedByHttp1) {
  Trunk trunk(one("protocol: auto, tls: {verify: off}, "));
  trunk.connector.script("a", {.fails = Fails::requires_http1});
  EXPECT_EQ(trunk.request("POST", "/").head.status, 200);
  using Needs = Connector::Needs;
  EXPECT_EQ(trunk.connector.needs, (std::vector<Needs>{Needs::anything, Needs::http1}));
}

TEST(Unprocessed, WhereThereIsOnlyHttp2ItFails) {
  Trunk trunk(one("protocol: h2, "));
  trunk.connector.script("a", {.fails = Fails::requires_http1});
  EXPECT_EQ(trunk.request("GET", "/").head.status, 502);
  EXPECT_EQ(trunk.connector.connected.size(), 1U);
}

TEST(Unprocessed, TunnelsAndConnectionCredentialsNameTheirNeeds) {
  using Needs = Connector::Needs;
  Trunk trunk(one("protocol: auto, tls: {verify: off}, "));
  trunk.get("/", {{"Connection", "upgrade"}, {"Upgrade", "websocket"}});
  trunk.get("/", {{"Authorization", "NTLM TlRMTVNTUAABAAAA"}});
  EXPECT_EQ(trunk.connector.needs, (std::vector<Needs>{Needs::tunnel, Needs::http1}));
}

}  // namespace
}  // namespace remora::test
