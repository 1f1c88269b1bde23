// Moves: why a session gets another backend, where it goes, and what its client and its backends are told.

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "pool/permit.h"
#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* companion = "affinity: {kind: app_cookie, name: SID, carry: token}";
constexpr const char* header = "affinity: {kind: header, name: X-User, carry: store}";

/// A browser with a session, whatever the kind; its second request has been answered too.
Browser log_in(Trunk& trunk, const std::string& generation = "") {
  answer_with(trunk, "Set-Cookie: SID=one; Path=/\r\n" + generation);
  Browser browser;
  browser.ask(trunk, "/", {{"X-User", "ann"}});
  answer_with(trunk, "");
  return browser;
}
Told again(Browser& browser, Trunk& trunk) {
  return browser.ask(trunk, "/", {{"X-User", "ann"}});
}

struct Provocation {
  const char* name;
  const char* reason;
  std::function<void(Trunk&, const std::string& home)> happens;
};

const Provocation reasons[] = {
    {"down", "failover", [](Trunk& t, const auto& home) { t.member(home).health = Health::down; }},
    {"ejected", "failover", [](Trunk& t, const auto& home) { t.member(home).ejected = Ejected::all; }},
    {"refuses", "failover",
     [](Trunk& t, const auto& home) { t.connector.always(home, {.connect = Connect::refuses}); }},
    {"maint", "maint", [](Trunk& t, const auto& home) { t.member(home).admin = Admin::maint; }},
    {"restarted", "restart", [](Trunk& t, const auto& home) { t.backend_of(home).note_generation(2000); }},
    {"drained", "drain",
     [](Trunk& t, const auto& home) {
       t.member(home).admin = Admin::drain;
       t.member(home).leaving = true;
     }},
    {"asked", "rebalance",
     [](Trunk& t, const auto& home) { answer_once(t, home, "Remora-Session-Control: move\r\n"); }},
};

TEST(SessionMoves, HaveTheirReasonAndTheNextEpochAndStayWhereTheyWent) {
  for (const std::string kind : {cookie, app_cookie, companion, header}) {
    for (const Provocation& cause : reasons) {
      SCOPED_TRACE(kind + ", " + cause.name);
      Trunk trunk(app(kind, "abcd"));
      Browser browser = log_in(trunk, "Remora-Generation: 1000\r\n");
      const Told before = again(browser, trunk);
      ASSERT_EQ(before.reason, "sticky");
      cause.happens(trunk, before.backend);
      Browser old = browser;
      if (std::string(cause.name) == "asked") {
        ASSERT_EQ(again(browser, trunk).backend, before.backend);  // from the next request on
      }
      const Told moved = again(browser, trunk);
      EXPECT_EQ(moved.status, 200);
      EXPECT_EQ(moved.id, before.id);
      EXPECT_EQ(moved.reason, cause.reason);
      EXPECT_EQ(moved.epoch, 2U);
      if (moved.reason != "restart") {
        EXPECT_NE(moved.backend, before.backend);
      }
      if (kind == cookie) {
        EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 1U);
      }
      if (kind == companion) {
        EXPECT_EQ(set_cookies(trunk.delivered(), "SID-r"), 1U);
      }
      Member& home = trunk.member(before.backend);  // it recovers
      home.health = Health::up;
      home.ejected = Ejected::no;
      home.admin = Admin::ready;
      home.leaving = false;
      for (int i = 0; i < 3; ++i) {
        const Told after = again(browser, trunk);
        EXPECT_EQ(after.backend, moved.backend);
        EXPECT_EQ(after.epoch, 2U);
        EXPECT_EQ(after.reason, "sticky");
        EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 0U);
      }
      // A token of before the move leads to the new backend too.
      const Told late = again(old, trunk);
      EXPECT_EQ(late.backend, moved.backend);
      EXPECT_EQ(late.epoch, 2U);
      EXPECT_EQ(late.id, before.id);
      EXPECT_TRUE(trunk.holds_nothing());
    }
  }
}

