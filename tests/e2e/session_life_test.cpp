// Sessions begin, and what operators see of them. Lifetimes: tests/proxy/trunk/session_life_test.cpp.

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <set>

#include "support/site.h"

namespace remora::test {
namespace {

// Beginnings ----------------------------------------------------------------------------------------

TEST(FirstRequests, OfOneConnectionShareABackendAndNeverAnId) {
  Site site(5);
  Remora remora(site.config("affinity: cookie\nbalance: round_robin\n"));
  Socket browser = remora.connect();
  std::set<std::string> backends, ids;
  for (int i = 0; i < 5; ++i) {
    const Reply r = Browser().get(browser);
    backends.insert(r.field("X-Backend"));
    ids.insert(announced(r).id);
  }
  EXPECT_EQ(backends.size(), 1U);
  EXPECT_EQ(ids.size(), 5U);
}

TEST(FirstRequests, ThroughAProxyAreManyPeoples) {
  Site site(5);
  for (const char* field : {"Via: 1.1 x\r\n", "Forwarded: for=1.2.3.4\r\n", "X-Forwarded-For: 1.2.3.4\r\n"}) {
    Remora remora(site.config("affinity: cookie\nbalance: round_robin\n"));
    Socket proxy = remora.connect();
    std::set<std::string> backends;
    for (int i = 0; i < 5; ++i) {
      Browser b;
      b.more = field;
      backends.insert(b.get(proxy).field("X-Backend"));
    }
    EXPECT_EQ(backends.size(), 5U) << field;
  }
  Remora remora(
      site.config("affinity: cookie\nbalance: round_robin\n", "", "trusted_proxies: [127.0.0.1/32]\n"));
  Socket proxy = remora.connect();
  std::set<std::string> backends;
  for (int i = 0; i < 5; ++i) backends.insert(Browser().get(proxy).field("X-Backend"));
  EXPECT_EQ(backends.size(), 5U);
}

// What operators see --------------------------------------------------------------------------------

TEST(Operators, HearOfAFullTableAndOfUnknownKeys) {
  Site site(1);
  Remora remora(
      site.config("affinity: [{kind: app_cookie, name: SID}, cookie]\n", "store: {capacity: 64}\n"));
  for (int i = 0; i < 200; ++i) Browser().get(remora.port(), "/login");
  EXPECT_TRUE(eventually([&] { return remora.metric("remora_session_table_evictions_total") > 0; }));
  Remora other(site.config("affinity: cookie\n"));
  Browser browser;
  browser.cookies["remora-app"] = std::string(128, 'A');
  EXPECT_EQ(browser.get(other.port()).status, 200);
  EXPECT_EQ(other.metric("remora_session_recognition_total{pool=\"app\",cause=\"unknown_key\"}"), 1);
}

TEST(Operators, SeeTheVerdictInEachLogLine) {
  Site site(2);
  Remora remora(site.config("affinity: [{kind: app_cookie, name: SID}, cookie]\n",
                            "log: {access: {format: combined, output: stderr}}\n"));
  Browser browser;
  browser.get(remora.port(), "/login");
  browser.get(remora.port());
  EXPECT_TRUE(remora.wait_for_log("affinity=app_cookie reason=sticky epoch=1"));
  browser.cookies["remora-app"] = "x";
  browser.cookies["SID"] = "unheard-of";
  browser.get(remora.port());
  EXPECT_TRUE(remora.wait_for_log("cause=unbound"));
}

double sessions(const Remora& remora, const std::string& backend, const std::string& family) {
  return remora.metric("remora_sessions{pool=\"app\",backend=\"" + backend + "\",family=\"" + family + "\"}");
}

TEST(Operators, CountByReasonAndByCause) {
  Site site(3);
  std::string config = site.config("affinity: cookie\n");
  config.replace(config.find("admin: off"), 10, "admin: 127.0.0.1:0");
  Remora remora(config);
  auto [browser, home] = begin(remora.port());
  for (int i = 0; i < 3; ++i) browser.get(remora.port());
  for (const char* bad : {"x", "AAAA"}) {
    Browser b;
    b.cookies["remora-app"] = bad;
    b.get(remora.port());
  }
  site.stop(home);
  browser.get(remora.port());
  browser.get(remora.port(), "/control/end");
  const auto requests = [&](const std::string& reason) {
    return remora.metric("remora_session_requests_total{pool=\"app\",reason=\"" + reason + "\"}");
  };
  EXPECT_EQ(requests("new"), 3);
  EXPECT_EQ(requests("sticky"), 4);
  EXPECT_EQ(requests("failover"), 1);
  EXPECT_EQ(remora.metric("remora_session_recognition_total{pool=\"app\",cause=\"malformed\"}"), 2);
  EXPECT_EQ(remora.metric("remora_session_recognition_total{pool=\"app\",cause=\"none\"}"), 5);
  EXPECT_EQ(remora.metric("remora_session_events_total{pool=\"app\",event=\"ended\"}"), 1);
  // The memory of moves holds what happened, and no session to which nothing happened.
  EXPECT_EQ(remora.metric("remora_session_table_entries{table=\"moves\"}"), 1);
}

TEST(Operators, SeeHowManySessionsEachBackendHas) {
  for (const std::string family : {"issued", "learned"}) {
    Site site(3);
    std::string config = site.config(
        "affinity: " + std::string(family == "issued" ? "cookie" : "{kind: app_cookie, name: SID}") + "\n");
    config.replace(config.find("admin: off"), 10, "admin: 127.0.0.1:0");
    Remora remora(config);
    std::map<std::string, std::vector<Browser>> at;
    for (int i = 0; i < 300; ++i) {
      auto [browser, home] = begin(remora.port(), "/login");
      at[home].push_back(browser);
      if (i % 3 == 0) browser.get(remora.port());
    }
    for (const auto& [home, browsers] : at)
      EXPECT_EQ(sessions(remora, home, family), static_cast<double>(browsers.size()))
          << family << " " << home;
    for (int i = 0; i < 10; ++i) at["a"][static_cast<std::size_t>(i)].get(remora.port(), "/control/end");
    EXPECT_EQ(sessions(remora, "a", family), static_cast<double>(at["a"].size() - 10));
    site.stop("b");
    for (Browser& b : at["b"]) b.get(remora.port());
    EXPECT_EQ(sessions(remora, "b", family), 0);
    EXPECT_EQ(sessions(remora, "a", family) + sessions(remora, "c", family), 290);
  }
}

TEST(CacheSafety, APublicResponseGetsATokenOnlyIfItMustAndThenBecomesPrivate) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  Browser fresh;
  EXPECT_EQ(fresh.get(remora.port(), "/public").field("Cache-Control"), "public, max-age=60");
  EXPECT_TRUE(fresh.cookies.empty());
  auto [browser, home] = begin(remora.port());
  site.stop(home);
  const Reply moved = browser.get(remora.port(), "/public");
  EXPECT_EQ(moved.field("Cache-Control"), "private, max-age=60");  // a proxy only adds restrictions
  EXPECT_EQ(moved.count("Set-Cookie"), 1);
}

}  // namespace
}  // namespace remora::test
