// Sessions under a key that the client never changes (`carry: store` of a header or a claim): what follows a
// session of such a key that ended, expired or was lost.

#include <gtest/gtest.h>

#include <set>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* header = "affinity: {kind: header, name: X-User, carry: store}";
constexpr const char* end = "Remora-Session-Control: end\r\n";
constexpr auto cached = 3s;  // longer than cache_ttl

std::string with(const std::string& settings) {
  return app(std::string(header) + ", session: {" + settings + "}", "abcdef");
}

const Fields user = {{"X-User", "ann"}};
Told ask(Trunk& trunk) {
  return Browser().ask(trunk, "/", user);
}
/// A request whose response has these fields.
Told ask_and_hear(Trunk& trunk, const std::string& fields) {
  answer_with(trunk, fields);
  const Told got = ask(trunk);
  answer_with(trunk, "");
  return got;
}

void expect_begun(const Told& got, const std::string& reason) {
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.reason, reason);
  EXPECT_EQ(got.epoch, 1U);
}
void expect_kept(Trunk& trunk, const Told& session) {
  for (int i = 0; i < 4; ++i) {
    const Told got = ask(trunk);
    EXPECT_EQ(got.id, session.id);
    EXPECT_EQ(got.backend, session.backend);
    EXPECT_EQ(got.reason, "sticky");
    EXPECT_EQ(got.epoch, session.epoch);
  }
}

/// Two instances with one store.
struct Instances {
  explicit Instances(const std::string& yaml)
      : one(yaml, nullptr, Trunk::instance_on(values)), two(yaml, nullptr, Trunk::instance_on(values)) {}
  void rest(std::chrono::nanoseconds by) {
    one.rest(by);
    two.rest(by);
  }
  std::shared_ptr<MemoryValues> values = std::make_shared<MemoryValues>(64U << 20);
  Trunk one, two;
};

// Each request after the end began another session, which was not kept.
TEST(DerivedSessions, AfterAnEndTheKeyBeginsAnotherThatIsKept) {
  Trunk trunk(with("idle_timeout: 30m"));
  std::set<std::string> ids;
  for (int life = 0; life < 12; ++life) {
    const Told begun = ask(trunk);
    expect_begun(begun, "new");
    EXPECT_TRUE(ids.insert(begun.id).second) << "the id of an ended session";
    expect_kept(trunk, begun);
    ask_and_hear(trunk, end);
  }
  EXPECT_EQ(trunk.memory->learned.size(), 1U);
}

TEST(DerivedSessions, TheAppCanMoveTheOneThatFollowsAnEnd) {
  Trunk trunk(with("idle_timeout: 30m"));
  ask(trunk);
  ask_and_hear(trunk, end);
  const Told begun = ask(trunk);
  ask_and_hear(trunk, "Remora-Session-Control: move\r\n");
  const Told moved = ask(trunk);
  EXPECT_EQ(moved.id, begun.id);
  EXPECT_EQ(moved.reason, "rebalance");
  EXPECT_EQ(moved.epoch, 2U);
  EXPECT_NE(moved.backend, begun.backend);
  expect_kept(trunk, moved);
}

TEST(DerivedSessions, TheFirstResponseMayEndItsSession) {
  Trunk trunk(with("idle_timeout: 30m"));
  const Told first = ask_and_hear(trunk, end);
  const Told begun = ask(trunk);
  expect_begun(begun, "new");
  EXPECT_NE(begun.id, first.id);
  expect_kept(trunk, begun);
}

TEST(DerivedSessions, ParallelRequestsAfterAnEndBeginOne) {
  Workers w(with("idle_timeout: 30m"));
  const Told before = ask(w.one);
  ask_and_hear(w.one, end);
  for (const char* id : {"a", "b", "c", "d", "e", "f"}) w.one.connector.always(id, {.when = When::on_go});
  Browser slow;
  slow.begin(w.one, "/", user);
  const Told begun = ask(w.two);
  w.one.backend.go();
  w.one.settle();
  const Told other = slow.end(w.one);
  EXPECT_NE(begun.id, before.id);
  EXPECT_EQ(other.id, begun.id);
  EXPECT_EQ(other.backend, begun.backend);
}

