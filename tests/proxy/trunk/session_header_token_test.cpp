// Sessions of clients without cookies: our token in a header, through the whole request path. Neither the app
// nor anything the app says gets in its way.

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "proxy/explain.h"
#include "proxy/trunk/sessions.h"
#include "util/text.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;

constexpr const char* by_header = "affinity: {kind: header_token, name: X-Token}";

/// A client that returns what X-Token told it last.
class Device {
 public:
  Told ask(Trunk& trunk, const std::string& target = "/", Fields more = {}) {
    if (!token.empty()) more.emplace_back("x-token", token);
    const Told got = Browser().ask(trunk, target, more);
    heard = field(trunk.delivered().head.fields, "X-Token");
    if (heard) token = *heard;
    return got;
  }
  std::string token;
  std::optional<std::string> heard;  // in the last response
};

/// The fields of that name, in any spelling, that the last backend got.
std::size_t seen_by_app(const Trunk& trunk) {
  std::size_t n = 0;
  for (const auto& [name, value] : trunk.connector.requests.back().head.fields)
    n += iequals(name, "x-token") || iequals(name, "x_token") || iequals(name, "trailer x-token") ? 1U : 0U;
  return n;
}

TEST(HeaderToken, IsToldOnceAndKeepsTheSession) {
  Trunk trunk(app(by_header));
  Device device;
  const Told first = device.ask(trunk);
  EXPECT_EQ(first.reason, "new");
  EXPECT_EQ(first.epoch, 1U);
  ASSERT_EQ(device.token.size(), 128U);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Cache-Control"), "private");
  EXPECT_FALSE(field(trunk.delivered().head.fields, "Set-Cookie"));
  for (int i = 0; i < 10; ++i) {
    const Told got = device.ask(trunk);
    EXPECT_EQ(got.id, first.id);
    EXPECT_EQ(got.backend, first.backend);
    EXPECT_EQ(got.reason, "sticky");
    EXPECT_EQ(seen_by_app(trunk), 0U);
    EXPECT_EQ(device.heard, std::nullopt);
    EXPECT_FALSE(field(trunk.delivered().head.fields, "Cache-Control"));
  }
  trunk.rest(8min);  // more than a quarter of the idle timeout
  EXPECT_EQ(device.ask(trunk).id, first.id);
  EXPECT_TRUE(device.heard) << "the stamp is refreshed";
  EXPECT_NE(Device().ask(trunk).id, first.id);
}

TEST(HeaderToken, AMoveTellsANewOneAndTheOldOneFollows) {
  Trunk trunk(app(by_header));
  Device device;
  const Told first = device.ask(trunk);
  Device old = device;
  trunk.member(first.backend).health = Health::down;
  const Told moved = device.ask(trunk);
  EXPECT_EQ(moved.id, first.id);
  EXPECT_EQ(moved.epoch, 2U);
  EXPECT_EQ(moved.reason, "failover");
  EXPECT_NE(device.token, old.token);
  trunk.member(first.backend).health = Health::up;
  for (Device* one : {&device, &old}) {
    const Told got = one->ask(trunk);
    EXPECT_EQ(got.backend, moved.backend);
    EXPECT_EQ(got.epoch, 2U);
  }
  EXPECT_TRUE(old.heard);
}

TEST(HeaderToken, AnEndIsToldByAnEmptyFieldAndTheTokenIsNoMore) {
  Trunk trunk(app(by_header));
  Device device;
  const Told first = device.ask(trunk);
  Device thief = device;
  answer_with(trunk, "Remora-Session-Control: end\r\n");
  device.ask(trunk);
  EXPECT_EQ(device.heard, "");
  answer_with(trunk, "");
  EXPECT_NE(device.ask(trunk).id, first.id);
  EXPECT_EQ(device.token.size(), 128U);
  EXPECT_NE(thief.ask(trunk).id, first.id);
  EXPECT_EQ(causes(trunk, Cause::ended), 1U);
}

