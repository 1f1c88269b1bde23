// Sessions in the pools of a split: where they begin, where they go on when nobody of their pool is left, and
// what follows them there.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* header = "affinity: {kind: header, name: X-App, learn: true}";

/// A client of a learned kind says the app's id both ways.
struct User {
  std::string id;
  Told ask(Trunk& trunk) const {
    return Browser().ask(trunk, "/", id.empty() ? Fields() : Fields{{"Cookie", "SID=" + id}, {"X-App", id}});
  }
};

User user_at(Trunk& trunk, const std::string& backend) {
  for (int i = 0; i < 200; ++i) {
    const std::string id = "id" + std::to_string(i);
    answer_with(trunk, "Set-Cookie: SID=" + id + "; Path=/\r\nX-App: " + id + "\r\n");
    const Told got = User().ask(trunk);
    answer_with(trunk, "");
    if (got.backend == backend) return {id};
  }
  ADD_FAILURE() << "no session began at " << backend;
  return {};
}

void wish(Trunk& trunk, const std::string& backend, Admin admin) {
  trunk.member(backend).admin = admin;
}

TEST(SplitSessions, BeginByWeightInPoolsWithSomebodyInService) {
  Trunk trunk(split(cookie, "a", "b", "app: 90, canary: 10"));
  std::map<std::string, int> got;
  for (int i = 0; i < 300; ++i) ++got[Browser().ask(trunk).backend];
  EXPECT_GT(got["a"], 200);
  EXPECT_GT(got["b"], 5);
  for (const Admin admin : {Admin::maint, Admin::drain}) {
    wish(trunk, "a", admin);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(Browser().ask(trunk).backend, "b");
  }
  wish(trunk, "b", Admin::maint);
  EXPECT_EQ(Browser().ask(trunk).status, 503);
}

TEST(SplitSessions, StayInTheirPoolWhateverIsDrawn) {
  Trunk trunk(split(cookie));
  for (const std::string home : {"a", "b"}) {
    Browser browser = begin_at(trunk, home);
    wish(trunk, home, Admin::drain);
    for (int i = 0; i < 10; ++i) {
      const Told got = browser.ask(trunk);
      EXPECT_EQ(got.backend, home);
      EXPECT_EQ(got.reason, "sticky");
    }
    wish(trunk, home, Admin::ready);
  }
}

