// The life of a session and of its token: renewal, lifetimes, keys, tokens that are not ours, endings.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* companion = "affinity: {kind: app_cookie, name: SID, carry: token}";

Browser log_in(Trunk& trunk) {
  answer_with(trunk, "Set-Cookie: SID=one; Path=/\r\n");
  Browser browser;
  browser.ask(trunk);
  answer_with(trunk, "");
  return browser;
}

TEST(Lifetimes, ATokenIsRenewedOnceAQuarterOfTheIdleTimeoutHasPassed) {
  Trunk trunk(app("affinity: cookie, session: {idle_timeout: 40m}"));
  Browser browser = log_in(trunk);
  const std::string first = browser.cookies["remora-app"];
  trunk.advance(9min);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
  EXPECT_EQ(browser.cookies["remora-app"], first);
  trunk.advance(2min);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
  EXPECT_NE(browser.cookies["remora-app"], first);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
}

TEST(Lifetimes, ASessionEndsBetweenOneAndOneAndAQuarterIdleTimeouts) {
  for (const std::string kind : {cookie, app_cookie, companion}) {
    Trunk trunk(app(kind + ", session: {idle_timeout: 40m}"));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    for (int i = 0; i < 4; ++i) {  // kept alive by its requests
      trunk.advance(39min);
      const Told got = browser.ask(trunk);
      EXPECT_EQ(got.id, before.id) << kind;
      EXPECT_EQ(got.reason, "sticky");
    }
    trunk.advance(51min);
    const Told late = browser.ask(trunk);
    EXPECT_EQ(late.reason, "expired") << kind;
    EXPECT_EQ(late.epoch, 1U);
    EXPECT_NE(late.id, before.id);
    EXPECT_EQ(causes(trunk, Cause::idle), 1U) << kind;
  }
}

TEST(Lifetimes, ASessionEndsAtItsMaximumHoweverActive) {
  for (const std::string kind : {cookie, app_cookie, companion}) {
    Trunk trunk(app(kind + ", session: {idle_timeout: 30m, max_lifetime: 1h}"));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    for (int i = 0; i < 5; ++i) {
      trunk.advance(10min);
      EXPECT_EQ(browser.ask(trunk).id, before.id) << kind;
    }
    trunk.advance(11min);
    const Told late = browser.ask(trunk);
    EXPECT_EQ(late.reason, "expired") << kind;
    EXPECT_NE(late.id, before.id);
    EXPECT_EQ(causes(trunk, Cause::too_old), 1U);
  }
}

TEST(Lifetimes, WithoutAnIdleTimeoutOnlyTheMaximumCounts) {
  Trunk trunk(app("affinity: cookie, session: {idle_timeout: none, max_lifetime: 12h}"));
  Browser browser = log_in(trunk);
  trunk.advance(11h);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
}

TEST(Lifetimes, ALongResponseIsActivity) {
  for (const std::string kind : {cookie, app_cookie}) {
    Trunk trunk(app(kind + ", session: {idle_timeout: 1m}, timeouts: {read: 1h}"));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    trunk.connector.script(
        before.backend,
        {.head = "200 OK\r\nContent-Length: 10\r\n", .body = "0123456789", .stalls_after = 5});
    Browser old = browser;
    browser.begin(trunk);
    trunk.advance(10min);
    ASSERT_FALSE(trunk.done());
    trunk.backend.go();
    trunk.settle();
    browser.end(trunk);
    const Told after = old.ask(trunk);
    EXPECT_EQ(after.id, before.id) << kind;
    EXPECT_EQ(after.reason, "sticky");
    trunk.advance(3min);
    EXPECT_EQ(old.ask(trunk).reason, "expired");
  }
}

TEST(Lifetimes, AnOpenTunnelIsActivity) {
  Trunk trunk(app("affinity: cookie, session: {idle_timeout: 1m}"));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  Browser old = browser;
  trunk.connector.script(
      before.backend, {.head = "101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"});
  browser.begin(trunk, "/ws", {{"Connection", "upgrade"}, {"Upgrade", "websocket"}});
  trunk.advance(10min);
  ASSERT_FALSE(trunk.done());
  ASSERT_EQ(trunk.delivered().head.status, 101);
  trunk.backend.send_raw("bye", true);
  trunk.client.half_close();
  trunk.settle();
  browser.end(trunk);
  EXPECT_EQ(old.ask(trunk).id, before.id);
}

TEST(Lifetimes, ASlowRequestIsActivityAtItsEnd) {
  Trunk trunk(app("affinity: cookie, session: {idle_timeout: 40s}"));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  trunk.connector.script(before.backend, {.when = When::on_go});
  Browser old = browser;
  browser.begin(trunk);
  trunk.advance(35s);
  trunk.backend.go();
  trunk.settle();
  browser.end(trunk);
  trunk.advance(35s);  // since the token was set: 70 s
  EXPECT_EQ(old.ask(trunk).id, before.id);
}

// Keys and tokens -----------------------------------------------------------------------------------

