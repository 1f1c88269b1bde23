// Every affinity kind through the whole request path: how a session begins, how its next request finds the
// same backend, and what app and client see of it.

#include <gtest/gtest.h>

#include <set>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

TEST(Kinds, ACookieIsSetOnceAndHiddenFromTheApp) {
  Trunk trunk(app("affinity: {kind: cookie, name: place, same_site: lax}"));
  Browser browser;
  const Told first = browser.ask(trunk);
  EXPECT_EQ(first.reason, "new");
  EXPECT_EQ(first.epoch, 1U);
  EXPECT_EQ(first.id.size(), 32U);
  ASSERT_EQ(browser.cookies.count("place"), 1U);
  EXPECT_LE(browser.cookies["place"].size(), 200U);
  EXPECT_NE(field(trunk.delivered().head.fields, "Set-Cookie")->find("HttpOnly; SameSite=Lax"),
            std::string::npos);
  browser.cookies["theme"] = "dark";
  for (int i = 0; i < 10; ++i) {
    const Told got = browser.ask(trunk);
    EXPECT_EQ(got.backend, first.backend);
    EXPECT_EQ(got.id, first.id);
    EXPECT_EQ(got.reason, "sticky");
    EXPECT_EQ(got.cookie, "theme=dark");
    EXPECT_EQ(set_cookies(trunk.delivered(), "place"), 0U);
  }
  EXPECT_NE(Browser().ask(trunk).id, first.id);
}

TEST(Kinds, AnAppThatWantsNoAnnouncementsGetsNone) {
  Trunk trunk(app("affinity: cookie, session: {announce: false}"));
  Browser browser;
  browser.ask(trunk);
  EXPECT_EQ(browser.ask(trunk, "/", {{"Remora-Session", "forged"}}).id, "");
  EXPECT_FALSE(field(trunk.connector.requests.back().head.fields, "Remora-Session"));
}

TEST(Kinds, AUrlCarriesTheTokenOfRedirectsOfItsOwnPool) {
  for (const std::string style : {"path", "query"}) {
    Trunk trunk("pools: {app: {affinity: {kind: url_rewrite, style: " + style +
                "}, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}, other: "
                "{backends: [{id: o, address: 127.0.0.1:3}]}}\nroutes: [{path: /other, pool: other}, {path: "
                "/, pool: app}]\n");
    const auto redirect = [&](const std::string& to) { answer_with(trunk, "Location: " + to + "\r\n"); };
    redirect("/next");
    Browser browser;
    const Told first = browser.ask(trunk);
    EXPECT_EQ(first.reason, "new");
    std::string next = field(trunk.delivered().head.fields, "Location").value();
    EXPECT_TRUE(next.starts_with(style == "path" ? "/next;rsid=" : "/next?rsid=")) << next;
    for (int i = 0; i < 5; ++i) {
      const Told got = browser.ask(trunk, next, {{"Referer", "http://app.test" + next}});
      EXPECT_EQ(got.target, "/next");
      EXPECT_EQ(got.backend, first.backend);
      EXPECT_EQ(got.id, first.id);
      EXPECT_EQ(got.reason, "sticky");
      EXPECT_EQ(field(trunk.connector.requests.back().head.fields, "Referer"), "http://app.test/next");
      EXPECT_EQ(field(trunk.delivered().head.fields, "Referrer-Policy"), "same-origin");
      next = field(trunk.delivered().head.fields, "Location").value();
    }
    for (const std::string elsewhere : {"/other/x", "http://elsewhere.test/"}) {
      redirect(elsewhere);
      browser.ask(trunk, next);
      EXPECT_EQ(field(trunk.delivered().head.fields, "Location"), elsewhere);
    }
    trunk.member(first.backend).health = Health::down;
    redirect("/next");
    const Told moved = browser.ask(trunk, next);
    EXPECT_EQ(moved.epoch, 2U);
    next = field(trunk.delivered().head.fields, "Location").value();
    EXPECT_EQ(browser.ask(trunk, next).reason, "sticky");
    answer_with(trunk, "Remora-Session-Control: end\r\nLocation: /bye\r\n");
    browser.ask(trunk, next);
    EXPECT_EQ(field(trunk.delivered().head.fields, "Location"), "/bye");
    EXPECT_NE(browser.ask(trunk, next).id, first.id);
  }
}