TEST(DerivedSessions, ARequestThatWasUnderWayAtTheEndChangesNothingOfTheNext) {
  Workers w(with("idle_timeout: 30m, state: on"));
  const Told before = ask(w.one);
  for (const std::string fields : {"Remora-State: b2xk\r\n", "Remora-Session-Control: move\r\n",
                                   "Remora-Session-Control: renew\r\n", "Remora-Session-Control: end\r\n"}) {
    const Told old = ask(w.one);
    w.one.connector.script(old.backend,
                           {.when = When::on_go, .head = "200 OK\r\nContent-Length: 0\r\n" + fields});
    Browser slow;
    slow.begin(w.one, "/", user);
    ask_and_hear(w.two, end);
    const Told begun = ask(w.two);
    EXPECT_NE(begun.id, old.id);
    w.one.backend.go();
    w.one.settle();
    EXPECT_EQ(slow.end(w.one).status, 200);
    expect_kept(w.one, begun);
    expect_kept(w.two, begun);
    w.two.member(begun.backend).admin = Admin::maint;
    const Told moved = ask(w.two);
    EXPECT_EQ(moved.id, begun.id);
    EXPECT_EQ(moved.note, ";state=none") << fields;
    w.two.member(begun.backend).admin = Admin::ready;
    ask_and_hear(w.two, end);
  }
}

// The session that followed was dropped with its state, and the id of the expired one came back.
TEST(DerivedSessions, AfterItExpiredTheKeyBeginsAnotherThatIsKept) {
  for (const bool forgotten : {false, true}) {
    Trunk trunk(with("idle_timeout: 1m"));
    std::set<std::string> ids = {ask(trunk).id};
    for (int life = 0; life < 4; ++life) {
      trunk.rest(3min);
      if (forgotten) trunk.memory->sweep({trunk.clock.steady_now(), trunk.clock.wall_now()});
      const Told begun = ask(trunk);
      expect_begun(begun, forgotten ? "new" : "expired");
      EXPECT_TRUE(ids.insert(begun.id).second) << "the id of an expired session";
      expect_kept(trunk, begun);
    }
  }
}

TEST(DerivedSessions, AtItsMaximumTheKeyBeginsAnotherThatIsKept) {
  Trunk trunk(with("idle_timeout: 30m, max_lifetime: 1h"));
  const Told before = ask(trunk);
  for (int i = 0; i < 5; ++i) {
    trunk.rest(10min);
    EXPECT_EQ(ask(trunk).id, before.id);
  }
  trunk.rest(11min);
  const Told begun = ask(trunk);
  expect_begun(begun, "expired");
  EXPECT_NE(begun.id, before.id);
  expect_kept(trunk, begun);
}

TEST(DerivedSessions, ParallelRequestsAfterItExpiredBeginOne) {
  Workers w(with("idle_timeout: 1m"));
  ask(w.one);
  w.one.rest(3min);
  w.two.rest(3min);
  for (const char* id : {"a", "b", "c", "d", "e", "f"}) w.one.connector.always(id, {.when = When::on_go});
  Browser slow;
  slow.begin(w.one, "/", user);
  const Told begun = ask(w.two);
  w.one.backend.go();
  w.one.settle();
  const Told other = slow.end(w.one);
  expect_begun(begun, "expired");
  expect_begun(other, "expired");
  EXPECT_EQ(other.id, begun.id);
  EXPECT_EQ(other.backend, begun.backend);
  expect_kept(w.two, begun);
}

TEST(DerivedSessions, AStateThatTheFirstResponseAfterExpirySavesGoesWithTheSession) {
  Trunk trunk(with("idle_timeout: 1m, state: on"));
  ask_and_hear(trunk, "Remora-State: b2xk\r\n");
  trunk.rest(3min);
  const Told begun = ask_and_hear(trunk, "Remora-State: bmV3\r\n");
  EXPECT_EQ(begun.reason, "expired");
  trunk.member(begun.backend).admin = Admin::maint;
  const Told moved = ask(trunk);
  EXPECT_EQ(moved.id, begun.id);
  EXPECT_EQ(moved.epoch, 2U);
  EXPECT_EQ(moved.state, "bmV3");
}

