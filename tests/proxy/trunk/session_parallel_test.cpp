// Requests at the same time: two workers of one instance (Trunks on one SessionMemory) serve one session.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";

Browser log_in(Trunk& trunk) {
  answer_with(trunk, "Set-Cookie: SID=one; Path=/\r\n");
  Browser browser;
  browser.ask(trunk);
  answer_with(trunk, "");
  return browser;
}

TEST(ParallelRequests, OfASessionWhoseBackendDiesMoveItOnce) {
  for (const std::string kind : {cookie, app_cookie}) {
    Workers w(app(kind, "abcdef"));
    Browser browser = log_in(w.one);
    const std::string home = browser.ask(w.one).backend;
    w.both([&](Trunk& t) { t.connector.always(home, {.connect = Connect::silent}); });
    Browser second = browser;
    browser.begin(w.one);
    second.begin(w.two);
    for (int i = 0; i < 10 && !(w.one.done() && w.two.done()); ++i) w.advance(1s);
    const Told first = browser.end(w.one), other = second.end(w.two);
    EXPECT_EQ(first.backend, other.backend) << kind;
    EXPECT_EQ(first.epoch, 2U);
    EXPECT_EQ(other.epoch, 2U);
    EXPECT_EQ(first.id, other.id);
    EXPECT_EQ(first.reason, "failover");
    EXPECT_EQ(other.reason, "failover");
    for (Browser* b : {&browser, &second}) {
      EXPECT_EQ(b->ask(w.one).backend, first.backend);
      EXPECT_EQ(b->ask(w.two).backend, first.backend);
    }
  }
}

/// Workers may see different backends in service: the tables decide, not each for itself.
TEST(ParallelRequests, FollowTheOneThatMovedFirstEvenIfTheyWouldHaveChosenAnother) {
  for (const std::string kind : {cookie, app_cookie}) {
    int differed = 0;
    for (int round = 0; round < 12; ++round) {
      Workers w(app(kind, "abcd"));
      Browser browser = log_in(w.one);
      const std::string home = browser.ask(w.one).backend;
      w.both([&](Trunk& t) { t.connector.always(home, {.connect = Connect::silent}); });
      // For the second worker, all but one drain: they serve bound sessions but are no targets.
      std::string only;
      for (const char* id : {"d", "c", "b", "a"})
        if (id != home) only = id;
      for (const char* id : {"a", "b", "c", "d"})
        if (id != only && id != home) w.two.member(id).admin = Admin::drain;
      Browser second = browser;
      browser.begin(w.one);
      second.begin(w.two);
      for (int i = 0; i < 10 && !w.one.done(); ++i) w.one.advance(1s);
      for (int i = 0; i < 10 && !w.two.done(); ++i) w.two.advance(1s);
      const Told first = browser.end(w.one), other = second.end(w.two);
      differed += first.backend != only ? 1 : 0;
      EXPECT_EQ(other.backend, first.backend) << kind;
      EXPECT_EQ(first.epoch, 2U);
      EXPECT_EQ(other.epoch, 2U);
    }
    EXPECT_GT(differed, 0);
  }
}

TEST(ParallelRequests, MoveASessionOnIfItsNewBackendIsDownForThem) {
  for (const std::string kind : {cookie, app_cookie}) {
    Workers w(app(kind, "abcd"));
    Browser browser = log_in(w.one);
    const std::string home = browser.ask(w.one).backend;
    w.both([&](Trunk& t) { t.connector.always(home, {.connect = Connect::silent}); });
    Browser second = browser;
    second.begin(w.two);  // recognized before the first moves it
    w.one.member(home).health = Health::down;
    const Told first = browser.ask(w.one);
    w.two.member(first.backend).health = Health::down;
    for (int i = 0; i < 10 && !w.two.done(); ++i) w.two.advance(1s);
    const Told other = second.end(w.two);
    EXPECT_EQ(other.status, 200);
    EXPECT_EQ(other.epoch, 3U) << kind;
    EXPECT_NE(other.backend, first.backend);
    const Told after = browser.ask(w.one);
    EXPECT_EQ(after.backend, other.backend);
    EXPECT_EQ(after.epoch, 3U);
    EXPECT_EQ(second.ask(w.two).epoch, 3U);
  }
}

/// nginx's `sticky learn` lets a slow response of the old backend write the old binding back.
TEST(ParallelRequests, ALateResponseOfThePreviousBackendHasNoSay) {
  for (const std::string kind : {cookie, app_cookie}) {
    for (const std::string word : {"end", "renew", "move", "none"}) {
      Workers w(app(kind, "abc"));
      Browser browser = log_in(w.one);
      const Told before = browser.ask(w.one);
      w.one.connector.script(
          before.backend,
          {.when = When::on_go,
           .head = "200 OK\r\nContent-Length: 0\r\nSet-Cookie: SID=late; Path=/\r\nRemora-Session-Control: " +
                   word + "\r\n"});
      Browser slow = browser;
      slow.begin(w.one);
      w.two.member(before.backend).admin = Admin::maint;
      const Told moved = browser.ask(w.two);
      EXPECT_EQ(moved.epoch, 2U);
      w.one.backend.go();
      w.one.settle();
      const Told late = slow.end(w.one);
      EXPECT_EQ(late.status, 200);
      EXPECT_EQ(late.backend, before.backend);
      EXPECT_EQ(set_cookies(w.one.delivered(), "remora-app"), 0U) << word;
      EXPECT_FALSE(field(w.one.delivered().head.fields, "Remora-Session-Control"));
      w.one.member(before.backend).admin = Admin::maint;
      for (Trunk* t : {&w.one, &w.two}) {
        const Told after = browser.ask(*t);
        EXPECT_EQ(after.backend, moved.backend) << kind << " " << word;
        EXPECT_EQ(after.id, before.id);
        EXPECT_EQ(after.epoch, 2U);
        EXPECT_EQ(after.reason, "sticky");
      }
    }
  }
}

