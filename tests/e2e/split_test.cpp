// The pools of a split: who begins sessions there, and where they go on when nobody of their pool is left.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>

#include "support/site.h"

namespace remora::test {
namespace {

Origin::Script named(const std::string& name) {
  return answering([name](const std::string& head, const std::string&) {
    return ok(name, "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") +
                        "\r\nX-Cookie: " + field_of(head, "Cookie") + "\r\n");
  });
}

std::string config(const std::string& app, const std::string& canary, const std::string& affinity = "cookie",
                   const std::string& weights = "app: 50, canary: 50") {
  return with_admin(
      "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\nlisteners: "
      "[127.0.0.1:0]\npools:\n"
      "  app: {affinity: " +
      affinity + ", backends: [" + app + "]}\n  canary: {affinity: " + affinity + ", backends: [" + canary +
      "]}\nroutes: [{path: /, split: {" + weights + "}}]\n");
}
std::string entry(const std::string& id, const Origin& origin, const std::string& more = "") {
  return "{id: " + id + ", address: " + origin.address() + more + "}";
}

TEST(Split, NoSessionBeginsInAPoolWithNobodyInService) {
  Origin a(named("a")), b(named("b"));
  for (const std::string wish : {", admin: maint", ", admin: drain", ", weight: 0"}) {
    Remora remora(config(entry("a", a, wish), entry("b", b)));
    for (int i = 0; i < 30; ++i) EXPECT_EQ(remora.ask(get("/")).field("X-Backend"), "b") << wish;
  }
  Remora none(config(entry("a", a, ", admin: maint"), entry("b", b, ", admin: maint")));
  EXPECT_EQ(none.ask(get("/")).status, 503);
}

TEST(Split, ASessionOfAPoolThatIsWhollyDownGoesOnInItsSisterAndStaysThere) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config(entry("a", a), entry("b", b)));
  Browser jar = begin_at(remora.port(), "a");
  const Browser before = jar;
  remora.wish("a", "maint");
  const Reply moved = jar.ask(remora);
  EXPECT_EQ(moved.status, 200);
  EXPECT_EQ(moved.field("X-Backend"), "b");
  EXPECT_NE(moved.field("X-Session").find("epoch=2;reason=failover"), std::string::npos) << moved.head;
  EXPECT_EQ(moved.field("X-Cookie"), "");
  EXPECT_EQ(jar.cookies.size(), 1U);
  EXPECT_TRUE(jar.cookies.contains("remora-canary"));
  for (int i = 0; i < 5; ++i) {  // parallel requests that still carry the former token
    Browser old = before;
    const Reply r = old.ask(remora);
    EXPECT_EQ(r.field("X-Backend"), "b");
    EXPECT_NE(r.field("X-Session").find("epoch=2;"), std::string::npos) << r.head;
  }
  remora.wish("a", "ready");
  for (int i = 0; i < 5; ++i) {
    const Reply r = jar.ask(remora);
    EXPECT_EQ(r.field("X-Backend"), "b");
    EXPECT_NE(r.field("X-Session").find("epoch=2;reason=sticky"), std::string::npos) << r.head;
    Browser old = before;
    EXPECT_EQ(old.ask(remora).field("X-Backend"), "b");
  }
}

TEST(Split, ASisterIsAskedWhenConnectionsAreRefusedToo) {
  auto a = std::make_unique<Origin>(named("a"));
  Origin b(named("b"));
  Remora remora(config(entry("a", *a), entry("b", b)));
  Browser jar = begin_at(remora.port(), "a");
  a.reset();
  const Reply moved = jar.ask(remora);
  EXPECT_EQ(moved.field("X-Backend"), "b");
  EXPECT_NE(moved.field("X-Session").find("epoch=2;reason=failover"), std::string::npos) << moved.head;
  for (int i = 0; i < 30; ++i) EXPECT_EQ(remora.ask(get("/")).field("X-Backend"), "b");
}

/// Keeps what it is told under the session's id as its state, and says what it was given.
Origin::Script keeps_state(const std::string& name) {
  return answering([name](const std::string& head, const std::string&) {
    std::string fields = "X-Backend: " + name + "\r\nX-Given: " + field_of(head, "Remora-State") +
                         "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n";
    if (const std::string said = field_of(head, "X-Keep"); !said.empty())
      fields += "Remora-State: " + said + "\r\n";
    return ok(name, fields);
  });
}