TEST(Tokens, OfAnOldKeyAreSealedAgainAndOfAForgottenOneUnknown) {
  const std::string fresh(32, 'n'), former(32, 'k');
  for (const std::string kind : {cookie, companion}) {
    const std::string name = kind == cookie ? "remora-app" : "SID-r";
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    Browser late = browser;
    trunk.reload(app(kind), {fresh, former});
    const Told got = browser.ask(trunk);
    EXPECT_EQ(got.id, before.id);
    EXPECT_EQ(got.reason, "sticky");
    EXPECT_EQ(set_cookies(trunk.delivered(), name), 1U);
    EXPECT_EQ(browser.ask(trunk).id, before.id);
    EXPECT_EQ(set_cookies(trunk.delivered(), name), 0U);
    trunk.reload(app(kind), {fresh});
    EXPECT_EQ(browser.ask(trunk).id, before.id);
    EXPECT_NE(late.ask(trunk).id, before.id);
    EXPECT_EQ(causes(trunk, Cause::unknown_key), 1U) << kind;
  }
}

TEST(Tokens, ThatAreNotOursAreNoSessionAndNoError) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  const std::string good = browser.cookies["remora-app"];
  std::string forged = good;
  forged[60] = forged[60] == 'A' ? 'B' : 'A';
  for (const std::string& token :
       {std::string("x"), good.substr(1), good + "A", forged, std::string(128, '=')}) {
    Browser bad;
    bad.cookies["remora-app"] = token;
    const Told got = bad.ask(trunk);
    EXPECT_EQ(got.status, 200) << token;
    EXPECT_EQ(got.reason, "new");
    EXPECT_NE(got.id, before.id);
    EXPECT_NE(bad.cookies["remora-app"], token);
  }
  EXPECT_GE(causes(trunk, Cause::malformed), 3U);
  EXPECT_EQ(causes(trunk, Cause::forged), 1U);
}

TEST(Tokens, OfAnotherPoolOrAnotherNameAreNotAccepted) {
  Trunk trunk(
      "pools: {app: {affinity: cookie, backends: [{id: a, address: 127.0.0.1:1}]}, shop: {affinity: "
      "cookie, backends: [{id: a, address: 127.0.0.1:1}]}}\nroutes: [{path: /shop, pool: shop}, "
      "{path: /, pool: app}]\n");
  Browser browser;
  const Told in_app = browser.ask(trunk);
  const Told in_shop = browser.ask(trunk, "/shop");
  EXPECT_NE(in_app.id, in_shop.id);
  EXPECT_EQ(in_shop.cookie, "");  // the other pool's token is hidden too
  EXPECT_EQ(browser.ask(trunk).id, in_app.id);
  Browser swapped;
  swapped.cookies["remora-shop"] = browser.cookies["remora-app"];
  const Told got = swapped.ask(trunk, "/shop");
  EXPECT_EQ(got.reason, "new");
  EXPECT_NE(got.id, in_app.id);
  EXPECT_EQ(causes(trunk, Cause::forged, "shop"), 1U);
}

TEST(Tokens, OfTheFutureAreNotAcceptedButForTwoMinutesOfSkew) {
  for (const auto ahead : {1min, 10min}) {
    Trunk trunk(app(cookie)), other(app(cookie));
    trunk.clock.set_wall(trunk.clock.wall_now() + ahead);
    Browser browser = log_in(trunk);
    EXPECT_EQ(browser.ask(other).reason, ahead == 1min ? "sticky" : "new");
    EXPECT_EQ(causes(other, Cause::future), ahead == 1min ? 0U : 1U);
  }
}

TEST(Tokens, TheLatestOfSeveralCookiesOfTheNameCounts) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  const std::string old = browser.cookies["remora-app"];
  const Told before = browser.ask(trunk);
  Trunk other(app(cookie));  // it knows nothing of the move
  trunk.member(before.backend).health = Health::down;
  const Told moved = browser.ask(trunk);
  const std::string fresh = browser.cookies["remora-app"];
  for (const bool first : {true, false}) {
    const std::string line = "remora-app=" + (first ? fresh : old) + "; remora-app=" + (first ? old : fresh);
    const Told got = Browser().ask(other, "/", {{"Cookie", line}});
    EXPECT_EQ(got.backend, moved.backend);
    EXPECT_EQ(got.epoch, 2U);
    EXPECT_EQ(got.cookie, "");
  }
}

TEST(Tokens, WaitForAnotherResponseIfSharedCachesMayKeepThisOne) {
  Trunk trunk(app("affinity: cookie, session: {idle_timeout: 40m}"));
  answer_with(trunk, "Cache-Control: public, max-age=60\r\n");
  Browser browser;
  browser.ask(trunk);
  EXPECT_TRUE(browser.cookies.empty());
  answer_with(trunk, "");
  browser.ask(trunk);
  const std::string first = browser.cookies["remora-app"];
  answer_with(trunk, "Cache-Control: public, max-age=60\r\n");
  trunk.advance(11min);
  browser.ask(trunk);  // it can wait
  EXPECT_EQ(browser.cookies["remora-app"], first);
  const Told before = browser.ask(trunk);
  trunk.member(before.backend).health = Health::down;
  browser.ask(trunk);  // it must be told of the move
  EXPECT_NE(browser.cookies["remora-app"], first);
  EXPECT_NE(field(trunk.delivered().head.fields, "Cache-Control")->find("private"), std::string::npos);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Cache-Control")->find("public"), std::string::npos);
}

