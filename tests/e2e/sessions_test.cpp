// Sessions stay: every kind, over mixed connections, workers, instances, restarts and key rotations; tokens
// in URLs.

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
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
                      KindCase{"hash", "{kind: hash, of: [{cookie: none}, {header: X-Tenant}]}", "/"},
                      KindCase{"header_token", "{kind: header_token, name: Sid}", "/"},
                      KindCase{"list", "[{kind: app_cookie, name: SID}, cookie]", "/"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TwoInstances, ThatShareOnlyTheKeysAgreeOnCookiesAndUrls) {
  Site site(3);
  const std::string config = site.config("affinity: [cookie, url_rewrite]\n");
  Remora one(config), two(config);
  for (int c = 0; c < clients / (sanitized() ? 4 : 1); ++c) {
    Browser browser;
    const Reply first = browser.get(one.port());
    Socket to_one = one.connect(), to_two = two.connect();
    for (int i = 0; i < requests_each; ++i) {
      const Reply r = i % 10 == 0 ? browser.get(two.port()) : browser.get(i % 2 == 0 ? to_two : to_one);
      EXPECT_EQ(r.field("X-Backend"), first.field("X-Backend"));
    }
    const Reply redirect = Browser().get(two.port(), "/redirect/1");
    EXPECT_EQ(Browser().get(one.port(), redirect.field("Location")).field("X-Backend"),
              redirect.field("X-Backend"));
  }
}

TEST(IpHash, IsOfTheRealClientThroughAProxyLine) {
  Site site(3);
  Remora remora(site.config("affinity: ip_hash\n", "", "proxy_protocol: on\n"));
  std::set<std::string> used;
  for (int c = 0; c < 30; ++c) {
    const std::string line = "PROXY TCP4 10.0.0." + std::to_string(c) + " 10.9.9.9 1234 80\r\n";
    std::set<std::string> homes;
    for (int i = 0; i < 4; ++i) {
      Socket s = remora.connect();
      s.send(line + get("/"));
      homes.insert(s.receive_reply().field("X-Backend"));
    }
    EXPECT_EQ(homes.size(), 1U);
    used.insert(*homes.begin());
  }
  EXPECT_EQ(used.size(), 3U);
}

TEST(Keys, AreRotatedWithoutAnybodyNoticing) {
  Site site(3);
  const std::string folder = make_folder();
  for (const std::string name : {"old", "new"}) {
    std::ofstream out(folder + "/" + name);
    out << run_binary({"keygen"}).output;
  }
  const auto config = [&](const std::string& keys) {
    std::string text = site.config("affinity: cookie\nsession: {idle_timeout: 1h}\n");
    text.replace(text.find("[{env: REMORA_TEST_KEY}]"), 24, "[" + keys + "]");
    return text;
  };
  const std::string before = "{file: " + folder + "/old}", after = "{file: " + folder + "/new}";
  Remora remora(config(before));
  const auto reload = [&](const std::string& keys) { EXPECT_TRUE(remora.reload(config(keys))); };
  auto [browser, home] = begin(remora.port());
  const std::string first = browser.cookies.at("remora-app");
  reload(before + ", " + after);  // everywhere it can be opened ...
  EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), home);
  EXPECT_EQ(browser.cookies.at("remora-app"), first);
  reload(after + ", " + before);  // ... before anywhere it seals: the token is sent anew
  EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), home);
  EXPECT_NE(browser.cookies.at("remora-app"), first);
  const std::string second = browser.cookies.at("remora-app");
  reload(after);
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "sticky");
  EXPECT_EQ(browser.cookies.at("remora-app"), second);
  browser.cookies["remora-app"] = first;  // whoever stayed away for longer than max_lifetime
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "new");
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

}  // namespace
}  // namespace remora::test
