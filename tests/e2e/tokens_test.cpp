// Whose eyes a token meets: no backend's but remora's own, and no other site's.

#include <gtest/gtest.h>

#include "support/site.h"

namespace remora::test {
namespace {

constexpr std::string_view form_page =
    "<!doctype html><form method=post></form><a href=\"?page=2\">2</a><a href='next'>n</a>"
    "<a href=\"/&NewLine;/evil.example/z\">z</a>";

/// Two pools behind one host; what their backends saw stands in the answer.
struct TwoPools {
  Site site{1};
  Origin other{answering([](const std::string& head, const std::string&) {
    const auto from = head.find(' ') + 1;
    const std::string target = head.substr(from, head.find(' ', from) - from);
    const std::string seen = "X-Cookie: " + field_of(head, "Cookie") + "\r\nX-Target: " + target +
                             "\r\nX-Referer: " + field_of(head, "Referer") + "\r\n";
    if (target.find("/leaky") != std::string::npos)
      return ok("b", seen + "Referrer-Policy: unsafe-url\r\nContent-Type: text/html\r\n");
    return ok("b", seen);
  })};
  std::string config(const std::string& first, const std::string& second, const std::string& routes) const {
    return site.config(first) + "  b:\n    backends: [127.0.0.1:" + std::to_string(other.port()) + "]\n    " +
           second + "\nroutes:\n  - {path: /, pool: app}\n" + routes;
  }
};

TEST(Tokens, OfAllPoolsAreTakenOffWhicheverServes) {
  const TwoPools pools;
  for (const std::string second :
       {"affinity: cookie", "affinity: none", "affinity: ip_hash", "affinity: {kind: app_cookie, name: SID}"})
    for (const std::string route :
         {"  - {path: /b, pool: b}\n", "  - {path: /b, pool: b, affinity: off}\n"}) {
      Remora remora(pools.config("affinity: [cookie, url_rewrite]\n", second, route));
      Browser browser;
      const std::string url = browser.get(remora.port(), "/redirect/1").field("Location");
      const std::string token = url.substr(url.find(';'));
      ASSERT_EQ(browser.cookies.count("remora-app"), 1U);
      browser.cookies["SID"] = "the-apps-own";
      browser.cookies["theme"] = "dark";
      browser.more = "Referer: http://test/redirect/0" + token + "\r\n";
      const Reply r = browser.get(remora.port(), "/b/x" + token + "?rsid=kept");
      EXPECT_EQ(r.body, "b");
      EXPECT_EQ(r.field("X-Cookie"), "SID=the-apps-own; theme=dark") << second << route;
      EXPECT_EQ(r.field("X-Target"), "/b/x?rsid=kept") << second << route;
      EXPECT_EQ(r.field("X-Referer"), "http://test/redirect/0") << second << route;
    }
}

TEST(Tokens, ACookieOfTheAppWithTheNameOfAnotherPoolsTokenStays) {
  const TwoPools pools;
  Remora remora(pools.config("affinity: cookie\n", "affinity: none", "  - {path: /b, pool: b}\n"));
  Browser browser;
  browser.get(remora.port(), "/");
  const Reply r = remora.ask(
      get("/b/", "Cookie: remora-app=mine; remora-app=" + browser.cookies.at("remora-app") + "; x=1\r\n"));
  EXPECT_EQ(r.field("X-Cookie"), "remora-app=mine; x=1");
}

TEST(Tokens, CompanionsOfOtherPoolsAreTakenOffAndTheIdStays) {
  const TwoPools pools;
  Remora remora(pools.config("affinity: {kind: app_cookie, name: SID, carry: token}\n", "affinity: none",
                             "  - {path: /b, pool: b}\n"));
  Browser browser;
  browser.get(remora.port(), "/login");
  ASSERT_EQ(browser.cookies.count("SID-r"), 1U);
  EXPECT_EQ(browser.get(remora.port(), "/b").field("X-Cookie"), "SID=" + browser.cookies["SID"]);
  EXPECT_EQ(browser.get(remora.port(), "/").field("X-Cookie"), "SID=" + browser.cookies["SID"]);
}

TEST(Tokens, AnAppsCookieWithTheNameOfAnotherPoolsStays) {
  const TwoPools pools;
  Remora remora(pools.config("affinity: {kind: cookie, name: session}\n", "affinity: none",
                             "  - {path: /b, pool: b}\n"));
  Browser browser;
  browser.cookies["session"] = "of-another-app";
  EXPECT_EQ(browser.get(remora.port(), "/b").field("X-Cookie"), "session=of-another-app");
}

// Referer -------------------------------------------------------------------------------------------

TEST(Referer, OfAUrlThatCarriedATokenStaysOnTheSiteWhateverTheAppSays) {
  const TwoPools pools;
  Remora remora(
      pools.config("affinity: [cookie, url_rewrite]\n", "affinity: none", "  - {path: /b, pool: b}\n"));
  Browser browser;
  const std::string url = browser.get(remora.port(), "/redirect/1").field("Location");
  const std::string token = url.substr(url.find(';'));
  // The cookie came back, so that nothing is marked; another pool's page; a page of nobody's session.
  EXPECT_EQ(browser.get(remora.port(), "/" + token).field("Referrer-Policy"), "same-origin");
  EXPECT_EQ(browser.get(remora.port(), "/b/leaky" + token).field("Referrer-Policy"), "same-origin");
  EXPECT_EQ(browser.get(remora.port(), "/b/leaky").field("Referrer-Policy"), "unsafe-url");
  EXPECT_EQ(browser.get(remora.port(), "/").field("Referrer-Policy"), "");
}

// Links from elsewhere ------------------------------------------------------------------------------

TEST(Fixation, ATokenInALinkFromElsewhereBecomesNobodysCookie) {
  Site site(2);
  Remora remora(site.config("affinity: [cookie, {kind: url_rewrite, rewrite: [location, html]}]\n"));
  const Reply attackers = Browser().get(remora.port(), "/redirect/2");
  const std::string url = attackers.field("Location");
  ASSERT_NE(url.find(";rsid="), std::string::npos);
  for (const std::string from : {"cross-site", "same-site", "none"}) {
    Browser victim;
    victim.more = "Sec-Fetch-Site: " + from + "\r\nSec-Fetch-Mode: navigate\r\n";
    const Reply r = victim.get(remora.port(), url);
    EXPECT_EQ(announced(r).id, announced(attackers).id) << "the link works";
    EXPECT_TRUE(victim.cookies.empty()) << from;
  }
  Browser own;
  own.more = "Sec-Fetch-Site: same-origin\r\n";
  own.get(remora.port(), url);
  EXPECT_EQ(own.cookies.count("remora-app"), 1U);
  // A renewed session is the reader's alone: the link no longer leads into it.
  Browser login;
  login.more = "Sec-Fetch-Site: cross-site\r\n";
  login.get(remora.port(), "/control/renew" + url.substr(url.find(';')));
  ASSERT_EQ(login.cookies.count("remora-app"), 1U);
  EXPECT_NE(announced(login.get(remora.port(), "/")).id, announced(attackers).id);
}

// URLs that would be hosts --------------------------------------------------------------------------

// `//evil.example/..;/login` is `/login` for Tomcat, and another origin where a page names it.
TEST(Urls, ThePathOfARequestIsNeverWrittenAsAHost) {
  Origin app(answering([](const std::string& head, const std::string&) {
    if (head.find("/redir") != std::string::npos)
      return std::string(
          "HTTP/1.1 302 Found\r\nLocation: ?done=1\r\nRefresh: 0 url=//evil.example;url=/x\r\n"
          "Content-Length: 0\r\n\r\n");
    return ok(std::string(form_page), "Content-Type: text/html\r\n");
  }));
  for (const std::string style : {"path", "query"}) {
    Remora remora(
        simple_config({"127.0.0.1:" + std::to_string(app.port())},
                      "affinity: {kind: url_rewrite, style: " + style + ", rewrite: [location, html]}\n"));
    for (const std::string target :
         {"//evil.example/..;/login", "///evil.example/x", "/\\evil.example/x", "//x"}) {
      const Reply page = remora.ask(get(target));
      if (page.status == 400) continue;  // refused altogether
      for (const std::string begins : {"\"//", "'//", "\"/\\", "'/\\", "\"\\"})
        EXPECT_EQ(page.body.find(begins), std::string::npos) << page.body;
      EXPECT_EQ(page.body.find("evil.example/z;"), std::string::npos) << page.body;
      EXPECT_EQ(page.body.find("evil.example/z?"), std::string::npos) << page.body;
      EXPECT_NE(page.body.find("<a href='next" + std::string(style == "path" ? ";rsid=" : "?rsid=")),
                std::string::npos);
    }
    for (const std::string target : {"//evil.example/redir", "/\\evil.example/redir"}) {
      const Reply moved = remora.ask(get(target));
      if (moved.status == 400) continue;
      EXPECT_EQ(moved.field("Location").rfind("?done=1", 0), 0U) << moved.head;
      EXPECT_EQ(moved.field("Refresh"), "0 url=//evil.example;url=/x");
    }
  }
}

// Costs ---------------------------------------------------------------------------------------------

// Each occurrence of a parameter's name made a copy of the rest of the URL.
TEST(Masking, AUrlFullOfParametersCostsWhatItIsLong) {
  Site site(1);
  Remora remora(
      site.config("affinity: [{kind: app_cookie, name: JSESSIONID, query_parameter: sid}, url_rewrite]\n",
                  "log: {access: {format: combined, output: stderr}}\n"));
  std::string by_path = "/", by_query = "/?";
  while (by_path.size() < 14000) by_path += ";jsessionid=";
  while (by_query.size() < 14000) by_query += "&sid=";
  Browser browser;
  browser.more = "Referer: http://test" + by_query + "\r\n";
  browser.get(remora.port(), "/");
  const std::size_t before = remora.resident();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(browser.get(remora.port(), by_path).status, 200);
  ASSERT_TRUE(remora.wait_for_log(";jsessionid=***;jsessionid=***"));
  if (!sanitized()) {
    EXPECT_LT(remora.resident(), before + 16 * 1024 * 1024);
  }
}

}  // namespace
}  // namespace remora::test
