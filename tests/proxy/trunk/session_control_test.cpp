// The app's words about its session: Remora-Session-Control, ids that change at a login.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* companion = "affinity: {kind: app_cookie, name: SID, carry: token}";
constexpr const char* keeps = ", session: {state: {max_bytes: 64B}}";

Browser log_in(Trunk& trunk) {
  answer_with(trunk, "Set-Cookie: SID=one; Path=/\r\n");
  Browser browser;
  browser.ask(trunk);
  answer_with(trunk, "");
  return browser;
}
/// The app says this once; returns what it was told.
Told hears(Browser& browser, Trunk& trunk, const std::string& fields) {
  const Told before = browser.ask(trunk);
  answer_once(trunk, before.backend, fields);
  return browser.ask(trunk);
}

TEST(Control, RenewGivesAnotherIdOnTheSameBackendAndTheOldOneIsNobodys) {
  for (const std::string kind : {cookie, companion}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    Browser old = browser;
    const Told renewed = hears(browser, trunk, "Remora-Session-Control: renew\r\n");
    const Told after = browser.ask(trunk);
    EXPECT_NE(after.id, renewed.id) << kind;
    EXPECT_EQ(after.backend, renewed.backend);
    EXPECT_EQ(after.reason, "sticky");
    const auto cookies = old.cookies;
    const Told late = old.ask(trunk);  // served there, but no longer as the session
    EXPECT_EQ(late.backend, renewed.backend);
    EXPECT_EQ(late.id, "");
    EXPECT_EQ(old.cookies, cookies);
    trunk.member(renewed.backend).health = Health::down;
    EXPECT_EQ(old.ask(trunk).status, 200);  // anywhere
  }
}

TEST(Control, RenewOfALearnedSessionKeepsTheAppsId) {
  Trunk trunk(app(app_cookie));
  Browser browser = log_in(trunk);
  const Told renewed = hears(browser, trunk, "Remora-Session-Control: renew\r\n");
  const Told after = browser.ask(trunk);
  EXPECT_NE(after.id, renewed.id);
  EXPECT_EQ(after.backend, renewed.backend);
  EXPECT_EQ(after.reason, "sticky");
}

TEST(Control, WordsThatDisagreeOrAreNoneSayNothing) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  for (const std::string words : {"Remora-Session-Control: end\r\nRemora-Session-Control: move\r\n",
                                  "Remora-Session-Control: stick\r\n", "Remora_Session-Control: end\r\n"}) {
    hears(browser, trunk, words);
    EXPECT_EQ(trunk.delivered().head.fields.size(), 4U) << words;  // stripped: Server, Length, Via, Date
    EXPECT_EQ(browser.ask(trunk).id, before.id) << words;
  }
  hears(browser, trunk, "Remora-Session-Control: END\r\nRemora-Session-Control: end\r\n");
  EXPECT_NE(browser.ask(trunk).id, before.id);
}

TEST(Control, MoveNamesTheBackendOfTheNextRequest) {
  for (const std::string kind : {cookie, companion, app_cookie}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    for (const std::string to : {"a", "b", "c", "a"}) {
      const Told now = browser.ask(trunk);
      if (now.backend == to) continue;
      EXPECT_EQ(hears(browser, trunk, "Remora-Session-Control: move; to=\"" + to + "\"\r\n").backend, to)
          << kind;
      const Told after = browser.ask(trunk);
      EXPECT_EQ(after.backend, to) << kind;
      EXPECT_EQ(after.id, before.id);
      EXPECT_EQ(after.epoch, now.epoch + 1);
    }
  }
}

TEST(Control, ABackendThatCannotTakeTheSessionIsCountedAndChangesNothing) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  const std::string other = before.backend == "a" ? "b" : "a";
  trunk.member(other).health = Health::down;
  const auto misdirected = [&] {
    std::uint64_t n = 0;
    for (const SessionCounts& c : trunk.snapshot().pools[0]->counters->sessions)
      n += c.events[static_cast<std::size_t>(SessionEvent::misdirected)].value();
    return n;
  };
  for (const std::string& to : {std::string("nobody"), before.backend, other}) {
    const std::uint64_t counted = misdirected();
    EXPECT_EQ(hears(browser, trunk, "Remora-Session-Control: move; to=" + to + "\r\n").status, 200);
    EXPECT_EQ(browser.ask(trunk).backend, before.backend) << to;
    EXPECT_EQ(misdirected(), counted + 1) << to;
  }
}