TEST(ParallelRequests, OfASessionThatJustEndedAreNoSession) {
  for (const std::string kind : {cookie, app_cookie}) {
    Workers w(app(kind));
    Browser browser = log_in(w.one);
    const Told before = browser.ask(w.one);
    Browser slow = browser, old = browser;
    w.one.connector.script(before.backend, {.when = When::on_go});
    slow.begin(w.one);
    answer_once(w.two, before.backend, "Remora-Session-Control: end\r\n");
    browser.ask(w.two);
    w.one.backend.go();
    w.one.settle();
    slow.end(w.one);
    EXPECT_EQ(set_cookies(w.one.delivered(), "remora-app"), 0U) << kind;
    EXPECT_NE(old.ask(w.one).id, before.id);
    EXPECT_NE(slow.ask(w.two).id, before.id);
  }
}

TEST(ParallelRequests, WithOneExpiredTokenBeginOneSuccessor) {
  for (const std::string kind : {cookie, app_cookie}) {
    Workers w(app(kind + ", session: {idle_timeout: 1m}", "abcdef"));
    Trunk instance(app(kind + ", session: {idle_timeout: 1m}", "abcdef"));
    Browser browser = log_in(w.one);
    const Told before = browser.ask(w.one);
    w.advance(3min);
    instance.advance(3min);
    Browser second = browser, third = browser;
    const Told a = browser.ask(w.one), b = second.ask(w.two);
    EXPECT_EQ(a.reason, "expired") << kind;
    EXPECT_EQ(a.epoch, 1U);
    EXPECT_NE(a.id, before.id);
    EXPECT_EQ(b.id, a.id) << kind;
    EXPECT_EQ(b.backend, a.backend);
    if (kind == cookie) {  // another instance, which shares nothing but the keys
      const Told c = third.ask(instance);
      EXPECT_EQ(c.id, a.id);
      EXPECT_EQ(c.backend, a.backend);
    }
  }
}

TEST(ParallelRequests, OfASuccessorFollowItWhereItWent) {
  Workers w(app("affinity: cookie, session: {idle_timeout: 1m}", "abc"));
  Browser browser = log_in(w.one);
  const Browser expired = browser;
  w.advance(3min);
  const Told successor = browser.ask(w.one);
  w.both([&](Trunk& t) { t.member(successor.backend).health = Health::down; });
  const Told moved = browser.ask(w.one);
  EXPECT_EQ(moved.epoch, 2U);
  Browser late = expired;
  const Told followed = late.ask(w.two);
  EXPECT_EQ(followed.id, successor.id);
  EXPECT_EQ(followed.backend, moved.backend);
  EXPECT_EQ(followed.epoch, 2U);
  EXPECT_EQ(followed.reason, "expired");
  // Where it went cannot serve: on from there.
  w.two.member(moved.backend).health = Health::down;
  late = expired;
  EXPECT_EQ(late.ask(w.two).epoch, 3U);
  // The app ended it: the token begins another one.
  const Told there = browser.ask(w.one);
  EXPECT_EQ(there.epoch, 3U);
  answer_once(w.one, there.backend, "Remora-Session-Control: end\r\n");
  browser.ask(w.one);
  late = expired;
  const Told anew = late.ask(w.one);
  EXPECT_NE(anew.id, successor.id);
  EXPECT_EQ(anew.reason, "expired");
}

TEST(ParallelRequests, OfASuccessorFollowARetryOfIt) {
  const std::string yaml = app("affinity: cookie, session: {idle_timeout: 1m}", "abc");
  Workers w(yaml);
  Trunk instance(yaml);
  Browser browser = log_in(w.one);
  w.advance(3min);
  instance.advance(3min);
  Browser second = browser, third = browser;
  const Told choice = third.ask(instance);
  w.one.connector.script(choice.backend, {.fails = BackendScript::Fails::closes});
  const Told retried = browser.ask(w.one);
  EXPECT_EQ(retried.status, 200);
  EXPECT_EQ(retried.id, choice.id);
  EXPECT_NE(retried.backend, choice.backend);
  EXPECT_EQ(retried.epoch, 2U);  // the first backend was told of epoch 1
  const Told other = second.ask(w.two);
  EXPECT_EQ(other.id, retried.id);
  EXPECT_EQ(other.backend, retried.backend);
  EXPECT_EQ(other.epoch, 2U);
  EXPECT_EQ(browser.ask(w.two).backend, retried.backend);
}

}  // namespace
}  // namespace remora::test
