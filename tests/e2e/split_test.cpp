// The pools of a split: who begins sessions there, and where they go on when nobody of their pool is left.

#include <gtest/gtest.h>

#include <map>

#include "support/remora.h"

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

/// What a browser would hold after these answers.
struct Jar {
  std::map<std::string, std::string> cookies;
  Reply ask(const Remora& remora, const std::string& fields = "") {
    std::string line;
    for (const auto& [name, value] : cookies) line += (line.empty() ? "Cookie: " : "; ") + name + "=" + value;
    const Reply r = remora.ask(get("/", fields + (line.empty() ? "" : line + "\r\n")));
    for (std::size_t at = 0; (at = r.head.find("Set-Cookie: ", at)) != std::string::npos;) {
      at += 12;
      const std::string cookie = r.head.substr(at, r.head.find('\r', at) - at);
      const std::string name = cookie.substr(0, cookie.find('='));
      if (cookie.find("Max-Age=0") != std::string::npos)
        cookies.erase(name);
      else
        cookies[name] = cookie.substr(name.size() + 1, cookie.find(';') - name.size() - 1);
    }
    return r;
  }
};

Jar session_at(const Remora& remora, const std::string& backend) {
  for (int i = 0; i < 200; ++i) {
    Jar jar;
    if (jar.ask(remora).field("X-Backend") == backend) return jar;
  }
  ADD_FAILURE() << "no session began at " << backend;
  return {};
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
  Jar jar = session_at(remora, "a");
  const Jar before = jar;
  remora.wish("a", "maint");
  const Reply moved = jar.ask(remora);
  EXPECT_EQ(moved.status, 200);
  EXPECT_EQ(moved.field("X-Backend"), "b");
  EXPECT_NE(moved.field("X-Session").find("epoch=2;reason=failover"), std::string::npos) << moved.head;
  EXPECT_EQ(moved.field("X-Cookie"), "");
  EXPECT_EQ(jar.cookies.size(), 1U);
  EXPECT_TRUE(jar.cookies.contains("remora-canary"));
  for (int i = 0; i < 5; ++i) {  // parallel requests that still carry the former token
    Jar old = before;
    const Reply r = old.ask(remora);
    EXPECT_EQ(r.field("X-Backend"), "b");
    EXPECT_NE(r.field("X-Session").find("epoch=2;"), std::string::npos) << r.head;
  }
  remora.wish("a", "ready");
  for (int i = 0; i < 5; ++i) {
    const Reply r = jar.ask(remora);
    EXPECT_EQ(r.field("X-Backend"), "b");
    EXPECT_NE(r.field("X-Session").find("epoch=2;reason=sticky"), std::string::npos) << r.head;
    Jar old = before;
    EXPECT_EQ(old.ask(remora).field("X-Backend"), "b");
  }
}

TEST(Split, ASisterIsAskedWhenConnectionsAreRefusedToo) {
  auto a = std::make_unique<Origin>(named("a"));
  Origin b(named("b"));
  Remora remora(config(entry("a", *a), entry("b", b)));
  Jar jar = session_at(remora, "a");
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
  Jar jar = session_at(remora, "a");
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

TEST(Split, ADrainedPoolKeepsItsSessions) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config(entry("a", a), entry("b", b)));
  Jar jar = session_at(remora, "a");
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
  Jar jar = session_at(remora, "a");
  remora.wish("a", "maint");
  EXPECT_EQ(jar.ask(remora).status, 503);
}

}  // namespace
}  // namespace remora::test