TEST(Split, ItsStateComesAlongThereAndBackAgain) {
  Origin a(keeps_state("a")), b(keeps_state("b"));
  Remora remora(config(entry("a", a), entry("b", b), "cookie, session: {state: {save: sync}}"));
  Browser jar = begin_at(remora.port(), "a");
  const auto go_on = [&](const std::string& from, const std::string& to, const std::string& given,
                         const std::string& keep) {
    const std::string there =
        "/api/v1/pools/" + std::string(from == "a" ? "app" : "canary") + "/backends/" + from;
    ASSERT_EQ(remora.api("PATCH", there, R"({"admin":"maint"})").status, 200);
    const Reply r = jar.ask(remora);
    EXPECT_EQ(r.field("X-Backend"), to);
    EXPECT_EQ(r.field("X-Given"), given) << r.head;
    EXPECT_EQ(jar.ask(remora, "X-Keep: " + keep + "\r\n").field("X-Backend"), to);
    EXPECT_EQ(jar.ask(remora).field("X-Given"), "");  // it has it
    ASSERT_EQ(remora.api("PATCH", there, R"({"admin":"ready"})").status, 200);
  };
  jar.ask(remora, "X-Keep: Zmlyc3Q=\r\n");
  go_on("a", "b", "Zmlyc3Q=", "c2Vjb25k");
  go_on("b", "a", "c2Vjb25k", "dGhpcmQ=");
  go_on("a", "b", "dGhpcmQ=", "Zm91cnRo");
}

/// Gives its session an id of its own, in a cookie and in a field, unless it has one; ends it, or clears its
/// cookie.
Origin::Script with_own_ids(const std::string& name) {
  return answering([name, next = std::make_shared<std::atomic<int>>(0)](const std::string& head,
                                                                        const std::string&) {
    std::string fields = "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n";
    const std::string wanted = field_of(head, "X-Do");
    if (wanted == "begin") {
      const std::string id = name + std::to_string(++*next);
      fields += "Set-Cookie: SID=" + id + "; Path=/\r\nX-App: " + id + "\r\n";
    }
    if (wanted == "end") fields += "Remora-Session-Control: end\r\n";
    if (wanted == "clear") fields += "Set-Cookie: SID=; Path=/; Max-Age=0\r\n";
    return ok(name, fields);
  });
}

const char* const by_app_cookie = "{kind: app_cookie, name: SID}";
const char* const by_header = "{kind: header, name: X-App, learn: true}";

/// A client that says the app's id both ways.
struct OwnId {
  std::string id;
  Reply ask(const Remora& remora, const std::string& wanted = "") const {
    std::string fields = id.empty() ? "" : "Cookie: SID=" + id + "\r\nX-App: " + id + "\r\n";
    if (!wanted.empty()) fields += "X-Do: " + wanted + "\r\n";
    return remora.ask(get("/", fields));
  }
};

OwnId own_id_at(const Remora& remora, const std::string& backend) {
  for (int i = 0; i < 200; ++i) {
    const Reply r = OwnId().ask(remora, "begin");
    if (r.field("X-Backend") == backend) return {r.field("X-App")};
  }
  ADD_FAILURE() << "no session began at " << backend;
  return {};
}

std::string id_in(const Reply& r) {
  return r.field("X-Session").substr(0, 34);
}

void wish(const Remora& remora, const std::string& backend, const std::string& wanted) {
  const std::string pool = backend == "a" ? "app" : "canary";
  ASSERT_EQ(
      remora.api("PATCH", "/api/v1/pools/" + pool + "/backends/" + backend, R"({"admin":")" + wanted + "\"}")
          .status,
      200);
}

TEST(Split, ASisterLearnsTheAppsIdThereAndBackAgain) {
  for (const std::string kind : {by_app_cookie, by_header}) {
    Origin a(with_own_ids("a")), b(with_own_ids("b"));
    Remora remora(config(entry("a", a), entry("b", b), kind));
    const OwnId user = own_id_at(remora, "a");
    const std::string id = id_in(user.ask(remora));
    int epoch = 1;
    for (const std::string from : {"a", "b", "a"}) {
      const std::string to = from == "a" ? "b" : "a";
      wish(remora, from, "maint");
      const Reply moved = user.ask(remora);
      EXPECT_EQ(moved.field("X-Backend"), to) << kind;
      EXPECT_EQ(moved.field("X-Session"), id + ";epoch=" + std::to_string(++epoch) + ";reason=failover");
      wish(remora, from, "ready");
      for (int i = 0; i < 3; ++i)
        EXPECT_EQ(user.ask(remora).field("X-Session"),
                  id + ";epoch=" + std::to_string(epoch) + ";reason=sticky")
            << kind;
    }
  }
}

