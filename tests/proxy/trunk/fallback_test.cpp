// The fallback of a pool: another pool, or a fixed reply, while nobody of the pool is in service.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using namespace std::chrono_literals;

/// Pools app (a, b), spare (c) and last (d), each by cookie. `app`, `spare`: their settings.
std::string site(const std::string& app, const std::string& spare = "", const std::string& more = "") {
  const auto comma = [](const std::string& s) { return s.empty() ? s : ", " + s; };
  return more + "pools:\n  app: {affinity: cookie" + comma(app) +
         ", backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}\n  spare: {affinity: "
         "cookie" +
         comma(spare) +
         ", backends: [{id: c, address: 127.0.0.1:3}]}\n  last: {affinity: cookie, backends: [{id: d, "
         "address: "
         "127.0.0.1:4}]}\n" +
         (more.find("routes:") == std::string::npos ? "routes: [{path: /, pool: app}]\n" : "");
}

void set_all(Trunk& trunk, const std::string& ids, Health health) {
  for (const char id : ids) trunk.member(std::string(1, id)).health = health;
}
std::uint64_t counted(const Trunk& trunk, std::size_t pool = 0) {
  return trunk.snapshot().pools[pool]->counters->sessions.front().fallbacks.value();
}

TEST(Fallback, ServesWhileNobodyIsInServiceAndSessionsGoOnAfterwards) {
  Trunk trunk(site("fallback: spare"));
  Browser browser = begin_at(trunk, "a");
  const Told before = browser.ask(trunk);
  set_all(trunk, "ab", Health::down);
  for (int i = 0; i < 3; ++i) {
    const Told got = browser.ask(trunk);
    EXPECT_EQ(got.backend, "c");
    EXPECT_EQ(got.reason, i == 0 ? "new" : "sticky");
    EXPECT_EQ(got.epoch, 1U);
    EXPECT_NE(got.id, before.id);
    EXPECT_EQ(got.cookie, "") << "the app sees no token of either pool";
  }
  EXPECT_EQ(browser.cookies.size(), 2U);  // one of each pool
  EXPECT_EQ(Browser().ask(trunk).backend, "c");
  EXPECT_EQ(counted(trunk), 4U);
  set_all(trunk, "ab", Health::up);
  const Told after = browser.ask(trunk);
  EXPECT_EQ(after.backend, "a");
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.epoch, 1U);
  EXPECT_EQ(after.reason, "sticky");
  EXPECT_EQ(counted(trunk), 4U);
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(Fallback, ASessionThatEndsThereLeavesTheFirstPoolsAlone) {
  Trunk trunk(site("fallback: spare"));
  Browser browser = begin_at(trunk, "a");
  set_all(trunk, "ab", Health::down);
  browser.ask(trunk);
  answer_with(trunk, "Remora-Session-Control: end\r\n");
  browser.ask(trunk);
  answer_with(trunk, "");
  EXPECT_FALSE(browser.cookies.contains("remora-spare"));
  EXPECT_TRUE(browser.cookies.contains("remora-app"));
  set_all(trunk, "ab", Health::up);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
}

TEST(Fallback, ServesARequestWhoseConnectionsWereAllRefusedToo) {
  Trunk trunk(site("fallback: spare"));
  Browser browser = begin_at(trunk, "a");
  for (const char* id : {"a", "b"}) trunk.connector.always(id, {.connect = Connect::refuses});
  const Told got = Browser().ask(trunk);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.backend, "c");
  EXPECT_EQ(trunk.delivered().head.status, 200);
  // An error is an answer: the servers are there.
  BackendScript error;
  error.head = "503 Service Unavailable\r\nContent-Length: 0\r\n";
  for (const char* id : {"a", "b"}) trunk.connector.always(id, error);
  EXPECT_EQ(Browser().ask(trunk).status, 503);
}

TEST(Fallback, DrainedBackendsKeepTheirSessions) {
  Trunk trunk(site("fallback: spare"));
  Browser browser = begin_at(trunk, "a");
  for (const char* id : {"a", "b"}) trunk.member(id).admin = Admin::drain;
  EXPECT_EQ(browser.ask(trunk).backend, "a");
  EXPECT_EQ(Browser().ask(trunk).backend, "c");  // nobody takes new sessions
}

TEST(Fallback, AFixedReplyHasTheStatusBodyAndFieldsOfTheFile) {
  Trunk trunk(
      site("fallback: {status: 502, body: \"<h1>back soon</h1>\", content_type: text/html, "
           "retry_after: 90s}"));
  trunk.keep_log();
  Browser browser = begin_at(trunk, "a");
  trunk.take_log();
  set_all(trunk, "ab", Health::down);
  const Told got = browser.ask(trunk);
  EXPECT_EQ(got.status, 502);
  EXPECT_EQ(trunk.delivered().body, "<h1>back soon</h1>");
  EXPECT_EQ(field(trunk.delivered().head.fields, "Content-Type").value_or(""), "text/html");
  EXPECT_EQ(field(trunk.delivered().head.fields, "Retry-After").value_or(""), "90");
  EXPECT_EQ(field(trunk.delivered().head.fields, "Cache-Control").value_or(""), "no-store");
  EXPECT_FALSE(field(trunk.delivered().head.fields, "Set-Cookie"));
  EXPECT_EQ(trunk.take_log().back().at("failure").as_string(), "no_backend");
  EXPECT_EQ(browser.ask(trunk, "/", {}, "HEAD").status, 502);
  EXPECT_EQ(trunk.delivered().body, "");
  EXPECT_EQ(counted(trunk), 2U);
  set_all(trunk, "ab", Health::up);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
}