TEST(SessionMoves, ABackendThatLeftTheConfigurationIsRemovedAndOthersKeepTheirSessions) {
  for (const std::string kind : {cookie, app_cookie, companion}) {
    Trunk trunk(app(kind));
    Browser browser = log_in(trunk);
    const std::string home = again(browser, trunk).backend;
    std::string others = "abcd";
    trunk.reload(app(kind, others));  // one comes: nobody moves
    EXPECT_EQ(again(browser, trunk).reason, "sticky");
    others.erase(others.find(home), 1);
    trunk.reload(app(kind, others));
    const Told moved = again(browser, trunk);
    EXPECT_EQ(moved.reason, "removed") << kind;
    EXPECT_EQ(moved.epoch, 2U);
    EXPECT_NE(moved.backend, home);
  }
}

TEST(SessionMoves, AreSpreadOverTheOthers) {
  Trunk trunk(app(cookie, "abcd"));
  std::map<std::string, int> got;
  std::vector<Browser> users;
  for (int i = 0; i < 60; ++i) users.push_back(begin_at(trunk, "a"));
  trunk.member("a").health = Health::down;
  for (Browser& user : users) ++got[user.ask(trunk).backend];
  for (const std::string to : {"b", "c", "d"}) EXPECT_GT(got[to], 5) << to;
}

TEST(SessionMoves, TryTheSameBackendOnceMoreFirst) {
  for (const bool twice : {false, true}) {
    Trunk trunk(app(cookie));
    Browser browser = begin_at(trunk, "a");
    trunk.connector.script("a", {.fails = BackendScript::Fails::closes});
    if (twice) trunk.connector.script("a", {.fails = BackendScript::Fails::closes});
    const Told got = browser.ask(trunk);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.backend == "a", !twice);
    EXPECT_EQ(got.epoch, twice ? 2U : 1U);
    EXPECT_EQ(got.reason, twice ? "failover" : "sticky");
    EXPECT_EQ(got.attempts, twice ? 3U : 2U);
    EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), twice ? 1U : 0U);
  }
}

TEST(SessionMoves, AreNotMadeForADeadIdleConnectionIfNobodyElseIsLeft) {
  Trunk trunk(app(std::string(cookie) + ", failover: {bound: {same_backend: 0}}", "a"));
  Browser browser = begin_at(trunk, "a");
  trunk.connector.script("a", {.idle = true, .fails = BackendScript::Fails::closes});
  const Told got = browser.ask(trunk);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.reason, "sticky");
  EXPECT_EQ(got.epoch, 1U);
}

TEST(SessionMoves, OfAnUnsafeRequestDoNotSendItTwice) {
  Trunk trunk(app(cookie));
  Browser browser = begin_at(trunk, "a");
  trunk.connector.script("a", {.fails = BackendScript::Fails::closes});
  const Told got = browser.ask(trunk, "/", {{"Content-Length", "0"}}, "POST");
  EXPECT_EQ(got.status, 502);
  EXPECT_EQ(got.attempts, 1U);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
}

TEST(SessionMoves, GoToNoBackendThatFailedInThisRequest) {
  Trunk trunk(app(cookie, "abc"));
  Browser browser = begin_at(trunk, "a");
  trunk.connector.always("a", {.connect = Connect::refuses});
  // Whichever it moves to first refuses too.
  trunk.connector.script("b", {.connect = Connect::refuses});
  trunk.connector.script("c", {.connect = Connect::refuses});
  const Told got = browser.ask(trunk);
  // Three attempts: a twice, then one other.
  EXPECT_EQ(got.status, 502);
  EXPECT_EQ(got.attempts, 0U);
  Trunk more(app(std::string(cookie) + ", failover: {attempts: 5}"));
  Browser other = begin_at(more, "a");
  more.connector.always("a", {.connect = Connect::refuses});
  more.member("c").admin = Admin::drain;  // takes no sessions
  more.connector.script("b", {.connect = Connect::refuses});
  EXPECT_EQ(other.ask(more).status, 502);
  more.member("c").admin = Admin::ready;
  const Told moved = other.ask(more);
  EXPECT_EQ(moved.status, 200);
  EXPECT_NE(moved.backend, "a");
}