TEST(Tokens, AreNotSetForWhatAnotherSitePosts) {
  Trunk trunk(app("affinity: {kind: cookie, same_site: lax}"));
  Browser browser;
  browser.ask(trunk, "/", {{"Origin", "https://elsewhere.test"}, {"Content-Length", "0"}}, "POST");
  EXPECT_TRUE(browser.cookies.empty());  // the browser may hold one that it does not send
  browser.ask(trunk, "/", {{"Origin", "http://app.test"}, {"Content-Length", "0"}}, "POST");
  EXPECT_EQ(browser.cookies.size(), 1U);
}

TEST(Tokens, AreSecureOverTlsAndLastAsTheFileSays) {
  Trunk trunk(app("affinity: {kind: cookie, max_age: 8h}, session: {idle_timeout: 24h, max_lifetime: 48h}"));
  trunk.client.set_secure(true);
  Browser browser;
  browser.ask(trunk);
  const std::string line = field(trunk.delivered().head.fields, "Set-Cookie").value();
  EXPECT_NE(line.find("Max-Age=28800"), std::string::npos);
  trunk.advance(1h);
  browser.ask(trunk);
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
  trunk.advance(90min);  // a quarter of it has passed: the browser's copy would expire
  browser.ask(trunk);
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 1U);
}

TEST(Preflights, BeginNoSessionButKeepTheirs) {
  const Fields asks = {{"Origin", "https://x.test"}, {"Access-Control-Request-Method", "PUT"}};
  Trunk trunk(app(cookie));
  Browser browser;
  const Told got = browser.ask(trunk, "/", asks, "OPTIONS");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.id, "");
  EXPECT_TRUE(browser.cookies.empty());
  browser.ask(trunk, "/", {{"Origin", "https://x.test"}}, "OPTIONS");  // no preflight
  EXPECT_EQ(browser.cookies.size(), 1U);
  const Told session = browser.ask(trunk);
  EXPECT_EQ(browser.ask(trunk, "/", asks, "OPTIONS").id, session.id);
}

TEST(Endings, ALogoutEndsTheSessionAndItsOldTokens) {
  for (const std::string kind : {cookie, app_cookie, companion}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    Browser old = browser;
    answer_once(trunk, before.backend, "Remora-Session-Control: end\r\n");
    browser.ask(trunk);
    EXPECT_FALSE(field(trunk.delivered().head.fields, "Remora-Session-Control"));
    EXPECT_FALSE(browser.cookies.contains("remora-app"));
    EXPECT_FALSE(browser.cookies.contains("SID-r"));
    for (int i = 0; i < 2; ++i) {
      Browser copy = old;
      const Told late = copy.ask(trunk);
      EXPECT_EQ(late.status, 200);
      EXPECT_NE(late.id, before.id) << kind;
      EXPECT_EQ(late.epoch, 1U);
      EXPECT_EQ(late.reason, "new");
    }
  }
}

TEST(Endings, WithOnLostRejectAnEndedSessionIsNoneUnlessItWasLost) {
  Trunk trunk(app("affinity: cookie, session: {on_lost: reject}"));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  Browser old = browser;
  answer_once(trunk, before.backend, "Remora-Session-Control: end\r\n");
  browser.ask(trunk);
  EXPECT_EQ(old.ask(trunk).reason, "new");
}

TEST(Endings, AnAppThatClearsItsCookieForgetsTheSession) {
  for (const std::string kind : {app_cookie, companion}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    Browser old = browser;
    answer_once(trunk, before.backend, "Set-Cookie: SID=; Path=/; Max-Age=0\r\n");
    browser.ask(trunk);
    EXPECT_TRUE(browser.cookies.empty()) << kind;
    if (kind == companion) continue;  // whoever kept both cookies has what they say
    EXPECT_NE(old.ask(trunk).id, before.id);
  }
}

TEST(Endings, AnIdInTheResponseThatEndsASessionBeginsAnother) {
  Trunk trunk(app(app_cookie));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  Browser old = browser;
  answer_once(trunk, before.backend, "Remora-Session-Control: end\r\nSet-Cookie: SID=two; Path=/\r\n");
  browser.ask(trunk);
  const Told next = browser.ask(trunk);
  EXPECT_NE(next.id, before.id);
  EXPECT_EQ(next.reason, "sticky");
  EXPECT_EQ(next.backend, before.backend);
  EXPECT_NE(old.ask(trunk).id, before.id);
}

}  // namespace
}  // namespace remora::test
