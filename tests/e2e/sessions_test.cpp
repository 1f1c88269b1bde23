// Sessions over the real binary: every kind, through deaths, restarts, several workers and several instances.

#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "support/site.h"

namespace remora::test {
namespace {

// Stickiness ----------------------------------------------------------------------------------------

struct KindCase {
  const char *name, *affinity, *first;  // first: the target that begins the session
};

void PrintTo(const KindCase& c, std::ostream* out) {
  *out << c.name;
}

class Sticky : public ::testing::TestWithParam<KindCase> {
 protected:
  /// A client who is what the derived kinds hash, and who begins a session.
  static Browser client(int n) {
    Browser b;
    b.more = "X-Forwarded-For: 10.1." + std::to_string(n / 200) + "." + std::to_string(n % 200 + 1) +
             "\r\nX-Tenant: t" + std::to_string(n) + "\r\n";
    return b;
  }
  static std::string through_proxies() { return "trusted_proxies: [127.0.0.0/8]\n"; }
};

constexpr int clients = 200, requests_each = 50;

/// 200 clients by 50 requests: every fifth request on a connection of its own, the others on one that stays.
TEST_P(Sticky, TwoHundredClientsByFiftyRequestsNeverChangeBackend) {
  Site site(3);
  Remora remora(site.config("affinity: " + std::string(GetParam().affinity) + "\n", "", through_proxies()));
  const bool in_urls = std::string(GetParam().name) == "url_rewrite";
  std::set<std::string> used;
  int moved = 0, failed = 0;
  for (int c = 0; c < clients / (sanitized() ? 4 : 1); ++c) {
    Browser browser = client(c);
    const Reply first = browser.get(remora.port(), GetParam().first);
    const std::string home = first.field("X-Backend");
    std::string token;
    if (in_urls) {
      const std::string url = first.field("Location");
      token = url.substr(url.find(';'));
    }
    used.insert(home);
    Socket lasting = remora.connect();
    for (int i = 0; i < requests_each; ++i) {
      const std::string target = "/r/" + std::to_string(i) + token;
      const Reply r = i % 5 == 0 ? browser.get(remora.port(), target) : browser.get(lasting, target);
      failed += r.status == 200 ? 0 : 1;
      moved += r.field("X-Backend") == home ? 0 : 1;
      if (in_urls) {
        EXPECT_EQ(r.field("X-Target"), "/r/" + std::to_string(i));
      }
    }
  }
  EXPECT_EQ(moved, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(used.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(
    EveryKind, Sticky,
    ::testing::Values(KindCase{"cookie", "cookie", "/"},
                      KindCase{"url_rewrite", "url_rewrite", "/redirect/1"},
                      KindCase{"app_cookie_in_store", "{kind: app_cookie, name: SID}", "/login"},
                      KindCase{"app_cookie_in_token", "{kind: app_cookie, name: SID, carry: token}",
                               "/login"},
                      KindCase{"header_learned", "{kind: header, name: Sid, learn: true}", "/login"},
                      KindCase{"header_hashed", "{kind: header, name: X-Tenant}", "/"},
                      KindCase{"header_in_store", "{kind: header, name: X-Tenant, carry: store}", "/"},
                      KindCase{"ip_hash", "ip_hash", "/"},
                      KindCase{"list", "[{kind: app_cookie, name: SID}, cookie]", "/"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TwoInstances, ThatShareOnlyTheKeysAgreeOnCookiesAndUrls) {
  Site site(3);
  const std::string config = site.config("affinity: [cookie, url_rewrite]\n");
  Remora one(config), two(config);
  for (int c = 0; c < 30; ++c) {
    Browser browser;
    const Reply first = browser.get(one.port());
    for (int i = 0; i < 10; ++i)
      EXPECT_EQ(browser.get(i % 2 == 0 ? two.port() : one.port()).field("X-Backend"),
                first.field("X-Backend"));
    const Reply redirect = Browser().get(two.port(), "/redirect/1");
    EXPECT_EQ(Browser().get(one.port(), redirect.field("Location")).field("X-Backend"),
              redirect.field("X-Backend"));
  }
}

TEST(TwoInstances, PlaceIdsThatNeitherKnowsAlike) {
  Site site(5);
  const std::string config = site.config("affinity: {kind: app_cookie, name: SID}\n");
  Remora one(config), two(config);
  std::set<std::string> used;
  for (int i = 0; i < 50; ++i) {
    Browser browser;
    browser.cookies["SID"] = "unknown" + std::to_string(i);
    const std::string home = browser.get(one.port()).field("X-Backend");
    used.insert(home);
    EXPECT_EQ(browser.get(one.port()).field("X-Backend"), home);
    EXPECT_EQ(browser.get(two.port()).field("X-Backend"), home);
  }
  EXPECT_EQ(used.size(), 5U);
}

TEST(Restart, OfRemoraByKillMovesNoCookieAndNoUrlSession) {
  Site site(3);
  const std::string config = site.config("affinity: [cookie, url_rewrite]\n");
  std::vector<std::pair<Browser, std::string>> by_cookie;
  std::vector<std::pair<std::string, std::string>> by_url;
  {
    Remora remora(config);
    for (int c = 0; c < 30; ++c) {
      Browser browser;
      const Reply first = browser.get(remora.port());
      by_cookie.emplace_back(browser, first.field("X-Backend"));
      const Reply redirect = Browser().get(remora.port(), "/redirect/1");
      by_url.emplace_back(redirect.field("Location"), redirect.field("X-Backend"));
    }
    remora.signal(SIGKILL);
  }
  Remora again(config);
  for (auto& [browser, home] : by_cookie) EXPECT_EQ(browser.get(again.port()).field("X-Backend"), home);
  for (const auto& [url, home] : by_url) EXPECT_EQ(Browser().get(again.port(), url).field("X-Backend"), home);
}

// URLs ----------------------------------------------------------------------------------------------

TEST(Urls, ATokenFollowsAChainOfRedirects) {
  Site site(3);
  Remora remora(site.config("affinity: url_rewrite\n"));
  for (int c = 0; c < 10; ++c) {
    std::string target = "/redirect/9", home;
    Reply r;
    for (int hop = 0; hop <= 10; ++hop) {
      r = Browser().get(remora.port(), target);
      if (home.empty()) home = r.field("X-Backend");
      EXPECT_EQ(r.field("X-Backend"), home);
      EXPECT_EQ(r.field("X-Target").find("rsid"), std::string::npos);
      if (r.status != 302) break;
      EXPECT_EQ(r.field("Referrer-Policy"), "same-origin");
      EXPECT_EQ(r.field("Cache-Control"), "private");
      target = r.field("Location");
    }
    EXPECT_EQ(r.field("X-Target"), "/end");
  }
}

TEST(Urls, EachOfAHundredLinksOfAPageLeadsToItsSession) {
  Site site(3);
  for (const std::string style : {"path", "query"}) {
    Remora remora(
        site.config("affinity: {kind: url_rewrite, style: " + style + ", rewrite: [location, html]}\n"));
    Socket client = remora.connect();
    client.send(get("/page", "Accept-Encoding: gzip\r\nRange: bytes=0-9\r\n"));
    const Reply page = client.receive_reply();
    ASSERT_TRUE(page.complete);
    EXPECT_EQ(page.field("ETag"), "W/\"1\"");
    EXPECT_EQ(page.field("Content-Length"), "");
    int links = 0;
    for (auto at = page.body.find("href=\""); at != std::string::npos; at = page.body.find("href=\"", at)) {
      at += 6;
      std::string url = page.body.substr(at, page.body.find('"', at) - at);
      for (auto amp = url.find("&amp;"); amp != std::string::npos; amp = url.find("&amp;"))
        url.replace(amp, 5, "&");
      const Reply r = Browser().get(remora.port(), url);
      EXPECT_EQ(r.field("X-Backend"), page.field("X-Backend"));
      EXPECT_EQ(r.field("X-Target"), "/link/" + std::to_string(links) + "?x=1&y=2");
      ++links;
    }
    EXPECT_EQ(links, 100);
    EXPECT_EQ(Browser().get(remora.port(), "/page").status, 200);
    client.send("HEAD /page HTTP/1.1\r\nHost: test\r\n\r\n");
    const Reply head = client.receive_reply(true);
    EXPECT_EQ(head.field("Content-Length"), "");
    client.send("GET /page HTTP/1.0\r\n\r\n");  // no chunks for a 1.0 client: ended by closing
    const Reply old = client.receive_reply();
    EXPECT_EQ(old.body.size(), page.body.size());
    EXPECT_TRUE(client.closed_by_peer());
  }
}

TEST(Urls, TokensStandInNoLogAndNoReferer) {
  Site site(1);
  Remora remora(
      site.config("affinity: url_rewrite\n", "log: {access: {format: combined, output: stderr}}\n"));
  const std::string url = Browser().get(remora.port(), "/redirect/1").field("Location");
  const std::string token = url.substr(url.find('=') + 1);
  Browser browser;
  browser.more = "Referer: http://test" + url + "\r\n";
  EXPECT_EQ(browser.get(remora.port(), url).field("X-Referer"), "http://test/redirect/0");
  ASSERT_TRUE(remora.wait_for_log(";rsid=***"));
  EXPECT_EQ(remora.log().find(token), std::string::npos);
}

TEST(Urls, StayCleanOnceACookieComesBack) {
  Site site(2);
  Remora remora(site.config("affinity: [cookie, {kind: url_rewrite, rewrite: [location, html]}]\n"));
  Browser browser;
  const Reply first = browser.get(remora.port(), "/redirect/2");
  EXPECT_NE(first.field("Location").find(";rsid="), std::string::npos);
  EXPECT_EQ(browser.cookies.count("remora-app"), 1U);
  EXPECT_EQ(browser.get(remora.port(), first.field("Location")).field("Location"), "/redirect/0");
  EXPECT_EQ(browser.get(remora.port(), "/page").body.find("rsid"), std::string::npos);
  // Without the cookie the token keeps the session, and a cookie is offered again.
  Browser other;
  const Reply r = other.get(remora.port(), first.field("Location"));
  EXPECT_EQ(announced(r).id, announced(first).id);
  EXPECT_EQ(other.cookies.count("remora-app"), 1U);
}

TEST(Urls, RoutesDoNotSeeTokens) {
  Site site(2);
  std::string config = site.config("affinity: url_rewrite\n");
  config +=
      "  other:\n    backends: [127.0.0.1:1]\nroutes:\n  - {path: /redirect, pool: app}\n  - {path: /, pool: "
      "other}\n";
  Remora remora(config);
  const Reply first = Browser().get(remora.port(), "/redirect/1");
  EXPECT_NE(first.field("Location").find("/redirect/0;rsid="), std::string::npos);
  const Reply second = Browser().get(remora.port(), first.field("Location"));
  EXPECT_EQ(second.status, 302);
  EXPECT_EQ(second.field("Location"), "/end");  // another pool's: it gets no token
  EXPECT_EQ(Browser().get(remora.port(), "/redirect;rsid=x/1").field("X-Target"), "/redirect/1");
}

// Moves ---------------------------------------------------------------------------------------------

/// A session, and the name of its backend.
std::pair<Browser, std::string> begin(int port, const std::string& target = "/") {
  Browser browser;
  const std::string home = browser.get(port, target).field("X-Backend");
  return {browser, home};
}

class Moving : public ::testing::TestWithParam<const char*> {};

TEST_P(Moving, ParallelRequestsAfterADeathLandOnOneNewBackendWithOneEpoch) {
  Site site(5);
  const std::string config = site.config("affinity: " + std::string(GetParam()) + "\n");
  Remora one(config), two(config);
  const bool instances_agree = std::string(GetParam()) == "cookie" ||
                               std::string(GetParam()).find("carry: token") != std::string::npos;
  for (int round = 0; round < 5; ++round) {
    const auto [browser, home] = begin(one.port(), "/login");
    site.stop(home);
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::set<std::string> backends, epochs, ids;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        const int port = instances_agree && t % 2 == 1 ? two.port() : one.port();
        for (int i = 0; i < 3; ++i) {
          Browser copy = browser;  // each with the token of before the death
          const Reply r = copy.get(port);
          const std::lock_guard lock(mutex);
          backends.insert(r.field("X-Backend"));
          epochs.insert(std::to_string(announced(r).epoch));
          ids.insert(announced(r).id);
        }
      });
    for (auto& t : threads) t.join();
    EXPECT_EQ(backends.size(), 1U);
    EXPECT_FALSE(backends.contains(home));
    EXPECT_EQ(epochs, std::set<std::string>{"2"});
    EXPECT_EQ(ids.size(), 1U);
    site.start(home);
    // It does not return: the old token goes to the present owner, on the instance that moved it.
    Browser copy = browser;
    EXPECT_EQ(copy.get(one.port()).field("X-Backend"), *backends.begin());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Moving,
                         ::testing::Values("cookie", "{kind: app_cookie, name: SID}",
                                           "{kind: app_cookie, name: SID, carry: token}",
                                           "{kind: header, name: Sid, learn: true}"),
                         [](const auto& info) { return "kind" + std::to_string(info.index); });

TEST(Moves, AnInstanceThatMovedASessionKeepsSendingOldTokensToTheNewBackend) {
  Site site(3);
  const std::string config = site.config("affinity: cookie\n");
  Remora one(config), two(config);
  auto [browser, home] = begin(one.port());
  const Browser before = browser;
  site.stop(home);
  const Reply moved = browser.get(one.port());
  site.start(home);
  EXPECT_EQ(announced(moved).reason, "failover");
  // Divergent views: the other instance never saw the death. With the new token it follows, ...
  EXPECT_EQ(browser.get(two.port()).field("X-Backend"), moved.field("X-Backend"));
  // ... with the old one each does what it knows: the one that moved it remembers.
  Browser old = before;
  const Reply r = old.get(one.port());
  EXPECT_EQ(r.field("X-Backend"), moved.field("X-Backend"));
  EXPECT_EQ(announced(r).epoch, 2);
  EXPECT_EQ(announced(r).reason, "failover");  // for this client it is news
  EXPECT_NE(old.cookies["remora-app"], before.cookies.at("remora-app"));
}

TEST(Moves, ARestartedBackendIsToldByItsGeneration) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  site.set_generation(home, 1000);
  const Reply adopted = browser.get(remora.port());  // its first number: adopted, nothing moves
  EXPECT_EQ(adopted.field("X-Backend"), home);
  EXPECT_EQ(adopted.field("Remora-Generation"), "");
  EXPECT_EQ(adopted.count("Set-Cookie"), 1);
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "sticky");
  site.set_generation(home, 2000);
  Browser().get(remora.port());  // somebody's answer tells (all backends, to be sure)
  for (int i = 0; i < 20; ++i) Browser().get(remora.port());
  const Reply restarted = browser.get(remora.port());
  EXPECT_EQ(announced(restarted).reason, "restart");
  EXPECT_EQ(announced(restarted).epoch, 2);
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "sticky");
}

TEST(Moves, AProbeTellsOfARestartBeforeAnyRequestMeetsIt) {
  Site site(2);
  Remora remora(site.config("affinity: cookie\nhealth: {probe: {path: /healthz, interval: 50ms}}\n"));
  site.set_generation("a", 1000);
  site.set_generation("b", 1000);
  std::this_thread::sleep_for(300ms);
  auto [browser, home] = begin(remora.port());
  site.set_generation(home, 2000);
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "restart");
}

TEST(Moves, ABackendThatLeftTheConfigurationIsARemovedOne) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  std::string config = site.config("affinity: cookie\n");
  const auto at = config.find("{id: " + home);
  config.replace(at, config.find('}', at) + 1 - at, "{id: z, address: 127.0.0.1:1, weight: 0}");
  remora.rewrite(config);
  remora.signal(SIGHUP);
  ASSERT_TRUE(remora.wait_for_log("reloaded"));
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(announced(r).reason, "removed");
  EXPECT_EQ(announced(r).epoch, 2);
}

class OneOfTen : public ::testing::TestWithParam<const char*> {};

TEST_P(OneOfTen, BackendsComesOrGoesAndOnlySessionsThatMustMoveDo) {
  Site site(10);
  const std::string config = site.config("affinity: " + std::string(GetParam()) + "\n");
  std::string nine = config;
  const auto at = nine.find(", {id: j");
  nine.erase(at, nine.find('}', at) + 1 - at);
  Remora remora(nine);
  const auto reload = [&](const std::string& text, int number) {
    remora.rewrite(text);
    remora.signal(SIGHUP);
    for (int i = 0; i < 1000; ++i) {
      const std::string log = remora.log();
      int seen = 0;
      for (auto p = log.find("reloaded"); p != std::string::npos; p = log.find("reloaded", p + 1)) ++seen;
      if (seen >= number) return;
      std::this_thread::sleep_for(10ms);
    }
    ADD_FAILURE() << "not reloaded";
  };
  std::vector<std::pair<Browser, std::string>> users;
  for (int i = 0; i < 100; ++i) users.push_back(begin(remora.port(), "/login"));
  reload(config, 1);  // one comes
  for (auto& [browser, home] : users) EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), home);
  for (int i = 0; i < 30; ++i) users.push_back(begin(remora.port(), "/login"));
  reload(nine, 2);  // it goes again
  int moved = 0;
  for (auto& [browser, home] : users) {
    const Reply r = browser.get(remora.port());
    EXPECT_EQ(announced(r).reason, home == "j" ? "removed" : "sticky");
    EXPECT_EQ(r.field("X-Backend") == home, home != "j");
    moved += home == "j" ? 1 : 0;
  }
  EXPECT_GT(moved, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, OneOfTen, ::testing::Values("cookie", "{kind: app_cookie, name: SID}"),
                         [](const auto& info) { return "kind" + std::to_string(info.index); });