TEST(Kinds, AUrlCarriesTheTokenOfLinksInPages) {
  Trunk trunk(app("affinity: {kind: url_rewrite, rewrite: [html]}"));
  const std::string page = "<a href=\"/one\">1</a><form action='two'></form><a href=\"http://x.test/\">x</a>";
  answer_with(trunk, "Content-Type: text/html\r\n", page);
  Browser browser;
  const Told first = browser.ask(trunk, "/", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(field(trunk.connector.requests.back().head.fields, "Accept-Encoding"), "identity");
  const std::string body = trunk.delivered().body;
  EXPECT_NE(body.find("href=\"/one;rsid="), std::string::npos) << body;
  EXPECT_NE(body.find("action='two;rsid="), std::string::npos) << body;
  EXPECT_NE(body.find("\"http://x.test/\""), std::string::npos) << body;
  const auto from = body.find("/one");
  const std::string link = body.substr(from, body.find('"', from) - from);
  const Told got = browser.ask(trunk, link);
  EXPECT_EQ(got.id, first.id);
  EXPECT_EQ(got.target, "/one");
  EXPECT_EQ(got.reason, "sticky");
}

TEST(Kinds, ASessionInAUrlBecomesACookieAndUrlsStayCleanThen) {
  Trunk trunk(app("affinity: [cookie, url_rewrite]"));
  answer_with(trunk, "Location: /next\r\n");
  Browser browser;
  const Told first = browser.ask(trunk);
  const std::string next = field(trunk.delivered().head.fields, "Location").value();
  EXPECT_NE(next, "/next");
  ASSERT_EQ(browser.cookies.count("remora-app"), 1U);
  Browser without;  // accepts no cookies
  EXPECT_EQ(without.ask(trunk, next, {{"Sec-Fetch-Site", "same-origin"}}).id, first.id);
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 1U);
  Browser victim;  // led here by another site's link: the session in it may be its author's
  EXPECT_EQ(victim.ask(trunk, next, {{"Sec-Fetch-Site", "cross-site"}}).id, first.id);
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
  EXPECT_EQ(browser.ask(trunk).id, first.id);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Location"), "/next");
}

TEST(Kinds, AnAddressIsHashedAndReturnsToItsBackend) {
  Trunk trunk(app("affinity: ip_hash", "abcd",
                  "listeners: [{bind: 127.0.0.1:0, trusted_proxies: [192.0.2.0/24]}]\n"));
  std::set<std::string> used;
  for (int client = 1; client < 30; ++client) {
    const Fields from = {{"X-Forwarded-For", "10.0.0." + std::to_string(client)}};
    const Told first = Browser().ask(trunk, "/", from);
    EXPECT_EQ(first.id, "");  // no session, no epoch
    EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
    used.insert(first.backend);
    EXPECT_EQ(Browser().ask(trunk, "/", from).backend, first.backend);
    trunk.member(first.backend).health = Health::down;
    const Told other = Browser().ask(trunk, "/", from);
    EXPECT_NE(other.backend, first.backend);
    EXPECT_EQ(Browser().ask(trunk, "/", from).backend, other.backend);
    trunk.member(first.backend).health = Health::up;
    EXPECT_EQ(Browser().ask(trunk, "/", from).backend, first.backend);
  }
  EXPECT_EQ(used.size(), 4U);
}

TEST(Kinds, AHashedRequestGoesToItsNextChoiceIfConnectionsAreRefused) {
  Trunk trunk(app("affinity: {kind: header, name: X-Tenant}"));
  const Told first = Browser().ask(trunk, "/", {{"X-Tenant", "acme"}});
  trunk.connector.always(first.backend, {.connect = BackendScript::Connect::refuses});
  const Told other = Browser().ask(trunk, "/", {{"X-Tenant", "acme"}});
  EXPECT_EQ(other.status, 200);
  EXPECT_NE(other.backend, first.backend);
}

TEST(Kinds, AHeaderIsHashedOrKeptInTheStore) {
  Trunk hashed(app("affinity: {kind: header, name: X-Tenant}", "abcd"));
  Trunk kept(app("affinity: {kind: header, name: X-Tenant, carry: store}", "abcd"));
  std::set<std::string> used;
  for (int i = 0; i < 20; ++i) {
    const Fields tenant = {{"X-Tenant", "t" + std::to_string(i)}};
    const Fields quoted = {{"X-Tenant", "\"t" + std::to_string(i) + "\""}};
    const Told first = Browser().ask(hashed, "/", tenant);
    EXPECT_EQ(first.id, "");
    EXPECT_EQ(Browser().ask(hashed, "/", quoted).backend, first.backend);
    const Told born = Browser().ask(kept, "/", tenant);
    EXPECT_EQ(born.reason, "new");
    const Told again = Browser().ask(kept, "/", quoted);
    EXPECT_EQ(again.backend, born.backend);
    EXPECT_EQ(again.id, born.id);
    EXPECT_EQ(again.reason, "sticky");
    used.insert(born.backend);
    // A kept one stays where it moved to.
    kept.member(born.backend).health = Health::down;
    const Told moved = Browser().ask(kept, "/", tenant);
    kept.member(born.backend).health = Health::up;
    EXPECT_EQ(moved.epoch, 2U);
    EXPECT_EQ(Browser().ask(kept, "/", tenant).backend, moved.backend);
  }
  EXPECT_GT(used.size(), 1U);
  Browser().ask(kept, "/", {{"X-Tenant", "a"}, {"X-Tenant", "b"}});  // two say nothing
  EXPECT_EQ(kept.memory->learned.size(), 20U);
}

