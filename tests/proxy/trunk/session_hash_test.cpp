// Affinity by a hash of what requests say, through the whole request path.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "proxy/explain.h"
#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

const std::string everything =
    "affinity: {kind: hash, of: [{header: X-Conversation}, {cookie: uid}, {query: user}, {path: "
    "\"/rooms/{key}/\"}]}";

/// Requests that say `value` in the four places.
std::vector<std::pair<std::string, Fields>> saying(const std::string& value) {
  return {{"/", {{"X-Conversation", value}}},
          {"/", {{"Cookie", "uid=" + value}}},
          {"/?x=1&user=" + value, {}},
          {"/rooms/" + value + "/messages", {}}};
}

TEST(Hashed, AValueLeadsToOneBackendWhereverItStands) {
  Trunk trunk(app(everything, "abcd"));
  std::set<std::string> used;
  for (int i = 0; i < 30; ++i) {
    std::set<std::string> of_value;
    for (const auto& [target, fields] : saying("v" + std::to_string(i))) {
      const Told got = Browser().ask(trunk, target, fields);
      EXPECT_EQ(got.id, "");  // no session, no epoch
      of_value.insert(got.backend);
    }
    EXPECT_EQ(of_value.size(), 1U);
    used.insert(of_value.begin(), of_value.end());
  }
  EXPECT_EQ(used.size(), 4U);
}

TEST(Hashed, AnAbsentBackendIsStoodInForAndReturnedTo) {
  Trunk trunk(app(everything, "abcd"));
  for (int i = 0; i < 10; ++i)
    for (const auto& [target, fields] : saying("v" + std::to_string(i))) {
      const std::string home = Browser().ask(trunk, target, fields).backend;
      trunk.member(home).health = Health::down;
      const std::string other = Browser().ask(trunk, target, fields).backend;
      EXPECT_NE(other, home);
      EXPECT_EQ(Browser().ask(trunk, target, fields).backend, other);
      trunk.member(home).health = Health::up;
      EXPECT_EQ(Browser().ask(trunk, target, fields).backend, home);
    }
}

TEST(Hashed, RequestsThatSayNothingAreBalanced) {
  Trunk trunk(app(everything + ", balance: round_robin", "abcd"));
  std::set<std::string> used;
  for (int i = 0; i < 4; ++i) used.insert(Browser().ask(trunk, "/other").backend);
  EXPECT_EQ(used.size(), 4U);
}

TEST(Hashed, ThePathIsTheOneThatRoutesSeeAndNotTheOneThatTheAppGets) {
  const std::string routes = "routes: [{path: /api, pool: app, strip_prefix: /api}, {path: /, pool: app}]\n";
  Trunk whole(app("affinity: {kind: hash, of: [{path: \"/api/rooms/{key}/\"}]}", "abcd", routes));
  Trunk plain(app("affinity: {kind: hash, of: [{header: X}]}", "abcd"));
  for (int i = 0; i < 20; ++i) {
    const std::string key = "r" + std::to_string(i);
    const std::string home = Browser().ask(plain, "/", {{"X", key}}).backend;
    const Told got = Browser().ask(whole, "/api/rooms/" + key + "/x");
    EXPECT_EQ(got.target, "/rooms/" + key + "/x");
    EXPECT_EQ(got.backend, home);
    EXPECT_EQ(Browser().ask(whole, "/api/%72ooms/" + key).backend, home);
    EXPECT_EQ(Browser().ask(whole, "/api/x/../rooms/" + key).backend, home);
  }
}

TEST(Hashed, ASoftAffinitySpillsOverWhenItsBackendIsBusy) {
  const std::string bounded =
      "affinity: {kind: hash, of: [{header: X-Conversation}], bounded_load: 1.25}, balance: round_robin";
  Trunk trunk(app(bounded, "abcd"));
  const Fields conversation = {{"X-Conversation", "c"}};
  const std::string home = Browser().ask(trunk, "/", conversation).backend;
  trunk.backend_of(home).in_flight = 40;
  const std::string other = Browser().ask(trunk, "/", conversation).backend;
  EXPECT_NE(other, home);
  trunk.backend_of(home).in_flight = 0;
  EXPECT_EQ(Browser().ask(trunk, "/", conversation).backend, home);
}

TEST(Hashed, AnExplanationSaysWhatWasHashed) {
  Trunk trunk(app(everything));
  CryptoScratch scratch;
  const auto explained = [&](const std::string& target, const Fields& fields) {
    ExplainRequest request;
    request.target = target;
    request.fields = fields;
    return explain(trunk.snapshot(), request, *trunk.memory, scratch,
                   {trunk.clock.steady_now(), trunk.clock.wall_now()});
  };
  std::vector<std::string> sources = {"header x-conversation", "cookie uid", "query user",
                                      "path /rooms/{key}"};
  for (const auto& [target, fields] : saying("v")) {
    const Explanation e = explained(target, fields);
    const std::string line = "affinity hash: hashed: " + sources.front();
    EXPECT_NE(std::find(e.steps.begin(), e.steps.end(), line), e.steps.end()) << line;
    EXPECT_EQ(e.backend, Browser().ask(trunk, target, fields).backend);
    sources.erase(sources.begin());
  }
}

}  // namespace
}  // namespace remora::test