TEST(Fallback, AGrpcClientHearsOfAnErrorWhateverThePageSays) {
  Trunk trunk(site("fallback: {status: 200, body: soon}"));
  set_all(trunk, "ab", Health::down);
  trunk.request("POST", "/s/M", {{"Content-Type", "application/grpc"}, {"Content-Length", "0"}});
  EXPECT_EQ(field(trunk.delivered().head.fields, "grpc-status").value_or(""), "14");
  EXPECT_EQ(trunk.delivered().body, "");
  trunk.new_connection();
  EXPECT_EQ(trunk.get("/").head.status, 200);
  EXPECT_EQ(trunk.delivered().body, "soon");
}

TEST(Fallback, MayHaveAFallbackOfItsOwn) {
  Trunk trunk(site("fallback: spare", "fallback: last"));
  set_all(trunk, "abc", Health::down);
  EXPECT_EQ(Browser().ask(trunk).backend, "d");
  EXPECT_EQ(counted(trunk, 0), 1U);
  EXPECT_EQ(counted(trunk, 1), 1U);
  set_all(trunk, "d", Health::down);
  EXPECT_EQ(Browser().ask(trunk).status, 503);
}

TEST(Fallback, ComesAfterTheSisterPoolsOfASplit) {
  Trunk trunk(site("fallback: last", "", "routes: [{path: /, split: {app: 1, spare: 1}}]\n"));
  Browser browser = begin_at(trunk, "a");
  set_all(trunk, "ab", Health::down);
  EXPECT_EQ(Browser().ask(trunk).backend, "c");
  Browser stays = begin_at(trunk, "c");
  const Told moved = browser.ask(trunk);
  EXPECT_EQ(moved.backend, "c");
  EXPECT_EQ(moved.epoch, 2U);
  set_all(trunk, "ab", Health::up);
  Browser at_a = begin_at(trunk, "a");
  set_all(trunk, "abc", Health::down);
  EXPECT_EQ(at_a.ask(trunk).backend, "d");
  EXPECT_EQ(stays.ask(trunk).status, 503) << "spare has no fallback";
  set_all(trunk, "ab", Health::up);
  EXPECT_EQ(at_a.ask(trunk).reason, "sticky");
}

TEST(Fallback, OfASisterThatFailedTooIsThatOfTheFirstPool) {
  Trunk trunk(site("fallback: last", "", "routes: [{path: /, split: {app: 1, spare: 1}}]\n"));
  Browser browser = begin_at(trunk, "a");
  for (const char* id : {"a", "b", "c"}) trunk.connector.always(id, {.connect = Connect::refuses});
  trunk.pool_config("app").failover.attempts = 10;
  trunk.pool_config("spare").failover.attempts = 10;
  trunk.member("b").health = Health::down;
  const Told got = browser.ask(trunk);
  EXPECT_EQ(got.backend, "d");
  EXPECT_EQ(got.status, 200);
}

TEST(Fallback, RejectsNoSessionThatMayComeBack) {
  Trunk trunk(site("fallback: spare, session: {on_lost: reject}"));
  Browser browser = begin_at(trunk, "a");
  set_all(trunk, "ab", Health::down);
  EXPECT_EQ(browser.ask(trunk).backend, "c");
  set_all(trunk, "a", Health::up);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
  set_all(trunk, "b", Health::up);
  set_all(trunk, "a", Health::down);
  EXPECT_EQ(browser.ask(trunk).status, 503) << "somebody else is in service: rejected as ever";
  EXPECT_FALSE(browser.cookies.contains("remora-app"));
}

TEST(Fallback, IsNoPlaceForSessionsThatFindAFullHouse) {
  std::string yaml = site("fallback: spare");
  for (const char* address : {"127.0.0.1:1", "127.0.0.1:2"})
    yaml.replace(yaml.find(std::string(address) + "}"), 11, std::string(address) + ", max_sessions: 1");
  Trunk trunk(yaml);
  Browser().ask(trunk);
  Browser().ask(trunk);
  EXPECT_EQ(Browser().ask(trunk).status, 503);
  EXPECT_EQ(counted(trunk), 0U);
}

TEST(Fallback, CostsARateLimitedClientOneNewSession) {
  Trunk trunk(site("fallback: spare", "",
                   "listeners: [{bind: 127.0.0.1:0, per_client: {new_sessions_per_second: 1}}]\n"));
  set_all(trunk, "ab", Health::down);
  EXPECT_EQ(Browser().ask(trunk).backend, "c");
  EXPECT_EQ(Browser().ask(trunk).status, 429);
}

TEST(Fallback, HasTheTimeoutsOfItsPool) {
  Trunk trunk(site("fallback: spare, timeouts: {response: 1s}", "timeouts: {response: 5s}"));
  set_all(trunk, "ab", Health::down);
  BackendScript silent;
  silent.when = When::never;
  trunk.connector.always("c", silent);
  trunk.start("GET", "/");
  trunk.advance(3s);
  EXPECT_FALSE(trunk.done());
  trunk.advance(3s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 504);
}

}  // namespace
}  // namespace remora::test
