// Sessions that instances share through a store: what another instance finds, and how moves are agreed on.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* header = "affinity: {kind: header, name: X-User, carry: store}";
constexpr auto cached = 3s;  // longer than cache_ttl

/// Two instances with one store.
struct Instances {
  explicit Instances(const std::string& yaml)
      : one(yaml, nullptr, Trunk::instance_on(values)), two(yaml, nullptr, Trunk::instance_on(values)) {}
  void advance(std::chrono::nanoseconds by) {
    one.advance(by);
    two.advance(by);
  }
  /// Advances each until its request is over.
  void finish() {
    for (Trunk* t : {&one, &two})
      for (int i = 0; i < 100 && !t->done(); ++i) t->advance(1s);
  }
  template <class F>
  void both(F f) {
    f(one);
    f(two);
  }
  std::shared_ptr<MemoryValues> values = std::make_shared<MemoryValues>(64U << 20);
  Trunk one, two;
};

Told again(Browser& browser, Trunk& trunk) {
  return browser.ask(trunk, "/", {{"X-User", "ann"}});
}
Browser log_in(Trunk& trunk, const std::string& id = "one") {
  answer_with(trunk, "Set-Cookie: SID=" + id + "; Path=/\r\n");
  Browser browser;
  again(browser, trunk);
  answer_with(trunk, "");
  return browser;
}

TEST(SharedStore, BindingsAreFoundByTheOtherInstanceAndTrustedForAWhile) {
  for (const std::string kind : {app_cookie, header}) {
    Instances i(app(kind, "abcd"));
    Browser browser = log_in(i.one);
    const Told before = again(browser, i.one);
    const Told found = again(browser, i.two);
    EXPECT_EQ(found.id, before.id) << kind;
    EXPECT_EQ(found.backend, before.backend);
    EXPECT_EQ(found.reason, "sticky");
    const unsigned calls = i.two.store->calls;
    EXPECT_GT(calls, 0U);
    for (int n = 0; n < 5; ++n) again(browser, i.two);
    EXPECT_EQ(i.two.store->calls, calls);
    i.advance(cached);
    again(browser, i.two);
    EXPECT_EQ(i.two.store->calls, calls + 1);
  }
}

