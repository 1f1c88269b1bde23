// Rooms (`max_sessions`) with real connections and workers, and how operators see them.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "support/http2_peer.h"
#include "support/site.h"

namespace remora::test {
namespace {

const char* const by_cookie = "affinity: cookie\n";
const char* const by_app_cookie = "affinity: {kind: app_cookie, name: SID}\n";

std::string rooms(const Site& site, std::map<std::string, int> limits, const std::string& pool) {
  std::vector<std::string> backends;
  for (const auto& [id, n] : limits)
    backends.push_back("{id: " + id + ", address: " + site.address(id) +
                       (n > 0 ? ", max_sessions: " + std::to_string(n) : "") + "}");
  return with_admin(simple_config(backends, pool, "h2c: on\n"));
}

TEST(Rooms, AreNeverOverfilledHoweverManyComeAtOnce) {
  for (const char* kind : {by_cookie, by_app_cookie}) {
    Site site(3);
    Remora remora(rooms(site, {{"a", 10}, {"b", 20}, {"c", 30}}, kind));
    std::mutex mutex;
    std::map<std::string, int> homes;
    std::vector<std::pair<Browser, std::string>> users;
    int refused = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) {
          Browser browser;
          const Reply r = browser.get(remora, "/login");
          const std::lock_guard lock(mutex);
          if (r.status == 200) {
            ++homes[r.field("X-Backend")];
            users.emplace_back(browser, r.field("X-Backend"));
          } else {
            EXPECT_EQ(r.status, 503);
            EXPECT_EQ(r.field("Retry-After"), "10");
            ++refused;
          }
        }
      });
    for (auto& t : threads) t.join();
    EXPECT_EQ(homes, (std::map<std::string, int>{{"a", 10}, {"b", 20}, {"c", 30}})) << kind;
    EXPECT_EQ(refused, 20) << kind;
    for (auto& [browser, home] : users) EXPECT_EQ(browser.get(remora).field("X-Backend"), home);
    EXPECT_EQ(remora.metric("remora_no_room_total{pool=\"app\"}"), 20);
    EXPECT_EQ(remora.metric("remora_backend_max_sessions{pool=\"app\",backend=\"b\"}"), 20);
    EXPECT_EQ(remora.metric("remora_backend_room{pool=\"app\",backend=\"b\"}"), 0);
  }
}

TEST(Rooms, AreSeenInStatusApiAndExplanations) {
  Site site(2);
  Remora remora(rooms(site, {{"a", 2}, {"b", 0}}, by_cookie));
  Browser first = begin_at(remora.port(), "a");
  EXPECT_EQ(remora.backend("a", "max_sessions"), "2");
  EXPECT_EQ(remora.backend("a", "room"), "1");
  EXPECT_EQ(remora.backend("b", "max_sessions"), "");
  begin_at(remora.port(), "a");
  EXPECT_EQ(remora.backend("a", "room"), "0");
  EXPECT_NE(remora.command({"status"}).output.find("2+ of 2"), std::string::npos)
      << remora.command({"status"}).output;
  const Ran said = remora.command({"explain", "http://x/"});
  EXPECT_NE(said.output.find("2 of 2 sessions): no room for another session"), std::string::npos)
      << said.output;
  EXPECT_NE(said.output.find("backend: b"), std::string::npos) << said.output;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(begin(remora.port()).second, "b");
  EXPECT_EQ(first.get(remora, "/control/end").status, 200);
  EXPECT_EQ(remora.backend("a", "room"), "1");
}

TEST(Rooms, SurviveAReloadAndAHotRestart) {
  for (const char* kind : {by_cookie, by_app_cookie}) {
    Site site(2);
    Remora remora(rooms(site, {{"a", 5}, {"b", 5}}, kind));
    std::vector<std::pair<Browser, std::string>> users;
    for (int i = 0; i < 10; ++i) {
      Browser browser;
      const Reply r = browser.get(remora, "/login");
      ASSERT_EQ(r.status, 200) << kind << i;
      users.emplace_back(browser, r.field("X-Backend"));
    }
    ASSERT_TRUE(remora.reload(rooms(site, {{"a", 2}, {"b", 5}}, kind)));
    EXPECT_EQ(Browser().get(remora, "/login").status, 503);
    for (auto& [browser, home] : users) EXPECT_EQ(browser.get(remora).field("X-Backend"), home);
    ASSERT_TRUE(remora.upgrade());
    EXPECT_EQ(Browser().get(remora, "/login").status, 503) << kind;
    for (auto& [browser, home] : users) EXPECT_EQ(browser.get(remora).field("X-Backend"), home);
    ASSERT_TRUE(remora.reload(rooms(site, {{"a", 2}, {"b", 6}}, kind)));
    EXPECT_EQ(Browser().get(remora, "/login").field("X-Backend"), "b") << kind;
    EXPECT_EQ(Browser().get(remora, "/login").status, 503) << kind;
  }
}

TEST(Rooms, ABackendsDeathLosesNobody) {
  Site site(3);
  Remora remora(rooms(site, {{"a", 3}, {"b", 3}, {"c", 3}}, by_app_cookie));
  std::vector<Browser> users(9);
  for (Browser& user : users) ASSERT_EQ(user.get(remora, "/login").status, 200);
  site.stop("a");
  for (Browser& user : users) {
    const Reply r = user.get(remora);
    EXPECT_EQ(r.status, 200);
    EXPECT_NE(r.field("X-Backend"), "a");
  }
  EXPECT_GE(Browser().get(remora, "/login").status, 502);  // only a, which is dead, has room
}

TEST(Rooms, ARefusalByHttp2SaysTheSame) {
  Site site(1);
  Remora remora(
      rooms(site, {{"a", 1}}, "affinity: cookie\nsession: {no_room: {status: 503, body: full house}}\n"));
  Http2Client client(remora.port());
  EXPECT_EQ(client.get("/").status, 200);
  const Http2Peer::Response full = client.get("/");
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.body, "full house");
  EXPECT_EQ(full.field("retry-after"), "10");
}

// A server that is still being tested gets no session, and one that joins gets few at first.
TEST(Newcomers, AreTestedBeforeASessionBeginsThere) {
  Site site(2);
  Origin silent([](Socket& s) {  // accepts connections and says nothing
    s.receive_until("never");
  });
  const std::string pool =
      "affinity: cookie\nhealth: {probe: {path: /, interval: 50ms, timeout: 30s}}\nfailover: {attempts: 1}\n";
  const auto config = [&](const std::string& more) {
    return with_admin(simple_config({"{id: a, address: " + site.address("a") + more}, pool));
  };
  Remora remora(config("}"));
  ASSERT_TRUE(remora.goes("a", "up"));
  ASSERT_TRUE(remora.reload(config("}, {id: new, address: " + silent.address() + "}")));
  EXPECT_EQ(remora.backend("new", "health"), "\"unknown\"");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(begin(remora.port()).second, "a");
}

}  // namespace
}  // namespace remora::test