// Evenness ------------------------------------------------------------------------------------------

TEST(Rebalance, MovesOnlyIdleSessionsOffABackendWithMoreThanItsShare) {
  Site site(2);
  Remora remora(
      site.config("affinity: cookie\n"
                  "session: {rebalance: {min_idle: 300ms, moves_per_second: 1000, threshold: 1.25, "
                  "without_state: on}}\n"));
  // All users of b go quiet for good; those of a are the load.
  std::vector<Browser> at_a;
  while (at_a.size() < 20) {
    auto [browser, home] = begin(remora.port());
    if (home == "a") at_a.push_back(browser);
  }
  int moved_while_busy = 0;
  for (int round = 0; round < 20; ++round)
    for (Browser& b : at_a) moved_while_busy += b.get(remora.port()).field("X-Backend") == "a" ? 0 : 1;
  EXPECT_EQ(moved_while_busy, 0);
  std::this_thread::sleep_for(500ms);
  int moved = 0;
  for (Browser& b : at_a) {
    const Reply r = b.get(remora.port());
    if (r.field("X-Backend") != "b") continue;
    ++moved;
    EXPECT_EQ(announced(r).reason, "rebalance");
    EXPECT_EQ(announced(r).epoch, 2);
    EXPECT_EQ(announced(b.get(remora.port())).reason, "sticky");
  }
  EXPECT_GT(moved, 0);
}