TEST(Kinds, AHeaderOfTheAppIsLearnedFromItsResponse) {
  Trunk trunk(app("affinity: {kind: header, name: Mcp-Session-Id, learn: true}", "abcd"));
  answer_with(trunk, "Mcp-Session-Id: 4711\r\n");
  const Told first = Browser().ask(trunk, "/mcp", {}, "POST");
  answer_with(trunk, "");
  for (int i = 0; i < 5; ++i) {
    const Told got = Browser().ask(trunk, "/mcp", {{"Mcp-Session-Id", "4711"}});
    EXPECT_EQ(got.backend, first.backend);
    EXPECT_EQ(got.id, first.id);
  }
  // An id that no backend gave is placed but not kept.
  const Told unknown = Browser().ask(trunk, "/mcp", {{"Mcp-Session-Id", "invented"}});
  EXPECT_EQ(unknown.reason, "new");
  EXPECT_EQ(trunk.memory->learned.size(), 1U);
  EXPECT_EQ(Browser().ask(trunk, "/mcp", {{"Mcp-Session-Id", "invented"}}).backend, unknown.backend);
}

TEST(Kinds, AnAppsCookieIsLearnedAndFoundInUrlsToo) {
  Trunk trunk(app("affinity: {kind: app_cookie, name: JSESSIONID, query_parameter: sid}", "abcd"));
  answer_with(trunk, "Set-Cookie: JSESSIONID=abc; Path=/\r\n");
  Browser browser;
  const Told first = browser.ask(trunk);
  EXPECT_EQ(first.reason, "new");
  answer_with(trunk, "");
  const auto same = [&](Browser b, const std::string& target) {
    const Told got = b.ask(trunk, target);
    EXPECT_EQ(got.id, first.id) << target;
    EXPECT_EQ(got.backend, first.backend) << target;
  };
  same(browser, "/");
  same(Browser(), "/shop;jsessionid=abc");
  same(Browser(), "/shop?sid=abc");
  Browser both;  // a stale cookie beside the living id: the living one counts
  both.cookies["JSESSIONID"] = "stale";
  same(both, "/shop;jsessionid=abc");
  EXPECT_EQ(Browser().ask(trunk, "/shop;jsessionid=abc").target, "/shop;jsessionid=abc");
}

TEST(Kinds, AnAppsIdIsLearnedFromTheUrlOfARedirect) {
  Trunk trunk(app("affinity: {kind: app_cookie, name: JSESSIONID}", "abcd"));
  answer_with(trunk, "Location: /home;jsessionid=xyz\r\n");
  const Told first = Browser().ask(trunk);
  answer_with(trunk, "");
  EXPECT_EQ(Browser().ask(trunk, "/home;jsessionid=xyz").id, first.id);
}

TEST(Kinds, AnEventThatBreaksOffIsNotContinuedByTheNextClientsStream) {
  Trunk trunk(app("affinity: {kind: app_cookie, name: SID, query_parameter: sid}", "a"));
  const std::string head = "200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
  trunk.connector.script("a", {.head = head, .body = "event: endpoint\ndata: /messages?sid=e"});
  Browser().ask(trunk, "/sse");
  trunk.new_connection();
  trunk.connector.script("a", {.head = head, .body = "1\n\n"});
  Browser().ask(trunk, "/sse");
  answer_with(trunk, "");
  EXPECT_EQ(Browser().ask(trunk, "/messages?sid=e1", {}, "POST").reason, "new");
}

TEST(Kinds, AnAppsIdIsLearnedFromTheFirstEventOfAStream) {
  for (const std::string text :
       {"event: endpoint\ndata: /messages?sid=e1\n\n", "event: other\ndata: x\n\n"}) {
    const bool names = text.find("sid=e1") != std::string::npos;
    Trunk trunk(app("affinity: {kind: app_cookie, name: SID, query_parameter: sid}", "abcd"));
    for (const char* id : {"a", "b", "c", "d"})
      trunk.connector.always(
          id, {.head = "200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
               .body = text,
               .stalls_after = 20});
    Browser browser;
    browser.begin(trunk, "/sse");
    trunk.backend.go();
    trunk.settle();
    const Told first = browser.end(trunk);
    EXPECT_EQ(trunk.delivered().body, text);
    answer_with(trunk, "");
    const Told next = Browser().ask(trunk, "/messages?sid=e1", {}, "POST");
    EXPECT_EQ(next.id == first.id, names);
    EXPECT_EQ(next.reason, names ? "sticky" : "new");
    if (names) {
      EXPECT_EQ(next.backend, first.backend);
    }
  }
}