TEST(SplitSessions, GoOnInTheSisterAndStayThere) {
  for (const bool refuses : {false, true}) {
    Trunk trunk(split(cookie));
    Browser browser = begin_at(trunk, "a");
    const Browser before = browser;
    if (refuses)
      trunk.connector.always("a", {.connect = Connect::refuses});
    else
      wish(trunk, "a", Admin::maint);
    const Told moved = browser.ask(trunk);
    EXPECT_EQ(moved.status, 200);
    EXPECT_EQ(moved.backend, "b");
    EXPECT_EQ(moved.epoch, 2U);
    EXPECT_EQ(moved.reason, "failover");
    EXPECT_EQ(moved.cookie, "");
    EXPECT_EQ(browser.cookies.size(), 1U);
    EXPECT_TRUE(browser.cookies.contains("remora-canary"));
    for (const bool back : {false, true}) {
      if (back) {
        wish(trunk, "a", Admin::ready);
        answer_with(trunk, "");
      }
      for (int i = 0; i < 4; ++i) {
        const Told got = browser.ask(trunk);
        EXPECT_EQ(got.backend, "b");
        EXPECT_EQ(got.epoch, 2U);
        EXPECT_EQ(got.reason, "sticky");
        Browser old = before;  // a parallel request with the former token
        const Told late = old.ask(trunk);
        EXPECT_EQ(late.backend, "b");
        EXPECT_EQ(late.epoch, 2U);
        EXPECT_EQ(late.id, moved.id);
        EXPECT_TRUE(old.cookies.contains("remora-canary"));
      }
    }
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(SplitSessions, OfTwoWorkersMoveOnce) {
  const std::string yaml = split(cookie, "a", "bcde");
  Trunk one(yaml), two(yaml, nullptr, one.memory);
  Browser browser = begin_at(one, "a");
  for (Trunk* t : {&one, &two}) t->connector.always("a", {.connect = Connect::silent});
  for (const char* id : {"b", "c", "d"}) two.member(id).admin = Admin::drain;  // it would choose e
  Browser second = browser;
  browser.begin(one);
  second.begin(two);
  for (int i = 0; i < 10 && !one.done(); ++i) one.advance(1s);
  for (int i = 0; i < 10 && !two.done(); ++i) two.advance(1s);
  const Told first = browser.end(one), other = second.end(two);
  EXPECT_EQ(first.epoch, 2U);
  EXPECT_EQ(other.epoch, 2U);
  EXPECT_EQ(other.backend, first.backend);
  EXPECT_EQ(other.id, first.id);
}

TEST(SplitSessions, WhoseNewBackendIsDownForAnotherWorkerAreServedByNobodyThere) {
  const std::string yaml = split(cookie, "a", "bc");
  Trunk one(yaml), two(yaml, nullptr, one.memory);
  Browser browser = begin_at(one, "a");
  for (Trunk* t : {&one, &two}) t->connector.always("a", {.connect = Connect::silent});
  Browser second = browser;
  browser.begin(one);
  second.begin(two);
  for (int i = 0; i < 10 && !one.done(); ++i) one.advance(1s);
  const Told first = browser.end(one);
  two.member(first.backend).health = Health::down;
  for (int i = 0; i < 10 && !two.done(); ++i) two.advance(1s);
  const Told other = second.end(two);
  EXPECT_NE(other.backend, first.backend);
  // Its next request moves it on.
  const Told after = second.ask(two);
  EXPECT_EQ(after.status, 200);
  EXPECT_EQ(after.epoch, 3U);
}

TEST(SplitSessions, TakeTheirStateAlongThereAndBackAgain) {
  for (const std::string kind : {cookie, app_cookie}) {
    for (const std::string save : {"sync", "async"}) {
      SCOPED_TRACE(kind + save);
      Trunk trunk(split(kind + ", session: {state: {save: " + save + "}}"));
      Browser browser;
      if (kind == app_cookie)
        browser.cookies["SID"] = user_at(trunk, "a").id;
      else
        browser = begin_at(trunk, "a");
      answer_once(trunk, "a", "Remora-State: Zmlyc3Q=\r\n");
      EXPECT_EQ(browser.ask(trunk).backend, "a");
      const auto go_on = [&](const std::string& from, const std::string& to, const std::string& given,
                             const std::string& keep) {
        wish(trunk, from, Admin::maint);
        const Told moved = browser.ask(trunk);
        EXPECT_EQ(moved.backend, to);
        EXPECT_EQ(moved.state, given);
        answer_once(trunk, to, "Remora-State: " + keep + "\r\n");
        EXPECT_EQ(browser.ask(trunk).backend, to);
        EXPECT_EQ(browser.ask(trunk).state, "");  // it has it
        wish(trunk, from, Admin::ready);
      };
      go_on("a", "b", "Zmlyc3Q=", "c2Vjb25k");
      go_on("b", "a", "c2Vjb25k", "dGhpcmQ=");
      go_on("a", "b", "dGhpcmQ=", "Zm91cnRo");
    }
  }
}

TEST(SplitSessions, LearnTheAppsIdInTheSisterThereAndBackAgain) {
  for (const std::string kind : {app_cookie, header}) {
    Trunk trunk(split(kind));
    const User user = user_at(trunk, "a");
    const std::string id = user.ask(trunk).id;
    unsigned epoch = 1;
    for (const std::string from : {"a", "b", "a"}) {
      const std::string to = from == "a" ? "b" : "a";
      wish(trunk, from, Admin::maint);
      const Told moved = user.ask(trunk);
      EXPECT_EQ(moved.backend, to) << kind;
      EXPECT_EQ(moved.id, id);
      EXPECT_EQ(moved.epoch, ++epoch);
      EXPECT_EQ(moved.reason, "failover");
      wish(trunk, from, Admin::ready);
      for (int i = 0; i < 3; ++i) {
        const Told got = user.ask(trunk);
        EXPECT_EQ(got.backend, to);
        EXPECT_EQ(got.epoch, epoch);
        EXPECT_EQ(got.reason, "sticky") << kind;
      }
    }
  }
}

TEST(SplitSessions, LiveInTheSisterWhileTheyAreUsed) {
  Trunk trunk(split(std::string(app_cookie) + ", session: {idle_timeout: 20m}"));
  const User user = user_at(trunk, "a");
  wish(trunk, "a", Admin::maint);
  const std::string id = user.ask(trunk).id;
  wish(trunk, "a", Admin::ready);
  for (int i = 0; i < 8; ++i) {
    trunk.advance(6min);
    const Told got = user.ask(trunk);
    EXPECT_EQ(got.backend, "b");
    EXPECT_EQ(got.id, id);
  }
}

TEST(SplitSessions, ThatEndInTheSisterAreNotFoundInTheirFormerPool) {
  for (const std::string kind : {app_cookie, header}) {
    for (const std::string how :
         {"Remora-Session-Control: end\r\n", "Set-Cookie: SID=; Path=/; Max-Age=0\r\n"}) {
      for (const std::string state : {"", ", session: {state: on}"}) {
        for (const bool at_once : {false, true}) {
          if (kind == header && how.starts_with("Set")) continue;
          SCOPED_TRACE(kind + how + state + (at_once ? "at once" : ""));
          Trunk trunk(split(kind + state));
          const User user = user_at(trunk, "a");
          const std::string id = user.ask(trunk).id;
          wish(trunk, "a", Admin::maint);
          if (!at_once) {
            EXPECT_EQ(user.ask(trunk).id, id);
          }
          answer_once(trunk, "b", how);
          EXPECT_EQ(user.ask(trunk).id, id);
          EXPECT_NE(user.ask(trunk).id, id);
          wish(trunk, "a", Admin::ready);
          for (int i = 0; i < 6; ++i) EXPECT_NE(user.ask(trunk).id, id);
        }
      }
    }
  }
}

TEST(SplitSessions, ThatEndAreNotRevivedByAnIdThatTheAppUsesAgain) {
  for (const bool at_once : {true, false}) {
    Trunk trunk(split(app_cookie));
    const User user = user_at(trunk, "a");
    wish(trunk, "a", Admin::maint);
    const std::string former = user.ask(trunk).id;
    const std::string end = "Remora-Session-Control: end\r\n",
                      same_id = "Set-Cookie: SID=" + user.id + "; Path=/\r\n";
    answer_once(trunk, "b", at_once ? end + same_id : end);
    user.ask(trunk);
    if (!at_once) {
      answer_once(trunk, "b", same_id);
      user.ask(trunk);
    }
    const Told next = user.ask(trunk);
    EXPECT_EQ(next.reason, "sticky") << at_once;
    EXPECT_NE(next.id, former);
    EXPECT_EQ(next.epoch, 1U);
    wish(trunk, "a", Admin::ready);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(user.ask(trunk).id, next.id);
  }
}

TEST(SplitSessions, ThatEndOrAreRejectedClearTheTokensOfBothPools) {
  Trunk trunk(split(cookie));
  Browser browser = begin_at(trunk, "a");
  Browser old = browser;
  wish(trunk, "a", Admin::maint);
  answer_once(trunk, "b", "Remora-Session-Control: end\r\n");
  EXPECT_EQ(browser.ask(trunk).backend, "b");
  EXPECT_TRUE(browser.cookies.empty());
  EXPECT_NE(old.ask(trunk).reason, "sticky");

  Trunk rejects(split(std::string(cookie) + ", session: {on_lost: reject}"));
  Browser lost = begin_at(rejects, "a");
  wish(rejects, "a", Admin::maint);
  EXPECT_EQ(lost.ask(rejects).status, 503);  // moves nobody
  EXPECT_TRUE(lost.cookies.empty());
}

TEST(SplitSessions, AHashAndAnUnknownIdAreServedByTheSisterToo) {
  Trunk hashed(split("affinity: ip_hash"));
  wish(hashed, "a", Admin::maint);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Browser().ask(hashed).backend, "b");
  Trunk refusing(split("affinity: ip_hash", "a", "b", "app: 1000, canary: 1"));
  refusing.connector.always("a", {.connect = Connect::refuses});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Browser().ask(refusing).backend, "b");
  Trunk plain(split("", "a", "b", "app: 1000, canary: 1"));
  plain.connector.always("a", {.connect = Connect::refuses});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Browser().ask(plain).backend, "b");
  Trunk unknown(split(app_cookie, "a", "b", "app: 1000, canary: 1"));
  unknown.connector.always("a", {.connect = Connect::refuses});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(User{"invented"}.ask(unknown).backend, "b");
}