TEST(Rebalance, IsBoundedInItsRateAndOffUnlessAskedFor) {
  Site site(2);
  for (const bool on : {true, false}) {
    Remora remora(site.config(
        "affinity: cookie\n" +
        std::string(on ? "session: {rebalance: {min_idle: 100ms, moves_per_second: 1, without_state: on}}\n"
                       : "")));
    std::vector<Browser> at_a;
    while (at_a.size() < 20) {
      auto [browser, home] = begin(remora.port());
      if (home == "a") at_a.push_back(browser);
    }
    for (int i = 0; i < 10; ++i)
      for (Browser& b : at_a) b.get(remora.port());
    std::this_thread::sleep_for(200ms);
    const auto from = std::chrono::steady_clock::now();
    int moved = 0;
    for (Browser& b : at_a) moved += b.get(remora.port()).field("X-Backend") == "b" ? 1 : 0;
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
    EXPECT_LE(moved, on ? 1 + took : 0);
    EXPECT_GE(moved, on ? 1 : 0);
  }
}

// Control by the app --------------------------------------------------------------------------------

TEST(Control, EndIsALogoutAndOldTokensAreNone) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  const Browser before = browser;
  const Reply ended = browser.get(remora.port(), "/control/end");
  EXPECT_EQ(ended.field("Remora-Session-Control"), "");
  EXPECT_EQ(browser.cookies.count("remora-app"), 0U);
  Browser old = before;
  const Reply r = old.get(remora.port());
  EXPECT_EQ(announced(r).reason, "new");
  EXPECT_EQ(announced(r).epoch, 1);
}