TEST(SessionMoves, EpochsRiseWithEachMoveWithinARequest) {
  Trunk trunk(app(std::string(cookie) + ", failover: {attempts: 6}", "abcd"));
  Browser browser = begin_at(trunk, "a");
  for (const char* id : {"a", "b", "c"}) trunk.connector.always(id, {.connect = Connect::refuses});
  const Told got = browser.ask(trunk);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.backend, "d");
  EXPECT_GE(got.epoch, 2U);
  EXPECT_LE(got.epoch, 4U);
  EXPECT_EQ(got.reason, "failover");
  EXPECT_EQ(browser.ask(trunk).epoch, got.epoch);
}

TEST(SessionMoves, OfAPoolWithNobodyElseEndIn503AndTheTokenIsKept) {
  Trunk trunk(app(cookie, "a"));
  Browser browser = begin_at(trunk, "a");
  trunk.member("a").health = Health::down;
  EXPECT_EQ(browser.ask(trunk).status, 503);
  EXPECT_EQ(browser.cookies.size(), 1U);
  trunk.member("a").health = Health::up;
  const Told back = browser.ask(trunk);
  EXPECT_EQ(back.epoch, 1U);
  EXPECT_EQ(back.reason, "sticky");
}

TEST(SessionMoves, ThatCanWaitDoSoIfNobodyElseCanTakeTheSession) {
  for (const std::string kind : {cookie, app_cookie}) {
    Trunk trunk(app(kind, "ab"));
    Browser browser = log_in(trunk);
    const std::string home = again(browser, trunk).backend, other = home == "a" ? "b" : "a";
    trunk.member(other).health = Health::down;
    trunk.member(home).admin = Admin::drain;
    trunk.member(home).leaving = true;
    answer_once(trunk, home, "Remora-Session-Control: move\r\n");
    again(browser, trunk);
    for (int i = 0; i < 3; ++i) {
      const Told got = again(browser, trunk);
      EXPECT_EQ(got.status, 200) << kind;
      EXPECT_EQ(got.backend, home);
      EXPECT_EQ(got.epoch, 1U);
    }
    trunk.member(other).health = Health::up;
    EXPECT_EQ(again(browser, trunk).backend, other);
  }
}

TEST(SessionMoves, OfADrainBeginAfterItsDeadlineAndAreBoundedInTheirRate) {
  Trunk trunk(app(cookie, "ab"));
  std::vector<Browser> users;
  for (int i = 0; i < 50; ++i) users.push_back(begin_at(trunk, "a"));
  trunk.member("a").admin = Admin::drain;
  for (Browser& user : users) EXPECT_EQ(user.ask(trunk).backend, "a");  // before the deadline
  trunk.member("a").leaving = true;
  const auto moved_in_one_round = [&] {
    int moved = 0;
    for (Browser& user : users) moved += user.ask(trunk).reason == "drain" ? 1 : 0;
    return moved;
  };
  EXPECT_EQ(moved_in_one_round(), 1);  // all at one instant
  trunk.advance(10ms);
  EXPECT_EQ(moved_in_one_round(), 1);
  int rounds = 0;
  for (int left = 48; left > 0 && rounds < 100; ++rounds) {
    trunk.advance(10ms);
    left -= moved_in_one_round();
  }
  EXPECT_EQ(rounds, 48);  // 100 a second
  for (Browser& user : users) EXPECT_EQ(user.ask(trunk).backend, "b");
}

TEST(SessionMoves, ByAFullBackendHappenOnlyWhereTheFileAllowsIt) {
  for (const bool moves : {true, false}) {
    for (const std::string lost : {"reassign", "reject"}) {  // on_lost does not concern them
      const std::string rules = "session: {on_lost: " + lost + (moves ? ", on_full: move}" : "}");
      Trunk trunk("pools: {app: {affinity: cookie, " + rules +
                  ", timeouts: {queue: 2s}, backends: [{id: a, address: 127.0.0.1:1, max_in_flight: 1}, "
                  "{id: b, address: 127.0.0.1:2, max_in_flight: 1}]}}\n");
      Browser browser = begin_at(trunk, "a");
      Member& home = trunk.member("a");
      ASSERT_TRUE(home.backend->queue->enter(*home.backend, 1));  // another request has its place
      const Told got = browser.ask(trunk);
      home.backend->queue->leave(home.backend);
      EXPECT_EQ(got.status, moves ? 200 : 503) << rules;
      EXPECT_EQ(got.backend, moves ? "b" : "");
      EXPECT_EQ(browser.cookies.size(), 1U);
      const Told after = browser.ask(trunk);
      EXPECT_EQ(after.backend, moves ? "b" : "a") << rules;
      EXPECT_EQ(after.epoch, moves ? 2U : 1U);
      if (moves) {
        EXPECT_EQ(got.reason, "overload");
      }
      EXPECT_TRUE(trunk.holds_nothing());
    }
  }
}