TEST(Replay, TheRequestAndItsSessionGoToTheBackendThatTheAppNames) {
  for (const std::string kind : {cookie, companion, app_cookie}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    const std::string other = before.backend == "a" ? "b" : "a";
    answer_once(trunk, before.backend, "Remora-Replay: to=\"" + other + "\"\r\n");
    const Told after = browser.ask(trunk, "/", {}, "POST");
    EXPECT_EQ(after.status, 200) << kind;
    EXPECT_EQ(after.backend, other);
    EXPECT_EQ(after.id, before.id);
    EXPECT_EQ(after.epoch, before.epoch + 1);
    EXPECT_EQ(after.attempts, 2U);
    EXPECT_EQ(browser.ask(trunk).backend, other);
  }
}

TEST(Replay, HappensOnceARequest) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  answer_with(trunk, "Remora-Replay: to=a\r\n");
  const Told told = browser.ask(trunk);
  EXPECT_EQ(told.backend, "a");
  answer_with(trunk, "Remora-Replay: to=b\r\n");
  const Told again = browser.ask(trunk);
  EXPECT_EQ(again.backend, "b");
  EXPECT_EQ(again.status, 200);
  EXPECT_LE(again.attempts, 2U);
}

TEST(Replay, ATargetThatDoesNotFitLeavesTheResponseAsItIs) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  const Told before = browser.ask(trunk);
  const std::string other = before.backend == "a" ? "b" : "a";
  trunk.member(other).admin = Admin::drain;
  for (const std::string& to : {std::string("nobody"), before.backend, other, std::string("\"")}) {
    answer_once(trunk, before.backend, "Remora-Replay: to=" + to + "\r\n");
    const Told told = browser.ask(trunk);
    EXPECT_EQ(told.status, 200) << to;
    EXPECT_EQ(told.backend, before.backend) << to;
    EXPECT_EQ(told.attempts, 1U) << to;
  }
}

TEST(Control, APinnedSessionMovesOnlyWhenItsBackendCannotServe) {
  Trunk trunk(app(cookie));
  Browser browser = log_in(trunk);
  const std::string home = hears(browser, trunk, "Remora-Session-Control: pin\r\n").backend;
  hears(browser, trunk, "Remora-Generation: 1\r\n");
  hears(browser, trunk, "Remora-Generation: 2\r\n");  // it restarted
  trunk.member(home).admin = Admin::drain;
  trunk.member(home).leaving = true;
  EXPECT_EQ(browser.ask(trunk).backend, home);
  trunk.member(home).health = Health::down;
  const Told after = browser.ask(trunk);
  EXPECT_NE(after.backend, home);
  EXPECT_EQ(after.reason, "failover");
}

TEST(Control, WhatClientsSayInOurFieldsIsRemoved) {
  Trunk trunk(app(std::string(cookie) + keeps));
  Browser browser = log_in(trunk);
  const Told got =
      browser.ask(trunk, "/", {{"Remora-State", "Zm9yZ2Vk"}, {"remora_session", "\"x\";epoch=9"}});
  EXPECT_EQ(got.state, "");
  EXPECT_EQ(got.epoch, 1U);
}

TEST(Logins, ThatChangeTheAppsIdKeepTheSession) {
  for (const std::string kind : {app_cookie, companion}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    Browser old = browser;
    hears(browser, trunk, "Set-Cookie: SID=two; Path=/\r\n");
    EXPECT_EQ(browser.cookies["SID"], "two");
    const Told after = browser.ask(trunk);
    EXPECT_EQ(after.id, before.id) << kind;
    EXPECT_EQ(after.backend, before.backend);
    EXPECT_EQ(after.reason, "sticky");
    EXPECT_EQ(old.ask(trunk).backend, before.backend);  // requests that were under way
  }
}

}  // namespace
}  // namespace remora::test
