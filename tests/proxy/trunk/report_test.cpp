// The last phase of a request: the access log, and counters per listener, route and backend.

#include <gtest/gtest.h>

#include <set>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;

constexpr const char* yaml = R"(
routes:
  - {path: /, pool: app}
  - {path: /gone, redirect: {to: "https://{host}/"}}
pools:
  app:
    balance: first
    affinity:
      - cookie
      - {kind: url_rewrite, style: path, name: rsid, rewrite: [location]}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";

std::string text(const boost::json::object& line, const char* key) {
  return std::string(line.at(key).as_string());
}

TEST(Report, OneLineARequestWithWhatHappened) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.connector.script("a", {.fails = BackendScript::Fails::closes});
  trunk.connector.script("b", {.body = "12345"});
  trunk.get("/x?y=1", {{"Referer", "http://r.test/"}, {"User-Agent", "probe \"1\""}});
  auto lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 1U);
  const boost::json::object& line = lines.front();
  EXPECT_EQ(text(line, "client"), "192.0.2.1");
  EXPECT_EQ(text(line, "method"), "GET");
  EXPECT_EQ(text(line, "target"), "/x?y=1");
  EXPECT_EQ(text(line, "host"), "app.test");
  EXPECT_EQ(text(line, "referer"), "http://r.test/");
  EXPECT_EQ(text(line, "user_agent"), "probe \"1\"");
  EXPECT_EQ(text(line, "pool"), "app");
  EXPECT_EQ(text(line, "backend"), "b");
  EXPECT_EQ(text(line, "affinity"), "cookie");
  EXPECT_EQ(text(line, "reason"), "new");
  EXPECT_EQ(text(line, "failure"), "reset");  // of the first attempt
  EXPECT_EQ(line.at("status").as_int64(), 200);
  EXPECT_EQ(line.at("bytes").as_int64(), 5);
  EXPECT_EQ(line.at("attempts").as_int64(), 2);
  const std::string cookie = trunk.cookie();
  trunk.get("/", {{"Cookie", cookie}});
  lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(text(lines.front(), "reason"), "sticky");
  EXPECT_EQ(text(lines.front(), "failure"), "");
  EXPECT_EQ(text(lines.front(), "backend"), "b");
}

TEST(Report, TokensInUrlsAreMasked) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.connector.script("a", {.head = "302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n"});
  trunk.get("/");
  const std::string url = field(trunk.delivered().head.fields, "Location").value();
  const std::size_t token = url.find(";rsid=");
  ASSERT_NE(token, std::string::npos);
  trunk.get(url, {{"Referer", "http://app.test" + url}});
  const auto lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 2U);
  for (const char* key : {"target", "referer"})
    EXPECT_EQ(text(lines.back(), key).find(url.substr(token + 6)), std::string::npos);
}

TEST(Report, ALocalReplyAndAClientThatLeft) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.get("/gone");
  trunk.connector.script("a", {.when = When::never});
  trunk.start("GET", "/");
  trunk.advance(500ms);
  trunk.client.reset();
  trunk.settle();
  const auto lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines.front().at("status").as_int64(), 308);
  EXPECT_EQ(text(lines.front(), "pool"), "");
  EXPECT_EQ(lines.front().at("attempts").as_int64(), 0);
  EXPECT_EQ(lines.back().at("status").as_int64(), 499);
  EXPECT_EQ(text(lines.back(), "failure"), "client_gone");
  EXPECT_EQ(lines.back().at("total_ms").as_double(), 500);
}

TEST(Report, ALostSessionIsLoggedWithTheFailureAndCountedOnce) {
  Trunk trunk(
      "pools: {app: {balance: first, affinity: cookie, session: {on_lost: reject, reject: {status: 404}}, "
      "backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}}\n");
  trunk.get("/");
  const std::string cookie = trunk.cookie();
  trunk.keep_log();
  trunk.connector.always("a", {.connect = BackendScript::Connect::refuses});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(trunk.get("/", {{"Cookie", cookie}}).head.status, 404);
  const auto lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(text(lines.front(), "failure"), "refused");
  EXPECT_GE(lines.front().at("attempts").as_int64(), 1);
  EXPECT_EQ(text(lines.back(), "failure"), "");
  EXPECT_EQ(text(lines.back(), "cause"), "ended");
  const auto& events = trunk.snapshot().pools.front()->counters->sessions.front().events;
  EXPECT_EQ(events[static_cast<std::size_t>(SessionEvent::lost)].value(), 1U);
}