TEST(SplitSessions, ASisterRejectsAnUnknownIdAlsoIfItIsAskedLast) {
  Trunk trunk(
      "pools: {app: {affinity: cookie, backends: [{id: a, address: 127.0.0.1:1}]}, canary: {affinity: "
      "{kind: app_cookie, name: SID, on_unknown: reject}, backends: [{id: b, address: "
      "127.0.0.1:2}]}}\nroutes: [{path: /, split: {app: 1000, canary: 1}}]\n");
  trunk.connector.always("a", {.connect = Connect::refuses});
  int rejected = 0;
  for (int i = 0; i < 10; ++i) rejected += User{"unknown"}.ask(trunk).status == 503 ? 1 : 0;
  EXPECT_EQ(rejected, 10);
  EXPECT_EQ(User().ask(trunk).backend, "b");
}

TEST(SplitSessions, GoOnInASisterOfAnotherKind) {
  // From a cookie to an app's id, and the other way round; and to a pool without sessions.
  const auto pools = [](const std::string& one, const std::string& two) {
    return "pools: {app: {" + one + "backends: [{id: a, address: 127.0.0.1:1}]}, canary: {" + two +
           "backends: [{id: b, address: 127.0.0.1:2}]}}\nroutes: [{path: /, split: {app: 50, canary: 50}}]\n";
  };
  const std::string by_cookie = "affinity: cookie, ", by_app = std::string(app_cookie) + ", ";
  for (const auto& [one, two] :
       {std::pair{by_cookie, by_app}, {by_app, by_cookie}, {by_cookie, std::string()}}) {
    SCOPED_TRACE(one + " to " + two);
    Trunk trunk(pools(one, two));
    Browser browser;
    if (one == by_app)
      browser.cookies["SID"] = user_at(trunk, "a").id;
    else
      browser = begin_at(trunk, "a");
    if (two == by_app) browser.cookies["SID"] = "apps";
    const Told before = browser.ask(trunk);
    ASSERT_EQ(before.backend, "a");
    wish(trunk, "a", Admin::maint);
    const Told moved = browser.ask(trunk);
    EXPECT_EQ(moved.status, 200);
    EXPECT_EQ(moved.backend, "b");
    if (two.empty()) continue;
    EXPECT_EQ(moved.id, before.id);
    EXPECT_EQ(moved.epoch, 2U);
    wish(trunk, "a", Admin::ready);
    for (int i = 0; i < 3; ++i) {
      const Told got = browser.ask(trunk);
      EXPECT_EQ(got.backend, "b");
      EXPECT_EQ(got.id, before.id);
    }
  }
}

TEST(SplitSessions, MoveWithinTheirPoolWhileAnyoneIsLeftThere) {
  Trunk trunk(split(cookie, "ac", "bd"));
  Browser browser = begin_at(trunk, "a");
  wish(trunk, "a", Admin::maint);
  EXPECT_EQ(browser.ask(trunk).backend, "c");
  wish(trunk, "c", Admin::maint);
  const Told moved = browser.ask(trunk);
  EXPECT_TRUE(moved.backend == "b" || moved.backend == "d");
  EXPECT_EQ(moved.epoch, 3U);
}

TEST(SplitSessions, OfAllPoolsDownAreNotLost) {
  Trunk trunk(split(cookie));
  Browser browser = begin_at(trunk, "a");
  wish(trunk, "a", Admin::maint);
  wish(trunk, "b", Admin::maint);
  EXPECT_EQ(browser.ask(trunk).status, 503);
  EXPECT_EQ(browser.cookies.size(), 1U);
  wish(trunk, "a", Admin::ready);
  EXPECT_EQ(browser.ask(trunk).reason, "sticky");
}

}  // namespace
}  // namespace remora::test