TEST(Split, ALearnedSessionThatEndedInTheSisterIsNotFoundInItsFormerPool) {
  for (const std::string kind : {by_app_cookie, by_header})
    for (const std::string how : {"end", "clear"})
      for (const bool at_once : {false, true}) {
        if (how == "clear" && kind == by_header) continue;
        Origin a(with_own_ids("a")), b(with_own_ids("b"));
        Remora remora(config(entry("a", a), entry("b", b), kind));
        const OwnId user = own_id_at(remora, "a");
        const std::string id = id_in(user.ask(remora));
        wish(remora, "a", "maint");
        if (!at_once) {
          EXPECT_EQ(id_in(user.ask(remora)), id);
        }
        EXPECT_EQ(id_in(user.ask(remora, how)), id);
        EXPECT_NE(id_in(user.ask(remora)), id) << kind << " " << how << " " << at_once;
        wish(remora, "a", "ready");
        for (int i = 0; i < 10; ++i)
          EXPECT_NE(id_in(user.ask(remora)), id) << kind << " " << how << " " << at_once;
      }
}

TEST(Split, AnEndClearsTheTokensOfBothPools) {
  Origin a(with_own_ids("a")), b(with_own_ids("b"));
  Remora remora(config(entry("a", a), entry("b", b)));
  Browser jar = begin_at(remora.port(), "a");
  wish(remora, "a", "maint");
  const Reply r = jar.ask(remora, "X-Do: end\r\n");
  EXPECT_EQ(r.field("X-Backend"), "b");
  EXPECT_EQ(jar.cookies.size(), 0U) << r.head;
}

TEST(Split, ARejectionClearsTheTokensOfBothPools) {
  Origin a(named("a")), b(named("b"));
  std::string yaml = config(entry("a", a), entry("b", b));
  yaml.insert(yaml.find(", backends", yaml.find("canary: {affinity")), ", session: {on_lost: reject}");
  Remora remora(yaml);
  Browser jar = begin_at(remora.port(), "a");
  Browser old = jar;
  wish(remora, "a", "maint");
  EXPECT_EQ(jar.ask(remora).field("X-Backend"), "b");
  wish(remora, "b", "maint");
  const Reply r = old.ask(remora);
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(old.cookies.size(), 0U) << r.head;
}

TEST(Split, ASisterRejectsAnUnknownIdAlsoWhereItIsAskedLast) {
  auto a = std::make_unique<Origin>(named("a"));
  Origin b(named("b"));
  std::string yaml = config(entry("a", *a), entry("b", b), "cookie", "app: 1000, canary: 1");
  const std::string kind = "{kind: app_cookie, name: SID, on_unknown: reject}";
  yaml.replace(yaml.find("cookie", yaml.find("canary: {affinity")), 6, kind);
  Remora remora(yaml);
  a.reset();
  for (int i = 0; i < 10; ++i) {
    const Reply r = remora.ask(get("/", "Cookie: SID=unknown\r\n"));
    EXPECT_EQ(r.status, 503);
    EXPECT_EQ(r.field("X-Backend"), "");
  }
  EXPECT_EQ(remora.ask(get("/")).field("X-Backend"), "b");
}

TEST(Split, ADrainedPoolKeepsItsSessions) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config(entry("a", a), entry("b", b)));
  Browser jar = begin_at(remora.port(), "a");
  remora.wish("a", "drain");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(jar.ask(remora).field("X-Backend"), "a");
}

TEST(Split, AHashIsServedByTheSisterWhileItsPoolIsDown) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config(entry("a", a, ", admin: maint"), entry("b", b), "ip_hash"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/")).field("X-Backend"), "b");
}

TEST(Split, OnLostRejectMovesNobody) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config(entry("a", a), entry("b", b), "cookie, session: {on_lost: reject}"));
  Browser jar = begin_at(remora.port(), "a");
  remora.wish("a", "maint");
  EXPECT_EQ(jar.ask(remora).status, 503);
}

}  // namespace
}  // namespace remora::test