TEST(Control, RenewGivesAnotherIdOnTheSameBackendAndTheOldOneIsNobodys) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  const Browser before = browser;
  const Reply renewed = browser.get(remora.port(), "/control/renew");
  const Reply after = browser.get(remora.port());
  EXPECT_NE(announced(after).id, announced(renewed).id);
  EXPECT_EQ(after.field("X-Backend"), home);
  // A request that was under way with the old token is served there, but is not the session any more, and
  // its answer does not replace the new token.
  Browser old = before;
  const Reply r = old.get(remora.port());
  EXPECT_EQ(r.field("X-Backend"), home);
  EXPECT_EQ(r.field("X-Session"), "");
  EXPECT_EQ(old.cookies, before.cookies);
}

TEST(Control, MovePlacesTheSessionElsewhereFromTheNextRequestOn) {
  Site site(3);
  const std::string config = site.config("affinity: cookie\n");
  Remora remora(config), other(config);
  auto [browser, home] = begin(remora.port());
  const Browser before = browser;
  EXPECT_EQ(browser.get(remora.port(), "/control/move").field("X-Backend"), home);
  Browser old = before;  // also with the token of before
  EXPECT_NE(old.get(remora.port()).field("X-Backend"), home);
  const Reply r = browser.get(other.port());  // on another instance, by what the token says
  EXPECT_NE(r.field("X-Backend"), home);
  EXPECT_EQ(announced(r).reason, "overload");
  EXPECT_EQ(announced(r).epoch, 2);
}