TEST(SharedStore, OneOfSeveralIdsIsFoundThereToo) {
  Instances i(app(app_cookie, "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  for (const std::string line : {"SID=stale; SID=one", "SID=one; SID=stale"}) {
    Instances fresh(app(app_cookie, "abcd"));
    Trunk other(app(app_cookie, "abcd"), nullptr, Trunk::instance_on(i.values));
    const Told found = Browser().ask(other, "/", {{"Cookie", line}});
    EXPECT_EQ(found.id, before.id) << line;
    EXPECT_EQ(found.backend, before.backend);
  }
}

TEST(SharedStore, OfTwoInstancesThatBindOneIdTheFirstWins) {
  Instances i(app(app_cookie, "abcd"));
  for (int n = 0; n < 20; ++n) {
    const std::string id = "id" + std::to_string(n);
    Browser browser = log_in(i.one, id);
    const Told first = again(browser, i.one);
    log_in(i.two, id);
    const Told second = again(browser, i.two);
    EXPECT_EQ(second.backend, first.backend);
    EXPECT_EQ(second.id, first.id);
  }
}

TEST(SharedStore, AMoveOfOneIsSeenByTheOtherOnceItsCopyIsOld) {
  Instances i(app(app_cookie, "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  again(browser, i.two);
  i.one.member(before.backend).admin = Admin::maint;
  const Told moved = again(browser, i.one);
  i.advance(cached);
  const Told seen = again(browser, i.two);
  EXPECT_EQ(seen.backend, moved.backend);
  EXPECT_EQ(seen.epoch, 2U);
}

TEST(SharedStore, InstancesWithDifferentViewsAgreeOnAMove) {
  for (const std::string kind : {cookie, app_cookie}) {
    int differed = 0;
    for (int round = 0; round < 10; ++round) {
      Instances i(app(kind, "abcd"));
      Browser browser = log_in(i.one);
      const Told before = again(browser, i.one);
      again(browser, i.two);
      i.both([&](Trunk& t) { t.member(before.backend).admin = Admin::maint; });
      std::string only;
      for (const char* id : {"d", "c", "b", "a"})
        if (id != before.backend) only = id;
      for (const char* id : {"a", "b", "c", "d"})
        if (id != only && id != before.backend) i.two.member(id).admin = Admin::drain;
      Browser second = browser;
      const Told first = again(browser, i.one), other = again(second, i.two);
      differed += first.backend != only ? 1 : 0;
      EXPECT_EQ(other.backend, first.backend) << kind;
      EXPECT_EQ(first.epoch, 2U);
      EXPECT_EQ(other.epoch, 2U);
      EXPECT_EQ(again(second, i.one).backend, first.backend);
    }
    EXPECT_GT(differed, 0);
  }
}

TEST(SharedStore, AMoveGoesOnFromWhereTheOtherInstanceMovedItIfThatCannotServe) {
  for (const std::string kind : {cookie, app_cookie}) {
    Instances i(app(kind, "abcd"));
    Browser browser = log_in(i.one);
    const Told before = again(browser, i.one);
    again(browser, i.two);
    i.both([&](Trunk& t) { t.member(before.backend).admin = Admin::maint; });
    Browser second = browser;
    const Told first = again(browser, i.one);
    i.two.member(first.backend).admin = Admin::maint;
    const Told other = again(second, i.two);
    EXPECT_EQ(other.status, 200);
    EXPECT_NE(other.backend, first.backend);
    EXPECT_EQ(other.epoch, 3U) << kind;
  }
}

TEST(SharedStore, ARequestThatLosesEachRoundGivesUpAfterFour) {
  const std::string backends = "abcdefgh";
  Instances i(app(cookie, backends));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  Browser other = browser;
  std::string here;  // for the first instance, this one alone is in service
  for (const char c : backends)
    if (std::string(1, c) != before.backend) here = c;
  for (const char c : backends)
    if (std::string(1, c) != here) i.one.member(std::string(1, c)).admin = Admin::maint;
  i.two.member(here).admin = Admin::maint;
  i.two.member(before.backend).admin = Admin::maint;
  int moves = 0;
  std::function<void()> other_moves = [&] {
    // Each time, the other instance has moved the session to one more backend.
    if (moves > 0) i.two.member(i.two.connector.requests.back().backend).admin = Admin::maint;
    again(other, i.two);
    ++moves;
    if (moves < 6) i.one.store->before_next = other_moves;
  };
  i.one.store->before_next = other_moves;
  const Told got = again(browser, i.one);
  EXPECT_EQ(got.status, 503);
  EXPECT_EQ(got.backend, "");
  EXPECT_LE(moves, 6);
  i.one.store->before_next = nullptr;
  const Told after = again(browser, i.one);  // its next request succeeds
  EXPECT_EQ(after.status, 200);
  EXPECT_EQ(after.id, before.id);
}

TEST(SharedStore, ASessionThatTheOtherInstanceEndedIsNotMovedButBegunAnew) {
  for (const std::string kind : {cookie, app_cookie}) {
    Instances i(app(kind, "abcd"));
    Browser browser = log_in(i.one);
    const Told before = again(browser, i.one);
    Browser other = browser, old = browser;
    again(other, i.two);
    answer_once(i.two, before.backend, "Remora-Session-Control: end\r\n");
    again(other, i.two);
    i.one.member(before.backend).admin = Admin::maint;
    const Told got = again(browser, i.one);
    EXPECT_EQ(got.status, 200);
    EXPECT_NE(got.id, before.id) << kind;
    EXPECT_EQ(got.epoch, 1U);
    EXPECT_NE(again(old, i.one).id, before.id);
  }
}

TEST(SharedStore, ARenewedIdAndALoginAreFoundByTheOtherInstance) {
  Instances i(app(std::string(app_cookie) + ", session: {state: on}", "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  answer_once(i.one, before.backend, "Remora-State: YQ==\r\n");
  again(browser, i.one);
  answer_once(i.one, before.backend, "Remora-Session-Control: renew\r\n");
  again(browser, i.one);
  const Told renewed = again(browser, i.two);
  EXPECT_NE(renewed.id, before.id);
  EXPECT_EQ(renewed.backend, before.backend);
  Browser old = browser;
  answer_once(i.two, before.backend, "Set-Cookie: SID=two; Path=/\r\n");
  again(browser, i.two);
  i.advance(cached);
  const Told login = again(browser, i.one);
  EXPECT_EQ(login.id, renewed.id);
  EXPECT_EQ(login.backend, before.backend);
  EXPECT_EQ(again(old, i.one).backend, before.backend);  // requests that were under way
  i.one.member(before.backend).admin = Admin::maint;
  EXPECT_EQ(again(browser, i.one).state, "YQ==");
}

TEST(SharedStore, TheAppsWishToMoveReachesTheOtherInstance) {
  Instances i(app(app_cookie, "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  answer_once(i.one, before.backend, "Remora-Session-Control: move\r\n");
  again(browser, i.one);
  const Told moved = again(browser, i.two);
  EXPECT_NE(moved.backend, before.backend);
  EXPECT_EQ(moved.reason, "rebalance");
}

TEST(SharedStore, AStateIsFoundByTheInstanceThatMovesTheSession) {
  for (const std::string kind : {cookie, app_cookie}) {
    Instances i(app(kind + ", session: {state: {save: sync}}", "abcd"));
    Browser browser = log_in(i.one);
    const Told before = again(browser, i.one);
    answer_once(i.one, before.backend, "Remora-State: YQ==\r\n");
    again(browser, i.one);
    i.two.member(before.backend).admin = Admin::maint;
    const Told moved = again(browser, i.two);
    EXPECT_EQ(moved.state, "YQ==") << kind;
    EXPECT_EQ(moved.note, ";version=1");
  }
}

}  // namespace
}  // namespace remora::test