TEST(SessionMoves, AreRejectedWhereTheAppPrefersAnError) {
  for (const std::string kind : {cookie, app_cookie, companion}) {
    for (const Provocation& cause : reasons) {
      SCOPED_TRACE(kind + ", " + cause.name);
      Trunk trunk(app(kind + ", session: {on_lost: reject, reject: {status: 404, body: gone}}"));
      Browser browser = log_in(trunk, "Remora-Generation: 1000\r\n");
      const Told before = again(browser, trunk);
      cause.happens(trunk, before.backend);
      Browser old = browser;
      if (std::string(cause.name) == "asked") {
        again(browser, trunk);
        EXPECT_EQ(again(browser, trunk).status, 200);  // a move that loses nothing that the app did not want
        continue;
      }
      const Told got = again(browser, trunk);
      EXPECT_EQ(got.status, 404);
      EXPECT_EQ(trunk.delivered().body, "gone");
      EXPECT_EQ(got.backend, "");
      EXPECT_FALSE(browser.cookies.contains("remora-app"));
      EXPECT_FALSE(browser.cookies.contains("SID-r"));
      trunk.member(before.backend).health = Health::up;
      trunk.member(before.backend).admin = Admin::ready;
      trunk.member(before.backend).leaving = false;
      trunk.member(before.backend).ejected = Ejected::no;
      answer_with(trunk, "");
      EXPECT_EQ(again(old, trunk).status, 404);  // what is lost stays lost
      Browser fresh;
      EXPECT_EQ(fresh.ask(trunk).status, 200);
    }
  }
}

TEST(SessionMoves, ARestartIsNoticedOnlyByAHigherNumber) {
  Trunk trunk(app(cookie));
  Browser browser = begin_at(trunk, "a");
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
  answer_once(trunk, "a", "Remora-Generation: 1000\r\n");
  browser.ask(trunk);  // the first number is adopted
  EXPECT_EQ(set_cookies(trunk.delivered(), "remora-app"), 1U);
  EXPECT_FALSE(field(trunk.delivered().head.fields, "Remora-Generation"));
  for (const std::string fields :
       {"", "Remora-Generation: 1000\r\n", "Remora-Generation: 999\r\n", "Remora-Generation: none\r\n",
        "Remora-Generation: 2000\r\nRemora-Generation: 3000\r\n"}) {
    answer_once(trunk, "a", fields);
    EXPECT_EQ(browser.ask(trunk).reason, "sticky") << fields;
    EXPECT_EQ(browser.ask(trunk).reason, "sticky") << fields;
  }
  answer_once(trunk, "a", "Remora-Generation: 1001\r\n");
  browser.ask(trunk);
  EXPECT_EQ(browser.ask(trunk).reason, "restart");
  // An app that restarted may serve its sessions again.
  Trunk alone(app(cookie, "a"));
  Browser one = begin_at(alone, "a");
  answer_once(alone, "a", "Remora-Generation: 1\r\n");
  one.ask(alone);
  alone.backend_of("a").note_generation(2);
  const Told same = one.ask(alone);
  EXPECT_EQ(same.reason, "restart");
  EXPECT_EQ(same.epoch, 2U);
  EXPECT_EQ(same.backend, "a");
}

TEST(SessionMoves, AreRememberedForTheAdminPage) {
  Trunk trunk(app(cookie));
  Browser browser = begin_at(trunk, "a");
  trunk.member("a").admin = Admin::maint;
  const Told moved = browser.ask(trunk);
  const auto recent = trunk.memory->recent.list();
  ASSERT_EQ(recent.size(), 1U);
  EXPECT_EQ(recent.front().from, "a");
  EXPECT_EQ(recent.front().to, moved.backend);
  EXPECT_EQ(recent.front().reason, Reason::maint);
}

}  // namespace
}  // namespace remora::test