TEST(DerivedSessions, TheStateOfAnExpiredOneIsNotGivenToTheNext) {
  Trunk trunk(with("idle_timeout: 1m, state: on"));
  ask_and_hear(trunk, "Remora-State: b2xk\r\n");
  trunk.rest(3min);
  const Told begun = ask(trunk);
  trunk.member(begun.backend).admin = Admin::maint;
  EXPECT_EQ(ask(trunk).note, ";state=none");
}

// The client cannot get another id: it was rejected for as long as the end was remembered.
TEST(DerivedSessions, WithOnLostRejectOnlyTheRequestThatLosesItIsRejected) {
  Trunk trunk(with("on_lost: reject"));
  const Told before = ask(trunk);
  ask_and_hear(trunk, end);
  const Told begun = ask(trunk);
  expect_begun(begun, "new");
  EXPECT_NE(begun.id, before.id);
  trunk.member(begun.backend).health = Health::down;
  EXPECT_EQ(ask(trunk).status, 503);
  const Told next = ask(trunk);
  expect_begun(next, "new");
  EXPECT_NE(next.id, begun.id);
  expect_kept(trunk, next);
}

TEST(DerivedSessions, TheInstancesOfAStoreBeginOneAfterAnEnd) {
  for (const bool same_begins : {false, true}) {
    Instances i(with("idle_timeout: 30m"));
    const Told before = ask(i.one);
    EXPECT_EQ(ask(i.two).id, before.id);
    ask_and_hear(i.one, end);
    i.rest(cached);
    const Told begun = ask(same_begins ? i.one : i.two);
    expect_begun(begun, "new");
    EXPECT_NE(begun.id, before.id);
    i.rest(cached);
    expect_kept(i.one, begun);
    expect_kept(i.two, begun);
  }
}

TEST(DerivedSessions, TheInstancesOfAStoreBeginOneAfterItExpired) {
  Instances i(with("idle_timeout: 1m"));
  const Told before = ask(i.one);
  EXPECT_EQ(ask(i.two).id, before.id);
  i.rest(3min);
  const Told begun = ask(i.one), other = ask(i.two);
  expect_begun(begun, "expired");
  EXPECT_NE(begun.id, before.id);
  EXPECT_EQ(other.id, begun.id);
  EXPECT_EQ(other.backend, begun.backend);
  i.rest(cached);
  expect_kept(i.one, begun);
  expect_kept(i.two, begun);
}

TEST(DerivedSessions, WhatEndedAndBeganWhileTheStoreWasAwayStandsWhenItIsBack) {
  for (const bool moved : {false, true}) {
    for (const int ends : {1, 3}) {
      SCOPED_TRACE(std::to_string(ends) + (moved ? " ends, moved" : " ends"));
      Instances i(with("idle_timeout: 30m"));
      const Told before = ask(i.one);
      if (moved) ask_and_hear(i.one, "Remora-Session-Control: move\r\n");
      EXPECT_EQ(ask(i.one).epoch, moved ? 2U : 1U);
      i.rest(cached);
      i.one.store->away = true;
      for (int n = 0; n < ends; ++n) {
        ask_and_hear(i.one, end);
        ask(i.one);
      }
      const Told begun = ask(i.one);
      EXPECT_NE(begun.id, before.id);
      EXPECT_EQ(begun.reason, "sticky");
      i.one.rest(cached);
      expect_kept(i.one, begun);
      i.one.store->away = false;
      i.rest(cached);
      const Told found = ask(i.two);
      EXPECT_EQ(found.id, begun.id);
      EXPECT_EQ(found.backend, begun.backend);
      i.rest(cached);
      expect_kept(i.one, begun);
    }
  }
}

TEST(DerivedSessions, AStoreThatStillHasAnEndedOneBringsNothingBack) {
  Instances i(with("idle_timeout: 30m"));
  const Told before = ask(i.one);
  ask(i.two);  // keeps a copy
  i.one.store->away = true;
  ask_and_hear(i.one, end);
  i.one.store->away = false;
  const Told begun = ask(i.one);  // before the end is written
  EXPECT_NE(begun.id, before.id);
  i.rest(cached);
  expect_kept(i.one, begun);
  expect_kept(i.two, begun);
}

}  // namespace
}  // namespace remora::test
