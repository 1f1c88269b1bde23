// Sessions that outlive an instance and an outage of the store: real Redis and Memcached, two instances of
// remora.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <mutex>

#include "store_app.h"
#include "support/events.h"

namespace remora::test {
namespace {

TEST(SharedSessions, BegunOnOneInstanceGoOnAtTheOtherAlsoWhenTheFirstIsKilled) {
  RedisServer redis;
  App a("a"), b("b"), c("c");
  const std::string yaml =
      config({a.address(), b.address(), c.address()}, redis_store(redis.port()), learned_pool);
  auto one = start(yaml), two = start(yaml);
  constexpr int users = 1000;
  std::vector<Browser> browsers(users);
  std::vector<std::string> homes;
  int moved = 0;
  for (Browser& user : browsers) {
    const Reply r = user.get(*one, "/login");
    ASSERT_EQ(r.status, 200);
    homes.push_back(r.body);
    if (user.get(*two, "/").body != r.body) ++moved;
  }
  EXPECT_EQ(moved, 0);
  one.reset();
  for (int i = 0; i < users; ++i)
    if (browsers[static_cast<std::size_t>(i)].get(*two, "/").body != homes[static_cast<std::size_t>(i)])
      ++moved;
  EXPECT_EQ(moved, 0);
}

TEST(SharedSessions, AMoveThatAnotherInstanceMadeIsSeenWithinTheCachesTime) {
  RedisServer redis;
  App a("a"), b("b");
  const std::string yaml =
      config({a.address(), b.address()}, redis_store(redis.port(), "cache_ttl: 200ms, "), learned_pool);
  auto one = start(yaml), two = start(yaml);
  Browser user;
  const std::string home = user.get(*one, "/login").body.substr(0, 1);
  EXPECT_EQ(user.get(*two, "/").body.substr(0, 1), home);
  const std::string id = home == "a" ? a.address() : b.address();
  one->wish(id, "maint");
  ASSERT_NE(user.get(*one, "/").body.substr(0, 1), home);
  EXPECT_TRUE(eventually([&] { return user.get(*two, "/").body.substr(0, 1) != home; }));
  EXPECT_NE((home == "a" ? b : a).last("Remora-Session").find("epoch=2"), std::string::npos);
}

TEST(SharedSessions, AStickyHitWithinTheCachesTimeAsksNobody) {
  RedisServer redis;
  App a("a"), b("b");
  auto one =
      start(config({a.address(), b.address()}, redis_store(redis.port(), "cache_ttl: 1h, "), learned_state));
  Browser user;
  user.get(*one, "/login");
  const auto commands = [&] {
    const std::string info = ask_store(redis.port(), "INFO stats");
    const auto at = info.find("total_commands_processed:");
    return std::atoi(info.c_str() + at + 25);
  };
  const int before = commands();
  for (int i = 0; i < 200; ++i) ASSERT_EQ(user.get(*one, "/").status, 200);
  EXPECT_LE(commands() - before, 2);  // the questions of this test
}

TEST(SharedSessions, ALogoutEndsItEverywhere) {
  RedisServer redis;
  App a("a"), b("b");
  const std::string yaml = config({a.address(), b.address()}, redis_store(redis.port(), "cache_ttl: 100ms, "),
                                  "affinity: {kind: app_cookie, name: SID, on_unknown: reject}\n");
  auto one = start(yaml), two = start(yaml);
  Browser user;
  ASSERT_EQ(user.get(*one, "/login").status, 200);
  const Browser before = user;
  ASSERT_EQ(user.get(*two, "/").status, 200);
  user.get(*one, "/logout");
  EXPECT_TRUE(eventually([&] {
    Browser old = before;
    old.get(*two, "/");
    return (a.last("Remora-Session") + b.last("Remora-Session")).find("reason=new") != std::string::npos;
  }));
}

class Outage : public testing::TestWithParam<bool> {};

TEST_P(Outage, OfTheStoreFailsNothingMovesNothingAndEndsWithEverythingWrittenBack) {
  const bool killed = GetParam();
  RedisServer redis;
  App a("a"), b("b"), c("c");
  const std::string yaml = config({a.address(), b.address(), c.address()},
                                  redis_store(redis.port(), "cache_ttl: 100ms, "), learned_pool);
  auto one = start(yaml), two = start(yaml);
  std::vector<Browser> browsers(60);
  std::vector<std::string> homes;
  for (Browser& user : browsers) homes.push_back(user.get(*one, "/login").body);
  Events events(*one);
  if (killed)
    redis.kill();
  else
    redis.freeze();
  int moved = 0, failed = 0;
  std::vector<Browser> born(20);  // sessions that begin meanwhile
  std::vector<std::string> born_homes;
  for (Browser& user : born) born_homes.push_back(user.get(*one, "/login").body);
  const auto end = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < end)
    for (std::size_t i = 0; i < browsers.size(); ++i) {
      const Reply r = browsers[i].get(*one, "/");
      if (r.status != 200) ++failed;
      if (r.body != homes[i]) ++moved;
    }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(moved, 0);
  if (killed)
    redis.start();  // empty
  else
    redis.thaw();
  // The other instance, which never saw them, finds all of them once the first has told the store again.
  EXPECT_TRUE(eventually([&] {
    for (std::size_t i = 0; i < browsers.size(); ++i) browsers[i].get(*one, "/");
    int wrong = 0;
    for (std::size_t i = 0; i < browsers.size(); ++i)
      if (browsers[i].get(*two, "/").body != homes[i]) ++wrong;
    for (std::size_t i = 0; i < born.size(); ++i)
      if (born[i].get(*two, "/").body != born_homes[i]) ++wrong;
    return wrong == 0;
  }));
  EXPECT_NE(events.next("store", {"\"available\":false"}), "");
  EXPECT_NE(events.next("store", {"\"available\":true"}), "");
  const std::string metrics = one->api("GET", "/metrics").body;
  EXPECT_NE(metrics.find("remora_store_operations_total{result=\"unavailable\"}"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Redis, Outage, testing::Bool(),
                         [](const auto& info) { return info.param ? "KilledAndStartedEmpty" : "Frozen"; });

TEST(Outage, UnderLoadWithLearnedAndTokenCarriedSessions) {
  for (const char* const pool : {learned_pool, "affinity: cookie\n"}) {
    RedisServer redis;
    App a("a"), b("b"), c("c");
    auto remora = start(config({a.address(), b.address(), c.address()},
                               redis_store(redis.port(), "cache_ttl: 200ms, "), pool));
    enum Phase : int { before, settling, during, after, over };
    std::atomic<int> phase{before}, failed{0}, moved{0}, asked{0};
    std::mutex mutex;
    std::vector<std::chrono::nanoseconds> took[over];
    std::vector<std::thread> clients;
    for (int t = 0; t < 4; ++t)
      clients.emplace_back([&] {
        std::vector<Browser> users(10);
        std::vector<std::string> homes;
        for (Browser& user : users) homes.push_back(user.get(*remora, "/login").body.substr(0, 1));
        std::vector<std::chrono::nanoseconds> mine[over];
        for (std::size_t i = 0; phase != over; i = (i + 1) % users.size()) {
          const int in = phase;
          const auto began = std::chrono::steady_clock::now();
          const Reply r = users[i].get(*remora, "/");
          mine[in].push_back(std::chrono::steady_clock::now() - began);
          ++asked;
          if (r.status != 200) ++failed;
          if (r.body.substr(0, 1) != homes[i]) ++moved;
          std::this_thread::sleep_for(1ms);
        }
        const std::lock_guard lock(mutex);
        for (int p = 0; p < over; ++p) took[p].insert(took[p].end(), mine[p].begin(), mine[p].end());
      });
    std::this_thread::sleep_for(500ms);
    redis.kill();
    phase = settling;
    std::this_thread::sleep_for(300ms);  // the first failures open the breaker
    phase = during;
    std::this_thread::sleep_for(3s);
    redis.start();
    phase = after;
    std::this_thread::sleep_for(1s);
    phase = over;
    for (auto& t : clients) t.join();
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(moved, 0);
    const auto p99 = [&](int p) {
      auto& all = took[p];
      std::sort(all.begin(), all.end());
      return all.empty() ? 0.0 : static_cast<double>(all[all.size() * 99 / 100].count()) / 1e6;
    };
    std::printf("%d requests; p99 before %.2f ms, while the store was away %.2f ms, after %.2f ms\n",
                asked.load(), p99(before), p99(during), p99(after));
  }
}

}  // namespace
}  // namespace remora::test