TEST(Control, HoldsForLearnedSessionsToo) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  const std::string id = announced(browser.get(remora.port())).id;
  EXPECT_EQ(browser.get(remora.port(), "/control/move").field("X-Backend"), home);
  const Reply moved = browser.get(remora.port());
  EXPECT_NE(moved.field("X-Backend"), home);
  EXPECT_EQ(announced(moved).id, id);
  browser.get(remora.port(), "/control/renew");
  EXPECT_NE(announced(browser.get(remora.port())).id, id);
  browser.get(remora.port(), "/control/end");
  const Reply ended = browser.get(remora.port());
  EXPECT_EQ(announced(ended).reason, "new");
}

// Learned sessions ----------------------------------------------------------------------------------

TEST(LearnedSession, CarriesOnUnderTheIdThatALoginGives) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  const Browser anonymous = browser;
  const Reply first = browser.get(remora.port());
  const Reply login = browser.get(remora.port(), "/login/again");
  EXPECT_NE(browser.cookies.at("SID"), anonymous.cookies.at("SID"));
  const Reply after = browser.get(remora.port());
  EXPECT_EQ(after.field("X-Backend"), home);
  EXPECT_EQ(announced(after).id, announced(first).id);
  EXPECT_EQ(announced(after).reason, "sticky");
  // Requests that were under way with the old id still find their backend.
  Browser old = anonymous;
  EXPECT_EQ(old.get(remora.port()).field("X-Backend"), home);
}

