// Failed attempts: what is retried, where, and what the client gets otherwise.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using Fails = BackendScript::Fails;

constexpr const char* two = R"(
pools:
  app: {balance: round_robin, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}
)";

TEST(Failover, ARequestWithoutFailuresReachesOneBackendAndItsResponseTheClient) {
  Trunk trunk(two);
  const Delivered& got = trunk.get("/x?y=1");
  EXPECT_EQ(got.head.status, 200);
  EXPECT_TRUE(got.complete);
  ASSERT_EQ(trunk.connector.requests.size(), 1U);
  EXPECT_EQ(trunk.connector.requests.front().head.target, "/x?y=1");
  EXPECT_TRUE(trunk.connector.requests.front().complete);
  EXPECT_EQ(field(got.head.fields, "Server"), trunk.connector.requests.front().backend);
  EXPECT_EQ(trunk.end(), Exchange::End::keep);
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(Failover, ABackendThatRefusesIsReplacedWhateverTheMethod) {
  for (const char* method : {"GET", "POST", "PATCH"}) {
    Trunk trunk(two);
    trunk.connector.always("a", {.connect = Connect::refuses});
    for (int i = 0; i < 4; ++i) {
      const Delivered& got = trunk.request(method, "/", {{"Content-Length", "2"}}, "hi");
      EXPECT_EQ(got.head.status, 200) << method;
      EXPECT_EQ(trunk.connector.requests.back().body, "hi");
    }
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Failover, EachOperationThatFailsLeavesNothingHeldAndSendsNoUnsafeRequestTwice) {
  for (const char* method : {"GET", "POST"}) {
    for (unsigned nth = 1; nth < 200; ++nth) {
      Faults faults(nth);
      Trunk trunk(two, &faults);
      trunk.request(method, "/", {{"Content-Length", "5"}}, "hello");
      EXPECT_TRUE(trunk.holds_nothing()) << method << ", operation " << nth;
      std::size_t with_bytes = 0;
      for (const SentRequest& sent : trunk.connector.requests) with_bytes += sent.body.empty() ? 0 : 1;
      if (std::string(method) == "POST") {
        EXPECT_LE(with_bytes, 1U) << "operation " << nth;
      }
      if (!faults.happened()) break;
    }
  }
}

}  // namespace
}  // namespace remora::test