TEST(HeaderToken, ALostSessionThatIsRejectedIsForgottenByTheClient) {
  Trunk trunk(app(std::string(by_header) + ", session: {on_lost: reject, reject: {status: 404}}"));
  Device device;
  const Told first = device.ask(trunk);
  trunk.member(first.backend).health = Health::down;
  EXPECT_EQ(device.ask(trunk).status, 404);
  EXPECT_EQ(device.heard, "");
  EXPECT_EQ(device.ask(trunk).reason, "new");
}

TEST(HeaderToken, WhatIsNoTokenIsNoSessionAndCountedByCause) {
  Trunk trunk(app(by_header));
  Device device;
  const Told first = device.ask(trunk);
  struct Row {
    Fields fields;
    Cause cause;
  };
  for (const Row& row :
       std::vector<Row>{{{{"X-Token", "x"}}, Cause::malformed},
                        {{{"X-Token", device.token}, {"X-Token", device.token}}, Cause::malformed},
                        {{{"X-Token", std::string(128, 'A')}}, Cause::unknown_key},
                        {{{"X_Token", device.token}}, Cause::absent}}) {
    const auto before = causes(trunk, row.cause);
    const Told got = Browser().ask(trunk, "/", row.fields);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.reason, "new");
    EXPECT_NE(got.id, first.id);
    EXPECT_EQ(causes(trunk, row.cause), before + 1);
    EXPECT_EQ(seen_by_app(trunk), 0U);
    EXPECT_TRUE(field(trunk.delivered().head.fields, "X-Token"));
  }
}

TEST(HeaderToken, InTrailersItIsNothingAndPassesInNeitherDirection) {
  Trunk trunk(app(by_header));
  Device device;
  device.ask(trunk);
  answer_with(trunk, "Trailer: X-Token, X-Sum\r\n", "body", {{"X-Token", "the app's"}, {"X-Sum", "1"}});
  trunk.new_connection();
  trunk.start("POST", "/", {{"Transfer-Encoding", "chunked"}, {"Trailer", "X-Token, X-Sum"}}, "b", false);
  trunk.client.add_trailer("X-Token", device.token);
  trunk.client.add_trailer("X-Sum", "2");
  trunk.client.arrive("c", true);
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  const Fields& got = trunk.connector.requests.back().head.fields;
  EXPECT_EQ(told(trunk.connector.requests.back()).reason, "new");
  EXPECT_EQ(field(got, "trailer X-Sum"), "2");
  EXPECT_EQ(field(got, "Trailer"), "X-Sum");
  EXPECT_EQ(seen_by_app(trunk), 0U);
  EXPECT_EQ(trunk.delivered().trailers, (Fields{{"X-Sum", "1"}}));
  EXPECT_EQ(field(trunk.delivered().head.fields, "Trailer"), "X-Sum");
}

TEST(HeaderToken, AFieldOfTheAppsOfThatNameNeverReachesAClient) {
  Trunk trunk(app(by_header) + "routes: [{path: /assets, pool: app, affinity: off}, {path: /, pool: app}]\n");
  Device device;
  device.ask(trunk);
  const std::string own = "X-Token: the app's\r\nx_token: too\r\n";
  answer_with(trunk, own);
  for (const char* target : {"/", "/assets/x"}) {
    device.ask(trunk, target);
    EXPECT_EQ(device.heard, std::nullopt) << target;
    EXPECT_FALSE(field(trunk.delivered().head.fields, "x_token")) << target;
  }
  Device other;
  other.ask(trunk);
  EXPECT_EQ(other.token.size(), 128U);
  for (const char* id : {"a", "b", "c"})
    trunk.connector.always(
        id, {.when = When::after_request, .interims = {"103 Early Hints\r\nX-A: b\r\n" + own}});
  other.ask(trunk);
  ASSERT_EQ(trunk.delivered().interims.size(), 1U);
  EXPECT_EQ(trunk.delivered().interims.front().fields, (Fields{{"X-A", "b"}}));
}