TEST(LearnedSession, IsForgottenWhenTheAppClearsItsCookie) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  const std::string sid = browser.cookies.at("SID");
  const std::string id = announced(browser.get(remora.port())).id;
  browser.get(remora.port(), "/logout");
  EXPECT_EQ(browser.cookies.count("SID"), 0U);
  browser.cookies["SID"] = sid;  // whoever still has it has an id that nothing is known of
  EXPECT_NE(announced(browser.get(remora.port())).id, id);
}

TEST(LearnedSession, AnUnknownIdIsRejectedWhereTheFileSaysSo) {
  Site site(2);
  Remora remora(
      site.config("affinity: {kind: app_cookie, name: SID, on_unknown: reject}\nsession: {reject: {status: "
                  "409, body: gone}}\n"));
  Browser browser;
  browser.cookies["SID"] = "invented";
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(r.status, 409);
  EXPECT_EQ(r.body, "gone");
  browser.cookies.clear();
  EXPECT_EQ(browser.get(remora.port(), "/login").status, 200);
  EXPECT_EQ(browser.get(remora.port()).status, 200);
}

TEST(LearnedSession, GoesToTheServerThatItsIdNames) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID, route_separator: '.'}\n"));
  for (int i = 0; i < 10; ++i)
    for (const char* name : {"a", "b", "c"}) {
      Browser browser;
      browser.cookies["SID"] = "x" + std::to_string(i) + "." + name;
      EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), name);
    }
}