TEST(Report, AResponseThatEndsTheSessionHasTheEpochUnderWhichItWasServed) {
  Trunk trunk(yaml);
  trunk.get("/");
  std::string cookie = trunk.cookie();
  trunk.member("a").admin = Admin::maint;
  trunk.get("/", {{"Cookie", cookie}});
  cookie = trunk.cookie();
  trunk.connector.script("b", {.head = "200 OK\r\nRemora-Session-Control: end\r\nContent-Length: 0\r\n"});
  trunk.keep_log();
  trunk.get("/", {{"Cookie", cookie}});
  const auto told = field(trunk.connector.requests.back().head.fields, "Remora-Session");
  ASSERT_TRUE(told);
  EXPECT_NE(told->find("epoch=2"), std::string::npos) << *told;
  EXPECT_EQ(trunk.take_log().front().at("epoch").as_int64(), 2);
}

TEST(Report, ASessionThatNobodyCanServeIsLoggedWithItsEpochAndARedirectWithoutACause) {
  Trunk trunk(yaml);
  trunk.get("/");
  const std::string cookie = trunk.cookie();
  trunk.keep_log();
  for (const char* id : {"a", "b"}) trunk.member(id).admin = Admin::maint;
  EXPECT_EQ(trunk.get("/", {{"Cookie", cookie}}).head.status, 503);
  EXPECT_EQ(trunk.get("/gone", {{"Cookie", cookie}}).head.status, 308);
  const auto lines = trunk.take_log();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(text(lines.front(), "reason"), "none");
  EXPECT_EQ(text(lines.front(), "cause"), "none");
  EXPECT_EQ(lines.front().at("epoch").as_int64(), 1);
  EXPECT_EQ(text(lines.back(), "cause"), "none");
  EXPECT_EQ(lines.back().at("epoch").as_int64(), 0);
}

TEST(Report, TimesOfItsPhases) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.connector.script("a", {.when = When::on_go, .body = "0123", .stalls_after = 2});
  trunk.start("GET", "/");
  trunk.advance(300ms);
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  const auto lines = trunk.take_log();
  EXPECT_EQ(lines.front().at("first_byte_ms").as_double(), 300);
  EXPECT_EQ(lines.front().at("queue_ms").as_double(), 0);
  EXPECT_EQ(lines.front().at("total_ms").as_double(), 300);
}

TEST(Report, CountsPerListenerAndBackend) {
  Trunk trunk(yaml);
  trunk.get("/");
  trunk.connector.script("a", {.head = "404 Not Found\r\nContent-Length: 0\r\n"});
  trunk.get("/");
  trunk.get("/gone");
  trunk.connector.script("a", {.fails = BackendScript::Fails::closes});
  trunk.get("/");
  const TrafficSum listener(trunk.connection.listener->shared->traffic);
  EXPECT_EQ(listener.answers[2], 2U);
  EXPECT_EQ(listener.answers[3], 1U);
  EXPECT_EQ(listener.answers[4], 1U);
  EXPECT_EQ(listener.total(), 4U);
  const TrafficSum a(trunk.backend_of("a").traffic);
  EXPECT_EQ(a.answers[2], 1U);
  EXPECT_EQ(a.answers[4], 1U);
  EXPECT_EQ(a.answers[0], 1U) << "closed without a response";
  EXPECT_EQ(TrafficSum(trunk.backend_of("b").traffic).answers[2], 1U);
  EXPECT_EQ(trunk.backend_of("a").served.load(), 3U);
}

TEST(Report, WhatTheClientDoesIsNotCountedAgainstTheBackend) {
  Trunk trunk(yaml);
  trunk.connector.script("a", {.when = When::never});
  trunk.start("GET", "/");
  trunk.client.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(TrafficSum(trunk.backend_of("a").traffic).total(), 0U);
}

TEST(Report, RequestIdsAreMadeUnlessATrustedProxySentOne) {
  for (const bool trusted : {true, false}) {
    Trunk trunk(std::string("listeners: [{bind: 127.0.0.1:0") +
                (trusted ? ", trusted_proxies: [192.0.2.0/24]" : "") + "}]\n" + yaml);
    trunk.keep_log();
    trunk.get("/", {{"X-Request-Id", "given"}});
    const auto sent = field(trunk.connector.requests.back().head.fields, "X-Request-Id");
    ASSERT_TRUE(sent);
    EXPECT_EQ(*sent == "given", trusted);
    EXPECT_EQ(text(trunk.take_log().front(), "id"), *sent);
  }
}

TEST(Report, EachKindOfFailureAndRefusalHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int kind = 0; kind <= static_cast<int>(Failure::Kind::handshake_lost); ++kind)
    EXPECT_TRUE(names.insert(to_string(static_cast<Failure::Kind>(kind))).second) << kind;
  for (int what = 0; what < static_cast<int>(Refusal::count_); ++what)
    EXPECT_FALSE(to_string(static_cast<Refusal>(what)).empty());
}

}  // namespace
}  // namespace remora::test
