// What live traffic shows: ejection by failed connections and by failed responses, slow start, panic.

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "support/events.h"
#include "support/process.h"
#include "support/site.h"

namespace remora::test {
namespace {

/// A backend that names itself and can be told to answer 503.
struct Moody {
  explicit Moody(const std::string& name)
      : origin(answering([this, name](const std::string& head, const std::string&) {
          ++asked;
          if (bad) return std::string("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
          return ok(name,
                    "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n");
        })) {}
  std::string entry(const std::string& id) const {
    return "{id: " + id + ", address: " + origin.address() + "}";
  }
  std::atomic<bool> bad{false};
  std::atomic<int> asked{0};
  Origin origin;
};

TEST(Ejection, ByFailedConnectionsCostsOneStreakAndThenNothing) {
  Moody b("b");
  const int dead = free_port();
  Remora remora(
      simple_config({"{id: a, address: 127.0.0.1:" + std::to_string(dead) + "}", b.entry("b")},
                    "balance: round_robin\nhealth: {eject: {consecutive_failures: 3, for: 60s}}\n"));
  Events events(remora);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
  ASSERT_NE(events.next("backend", {"\"backend\":\"a\"", "\"ejected\":\"all\"", "\"for_ms\":60000"}), "");
  const std::string attempts = remora.backend("a", "attempts");
  EXPECT_GE(std::atoi(attempts.c_str()), 3);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
  EXPECT_EQ(remora.backend("a", "attempts"), attempts);  // nobody tries it any more
}

TEST(Ejection, ByFailedAnswersTakesNoNewSessionsAndLogsNobodyOut) {
  Moody a("a"), b("b");
  Remora remora(simple_config({a.entry("a"), b.entry("b")},
                              "affinity: cookie\nhealth: {eject: {consecutive_failures: 3, for: 60s}}\n"));
  Browser bound = begin_at(remora.port(), "a");
  a.bad = true;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bound.get(remora.port()).status, 503);  // one bad URL, say
  ASSERT_TRUE(remora.backend_is("a", "ejected", "\"new_sessions\""));
  a.bad = false;
  EXPECT_EQ(bound.get(remora.port()).field("X-Backend"), "a");
  EXPECT_EQ(announced(bound.get(remora.port())).reason, "sticky");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(begin(remora.port()).second, "b");
}

TEST(Ejection, EndsByTimeAndBacksOff) {
  Moody a("a"), b("b");
  Remora remora(simple_config({a.entry("a"), b.entry("b")},
                              "balance: round_robin\nfailover: {attempts: 1}\n"
                              "health: {eject: {consecutive_failures: 3, for: 300ms}}\n"));
  Events events(remora);
  a.bad = true;
  for (int i = 0; i < 10; ++i) remora.ask(get("/"));
  ASSERT_NE(events.next("backend", {"\"backend\":\"a\"", "\"for_ms\":300,"}), "");
  ASSERT_NE(events.next("backend", {"\"backend\":\"a\"", "\"ejected\":\"no\""}), "");
  for (int i = 0; i < 10; ++i) remora.ask(get("/"));
  ASSERT_NE(events.next("backend", {"\"backend\":\"a\"", "\"for_ms\":600,"}), "");
  a.bad = false;
  ASSERT_NE(events.next("backend", {"\"backend\":\"a\"", "\"ejected\":\"no\""}), "");
  std::set<std::string> used;
  for (int i = 0; i < 10; ++i) used.insert(remora.ask(get("/")).field("X-Backend"));
  EXPECT_EQ(used, (std::set<std::string>{"a", "b"}));
}

TEST(Ejection, NeverTakesMoreThanItsShare) {
  Moody a("a"), b("b"), c("c");
  Remora remora(simple_config({a.entry("a"), b.entry("b"), c.entry("c")},
                              "balance: round_robin\nfailover: {attempts: 1}\n"
                              "health: {eject: {consecutive_failures: 2, for: 60s}}\n"));
  a.bad = b.bad = c.bad = true;
  for (int i = 0; i < 60; ++i) EXPECT_EQ(remora.ask(get("/")).status, 503);
  a.bad = b.bad = c.bad = false;
  std::set<std::string> used;
  for (int i = 0; i < 30; ++i) used.insert(remora.ask(get("/")).field("X-Backend"));
  EXPECT_EQ(used.size(), 2U);  // half of three, rounded down, is one
}

TEST(SlowStart, GivesABackendThatReturnsASmallShareAtFirst) {
  Moody a("a"), b("b");
  Remora remora(simple_config({a.entry("a"), b.entry("b")},
                              "balance: round_robin\nfailover: {attempts: 1}\n"
                              "health: {slow_start: 20s, eject: {consecutive_failures: 3, for: 200ms}}\n"));
  Events events(remora);
  a.bad = true;
  for (int i = 0; i < 10; ++i) remora.ask(get("/"));
  ASSERT_NE(events.next("backend", {"\"ejected\":\"no\""}), "");
  a.bad = false;
  const int before = a.asked;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
  const int share = a.asked - before;
  EXPECT_GT(share, 2);
  EXPECT_LT(share, 30);
}

TEST(SlowStart, IsForBackendsThatAreNewOrBackFromMaintenanceToo) {
  Moody a("a"), b("b"), c("c");
  const std::string pool = "balance: round_robin\nhealth: {slow_start: 60s}\n";
  Remora remora(with_admin(simple_config({a.entry("a"), b.entry("b")}, pool)));
  const auto share_of = [&](Moody& one) {
    const int before = one.asked;
    for (int i = 0; i < 100; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
    return one.asked - before;
  };
  EXPECT_NEAR(share_of(a), 50, 5);  // those that a pool began with are all as cold
  remora.wish("a", "maint");
  remora.wish("a", "ready");
  const int of_a = share_of(a);
  EXPECT_GT(of_a, 2);
  EXPECT_LT(of_a, 30);
  ASSERT_TRUE(remora.reload(with_admin(simple_config({a.entry("a"), b.entry("b"), c.entry("c")}, pool))));
  const int of_c = share_of(c);
  EXPECT_GT(of_c, 1);
  EXPECT_LT(of_c, 30);
}

TEST(Panic, UsesAllRatherThanTheFewThatProbesLike) {
  Moody a("a"), b("b"), c("c");
  a.bad = b.bad = true;
  Remora remora(
      simple_config({a.entry("a"), b.entry("b"), c.entry("c")},
                    "balance: round_robin\nfailover: {attempts: 1}\n"
                    "health: {probe: {path: /, interval: 50ms, fall: 1}, eject: off, panic: 50%}\n"));
  ASSERT_TRUE(remora.goes("a", "down"));
  ASSERT_TRUE(remora.goes("b", "down"));
  int served = 0, failed = 0;
  for (int i = 0; i < 30; ++i) ++(remora.ask(get("/")).status == 200 ? served : failed);
  EXPECT_NEAR(served, 10, 2);  // each worker has a round of its own
  EXPECT_NEAR(failed, 20, 2);
}

}  // namespace
}  // namespace remora::test