TEST(LearnedSession, WithoutAStoreTheCompanionIsNeverSeenByTheApp) {
  Site site(2);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID, carry: token}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  ASSERT_EQ(browser.cookies.count("SID-r"), 1U);
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(r.field("X-Cookie"), "SID=" + browser.cookies.at("SID"));
  browser.get(remora.port(), "/logout");
  EXPECT_TRUE(browser.cookies.empty());
}

/// RFC-like behaviour that the MCP specification asks for: a session that is gone answers 404, so that the
/// client initialises anew; never another server that knows nothing of it.
TEST(McpSession, ThatIsLostAnswers404UntilTheClientBeginsAnew) {
  const auto server = [](const std::string& name) {
    return answering([name, ids = std::make_shared<std::set<std::string>>()](const std::string& head,
                                                                             const std::string& body) {
      const std::string id = field_of(head, "Mcp-Session-Id");
      if (body.find("initialize") != std::string::npos) {
        const std::string fresh = name + std::to_string(ids->size());
        ids->insert(fresh);
        return ok(name, "Mcp-Session-Id: " + fresh + "\r\n");
      }
      if (!ids->contains(id)) return std::string("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      return ok(name);
    });
  };
  auto a = std::make_unique<Origin>(server("a")), b = std::make_unique<Origin>(server("b"));
  Remora remora(
      simple_config({"{id: a, address: " + a->address() + "}", "{id: b, address: " + b->address() + "}"},
                    "affinity: {kind: header, name: Mcp-Session-Id, learn: true}\n"
                    "session: {on_lost: reject, reject: {status: 404}}\n"));
  const auto post = [&](const std::string& id, const std::string& body) {
    return remora.ask("POST /mcp HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
                      "\r\n" + (id.empty() ? "" : "Mcp-Session-Id: " + id + "\r\n") + "\r\n" + body);
  };
  std::map<std::string, std::string> home;
  for (int i = 0; i < 20; ++i) {
    const Reply r = post("", "{\"method\":\"initialize\"}");
    home[r.field("Mcp-Session-Id")] = r.body;
  }
  for (const auto& [id, name] : home)
    for (int i = 0; i < 5; ++i) EXPECT_EQ(post(id, "{\"method\":\"tools/list\"}").body, name);
  a.reset();
  int lost = 0;
  for (const auto& [id, name] : home) {
    for (int i = 0; i < 3; ++i) {
      const Reply r = post(id, "{\"method\":\"tools/list\"}");
      EXPECT_EQ(r.status, name == "a" ? 404 : 200) << i;
      if (name == "b") {
        EXPECT_EQ(r.body, "b");
      }
    }
    lost += name == "a" ? 1 : 0;
  }
  EXPECT_GT(lost, 0);
  const Reply anew = post("", "{\"method\":\"initialize\"}");
  EXPECT_EQ(anew.body, "b");
  EXPECT_EQ(post(anew.field("Mcp-Session-Id"), "{}").body, "b");
}

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

// Lifetimes -----------------------------------------------------------------------------------------

TEST(Lifetime, ASessionThatWasIdleForTooLongBeginsAnewAndSaysWhy) {
  Site site(2);
  for (const std::string affinity : {"cookie", "{kind: app_cookie, name: SID}"}) {
    Remora remora(
        site.config("affinity: " + affinity + "\nsession: {idle_timeout: 400ms, max_lifetime: 1h}\n"));
    auto [browser, home] = begin(remora.port(), "/login");
    const Reply first = browser.get(remora.port());
    for (int i = 0; i < 6; ++i) {  // kept alive by its requests, beyond one timeout
      std::this_thread::sleep_for(150ms);
      EXPECT_EQ(announced(browser.get(remora.port())).id, announced(first).id);
    }
    std::this_thread::sleep_for(700ms);
    const Reply late = browser.get(remora.port());
    EXPECT_EQ(announced(late).reason, "expired");
    EXPECT_EQ(announced(late).epoch, 1);
    EXPECT_NE(announced(late).id, announced(first).id);
  }
}

TEST(Lifetime, EndsAtItsMaximumHoweverActive) {
  Site site(2);
  Remora remora(site.config("affinity: cookie\nsession: {idle_timeout: 500ms, max_lifetime: 800ms}\n"));
  auto [browser, home] = begin(remora.port());
  std::string reason;
  for (int i = 0; i < 20 && reason != "expired"; ++i) {
    std::this_thread::sleep_for(100ms);
    reason = announced(browser.get(remora.port())).reason;
  }
  EXPECT_EQ(reason, "expired");
}

TEST(Lifetime, AnOpenTunnelIsActivity) {
  Origin app([](Socket& s) {
    for (;;) {
      const std::string head = s.receive_head();
      if (head.empty()) return;
      const std::string session = "X-Session: " + field_of(head, "Remora-Session") + "\r\n";
      if (head.find("Upgrade:") == std::string::npos) {
        s.send(ok("x", session));
        continue;
      }
      s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
      s.receive_some();
      return;
    }
  });
  Remora remora(
      simple_config({app.address()}, "affinity: cookie\nsession: {idle_timeout: 400ms, max_lifetime: 1h}\n"));
  Browser browser;
  const Reply first = browser.get(remora.port());
  const Browser before = browser;
  Socket tunnel = remora.connect();
  Browser opener = browser;
  opener.more = "Connection: upgrade\r\nUpgrade: websocket\r\n";
  tunnel.send(opener.request("/ws"));
  ASSERT_NE(tunnel.receive_head().find("101"), std::string::npos);
  std::this_thread::sleep_for(1200ms);
  Browser old = before;
  EXPECT_EQ(announced(old.get(remora.port())).id, announced(first).id);
}

// What operators see --------------------------------------------------------------------------------

TEST(Operators, HearOfAFullTableAndOfUnknownKeys) {
  Site site(1);
  Remora remora(
      site.config("affinity: [{kind: app_cookie, name: SID}, cookie]\n", "store: {capacity: 64}\n"));
  for (int i = 0; i < 200; ++i) Browser().get(remora.port(), "/login");
  EXPECT_TRUE(remora.wait_for_log("the session table is full"));
  Remora other(site.config("affinity: cookie\n"));
  Browser browser;
  browser.cookies["remora-app"] = std::string(128, 'A');
  EXPECT_EQ(browser.get(other.port()).status, 200);
  EXPECT_TRUE(other.wait_for_log("sealed with a key that is not in `keys`"));
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

/// A value of /metrics; -1: it is not there.
double metric(const Remora& remora, const std::string& line) {
  const Reply r = ask(remora.admin_port(), "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto at = r.body.find("\n" + line + " ");
  return at == std::string::npos ? -1 : std::stod(r.body.substr(at + line.size() + 2));
}

double sessions(const Remora& remora, const std::string& backend, const std::string& family) {
  return metric(remora,
                "remora_sessions{pool=\"app\",backend=\"" + backend + "\",family=\"" + family + "\"}");
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
    return metric(remora, "remora_session_requests_total{pool=\"app\",reason=\"" + reason + "\"}");
  };
  EXPECT_EQ(requests("new"), 3);
  EXPECT_EQ(requests("sticky"), 4);
  EXPECT_EQ(requests("failover"), 1);
  EXPECT_EQ(metric(remora, "remora_session_recognition_total{pool=\"app\",cause=\"malformed\"}"), 2);
  EXPECT_EQ(metric(remora, "remora_session_recognition_total{pool=\"app\",cause=\"none\"}"), 5);
  EXPECT_EQ(metric(remora, "remora_session_events_total{pool=\"app\",event=\"ended\"}"), 1);
  // The memory of moves holds what happened, and no session to which nothing happened.
  EXPECT_EQ(metric(remora, "remora_session_table_entries{table=\"moves\"}"), 1);
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
  EXPECT_EQ(moved.field("Cache-Control"), "private");
  EXPECT_EQ(moved.count("Set-Cookie"), 1);
}

}  // namespace
}  // namespace remora::test