TEST(HeaderToken, RoutesWithoutAffinityAndOtherPoolsDoNotSeeIt) {
  Trunk trunk(
      "pools: {app: {affinity: {kind: header_token, name: X-Token}, backends: [{id: a, address: "
      "127.0.0.1:1}]}, "
      "other: {backends: [{id: o, address: 127.0.0.1:2}]}}\nroutes: [{path: /other, pool: other}, {path: "
      "/assets, pool: app, affinity: off}, {path: /, pool: app}]\n");
  Device device;
  device.ask(trunk);
  for (const char* target : {"/assets/x", "/other"}) {
    EXPECT_EQ(device.ask(trunk, target).id, "");
    EXPECT_EQ(seen_by_app(trunk), 0U) << target;
    EXPECT_EQ(device.heard, std::nullopt) << target;
  }
  Browser().ask(trunk, "/other", {{"X-Token", "another app's own"}});
  EXPECT_EQ(seen_by_app(trunk), 1U);
}

TEST(HeaderToken, WaitsWhereSharedCachesAreOfferedTheResponse) {
  Trunk trunk(app(by_header));
  answer_with(trunk, "Cache-Control: public, max-age=60\r\n");
  Device device;
  device.ask(trunk);
  EXPECT_EQ(device.heard, std::nullopt);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Cache-Control"), "public, max-age=60");
}

TEST(HeaderToken, BesideACookieEachClientKeepsTheOneThatItReturns) {
  Trunk trunk(app("affinity: [cookie, {kind: header_token, name: X-Token}]"));
  Browser browser;
  const Told first = browser.ask(trunk);
  Device device;
  device.token = field(trunk.delivered().head.fields, "X-Token").value();
  ASSERT_EQ(browser.cookies.count("remora-app"), 1U);
  EXPECT_EQ(browser.ask(trunk).id, first.id);
  EXPECT_FALSE(field(trunk.delivered().head.fields, "X-Token"));
  EXPECT_EQ(device.ask(trunk).id, first.id);
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
  trunk.member(first.backend).health = Health::down;
  const Told moved = browser.ask(trunk);
  EXPECT_EQ(moved.epoch, 2U);
  EXPECT_FALSE(field(trunk.delivered().head.fields, "X-Token"));
  EXPECT_EQ(device.ask(trunk).backend, moved.backend);
  EXPECT_TRUE(device.heard);
}

TEST(HeaderToken, BesideUrlsKeepsThemClean) {
  Trunk trunk(app("affinity: [{kind: header_token, name: X-Token}, url_rewrite]"));
  answer_with(trunk, "Location: /next\r\n");
  Device device;
  device.ask(trunk);
  EXPECT_NE(field(trunk.delivered().head.fields, "Location"), "/next");
  device.ask(trunk);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Location"), "/next");
}

TEST(HeaderToken, IsInNoLog) {
  Trunk trunk(app(by_header));
  trunk.keep_log();
  Device device;
  device.ask(trunk);
  device.ask(trunk);
  const auto lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 2U);
  for (const auto& line : lines) {
    EXPECT_EQ(boost::json::serialize(line).find(device.token), std::string::npos);
    EXPECT_EQ(std::string(line.at("affinity").as_string()), "header_token");
  }
}

TEST(HeaderToken, IsExplained) {
  Trunk trunk(app(by_header));
  Device device;
  const Told first = device.ask(trunk);
  CryptoScratch scratch;
  ExplainRequest request;
  request.fields = {{"X-Token", device.token}};
  const Explanation e = explain(trunk.snapshot(), request, *trunk.memory, scratch,
                                {trunk.clock.steady_now(), trunk.clock.wall_now()});
  EXPECT_EQ(e.backend, first.backend);
  EXPECT_EQ(e.reason, Reason::sticky);
  EXPECT_EQ(e.epoch, 1U);
}

}  // namespace
}  // namespace remora::test