TEST(Kinds, ACompanionCarriesTheBindingOfAnAppsCookieAndTheAppNeverSeesIt) {
  Trunk trunk(app("affinity: {kind: app_cookie, name: SID, carry: token}", "abcd"));
  answer_with(trunk, "Set-Cookie: SID=abc; Path=/\r\n");
  Browser browser;
  const Told first = browser.ask(trunk);
  answer_with(trunk, "");
  ASSERT_EQ(browser.cookies.count("SID-r"), 1U);
  const Told got = browser.ask(trunk);
  EXPECT_EQ(got.id, first.id);
  EXPECT_EQ(got.backend, first.backend);
  EXPECT_EQ(got.cookie, "SID=abc");
  EXPECT_EQ(trunk.memory->learned.size(), 0U);
  Browser thief = browser;  // a companion belongs to one id
  thief.cookies["SID"] = "another";
  EXPECT_NE(thief.ask(trunk).id, first.id);
  answer_with(trunk, "Set-Cookie: SID=; Path=/; Max-Age=0\r\n");
  browser.ask(trunk);
  EXPECT_TRUE(browser.cookies.empty());
}

TEST(Kinds, AnIdThatNamesItsServerIsServedThere) {
  Trunk trunk(app("affinity: {kind: app_cookie, name: SID, route_separator: '.'}"));
  for (const std::string id : {"a", "b", "c"}) {
    Browser browser;
    browser.cookies["SID"] = "x." + id;
    EXPECT_EQ(browser.ask(trunk).backend, id);
    trunk.member(id).health = Health::down;
    EXPECT_NE(browser.ask(trunk).backend, id);
    trunk.member(id).health = Health::up;
  }
}

TEST(Kinds, AnUnknownIdIsRejectedWhereTheFileSaysSo) {
  for (const std::string carry : {"store", "token"}) {
    Trunk trunk(app("affinity: {kind: app_cookie, name: SID, on_unknown: reject, carry: " + carry +
                    "}, session: {reject: {status: 409, body: gone}}"));
    Browser browser;
    browser.cookies["SID"] = "invented";
    EXPECT_EQ(browser.ask(trunk).status, 409);
    EXPECT_EQ(trunk.delivered().body, "gone");
    EXPECT_TRUE(trunk.connector.requests.empty());
    browser.cookies.clear();
    answer_with(trunk, "Set-Cookie: SID=real; Path=/\r\n");
    EXPECT_EQ(browser.ask(trunk).status, 200);
    EXPECT_EQ(browser.ask(trunk).status, 200);
  }
}

TEST(Kinds, TheFirstOfAListThatKnowsTheSessionDecides) {
  Trunk trunk(app("affinity: [{kind: app_cookie, name: SID}, cookie]", "abcd"));
  Browser browser;
  const Told first = browser.ask(trunk);  // the app has no session yet: our cookie
  ASSERT_EQ(browser.cookies.count("remora-app"), 1U);
  answer_with(trunk, "Set-Cookie: SID=abc; Path=/\r\n");
  const Told login = browser.ask(trunk);
  EXPECT_EQ(login.id, first.id);
  answer_with(trunk, "");
  Browser only;
  only.cookies["SID"] = "abc";
  EXPECT_EQ(only.ask(trunk).id, first.id);
  EXPECT_EQ(browser.ask(trunk).backend, first.backend);
}

TEST(Kinds, ARouteWithoutAffinityServesNoSession) {
  Trunk trunk(app("affinity: cookie, balance: round_robin", "abc") +
              "routes: [{path: /assets, pool: app, affinity: off}, {path: /, pool: app}]\n");
  Browser browser;
  const Told first = browser.ask(trunk);
  std::set<std::string> backends;
  for (int i = 0; i < 6; ++i) {
    const Told got = browser.ask(trunk, "/assets/logo.png");
    EXPECT_EQ(got.id, "");
    EXPECT_EQ(got.cookie, "");  // our token is nobody's business there either
    EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
    backends.insert(got.backend);
  }
  EXPECT_EQ(backends.size(), 3U);
  EXPECT_EQ(browser.ask(trunk).id, first.id);
  Browser other;
  other.ask(trunk, "/assets/logo.png");
  EXPECT_TRUE(other.cookies.empty());
}

}  // namespace
}  // namespace remora::test
