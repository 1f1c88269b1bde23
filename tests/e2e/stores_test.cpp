// Sessions that outlive a server and an instance: real Redis and Memcached, two instances of remora, apps
// that keep their sessions in memory and hand their state over.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "support/events.h"
#include "support/site.h"
#include "support/stores.h"
#include "util/text.h"

namespace remora::test {
namespace {

/// An app that keeps sessions in its memory, by its own cookie, and hands their state over: /set?VALUE keeps
/// it, / shows it with where it came from.
class App {
 public:
  explicit App(std::string name, int port = 0)
      : name_(std::move(name)), origin_([this](Socket& s) { serve(s); }, port) {}
  std::string address() const { return origin_.address(); }
  int port() const { return origin_.port(); }
  void stop() { origin_.stop(); }
  std::string last(const std::string& field) {
    const std::lock_guard lock(mutex_);
    return field_of(head_, field);
  }
  int asked() const { return asked_; }
  int waiting() const { return waiting_; }
  std::atomic<int> delay_ms{0};

 private:
  void serve(Socket& s) {
    answering([this](const std::string& head, const std::string&) { return answer(head); })(s);
  }
  std::string answer(const std::string& head) {
    ++asked_;
    if (head.find("/slow") != std::string::npos) {
      ++waiting_;
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
      --waiting_;
    }
    const std::lock_guard lock(mutex_);
    head_ = head;
    const std::string path = head.substr(4, head.find(' ', 4) - 4);
    std::string cookie = field_of(head, "Cookie"), fields, id;
    if (const auto at = cookie.find("SID="); at != std::string::npos)
      id = cookie.substr(at + 4, cookie.find(';', at) - at - 4);
    const std::string session = field_of(head, "Remora-Session");
    const std::string ours = session.substr(0, 34);  // the stable id
    std::string key = id.empty() ? ours : id;
    if (const std::string state = field_of(head, "Remora-State"); !state.empty())
      sessions_[key] = base64_decode(state).value_or("BROKEN");
    if (path.rfind("/login", 0) == 0) {
      key = id = name_ + std::to_string(++ids_);
      fields += "Set-Cookie: SID=" + id + "; Path=/\r\n";
      sessions_[id] = "user of " + id;
      fields += "Remora-State: " + base64_encode(sessions_[id]) + "\r\n";
    } else if (const auto q = path.find("/set?"); q != std::string::npos) {
      sessions_[key] = path.substr(q + 5);
      fields += "Remora-State: " + base64_encode(sessions_[key]) + "\r\n";
    } else if (const auto slow = path.find("/slow?"); slow != std::string::npos) {
      fields += "Remora-State: " + base64_encode(path.substr(slow + 6)) + "\r\n";
    } else if (path.rfind("/raw?", 0) == 0) {
      fields += "Remora-State: " + path.substr(5) + "\r\n";
    } else if (path == "/trailer") {
      return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nRemora-State: " +
             base64_encode("by trailer") + "\r\n\r\n";
    } else if (path == "/logout") {
      fields += "Remora-Session-Control: end\r\n";
    } else if (path == "/renew") {
      fields += "Remora-Session-Control: renew\r\n";
    }
    return ok(name_ + ":" + sessions_[key], fields);
  }

  const std::string name_;
  std::mutex mutex_;
  std::map<std::string, std::string> sessions_;
  std::string head_;
  int ids_ = 0;
  std::atomic<int> asked_{0}, waiting_{0};
  Origin origin_;
};

std::string config(const std::vector<std::string>& backends, const std::string& store,
                   const std::string& pool) {
  return with_admin(simple_config(backends, pool, "", store + "log: {access: off}\n"));
}

std::unique_ptr<Remora> start(const std::string& yaml) {
  return std::make_unique<Remora>(yaml, std::vector<std::string>{"TEST_INDEX=an index key of tests"});
}

std::string redis_store(int port, const std::string& more = "") {
  return "store: {kind: redis, index_key: {env: TEST_INDEX}, " + more +
         "redis: {nodes: [\"redis://127.0.0.1:" + std::to_string(port) + "\"]}}\n";
}

std::string memcached_store(int port) {
  return "store: {kind: memcached, index_key: {env: TEST_INDEX}, memcached: {nodes: [\"127.0.0.1:" +
         std::to_string(port) + "\"]}}\n";
}

/// Health by traffic alone would do, but a dead backend should be known before the next request.
const char* const learned_pool = "affinity: {kind: app_cookie, name: SID}\n";
const char* const learned_state = "affinity: {kind: app_cookie, name: SID}\nsession: {state: {save: sync}}\n";
const char* const issued_state = "affinity: cookie\nsession: {state: {save: sync}}\n";

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

TEST(Outage, UnderLoadOfTenSecondsWithLearnedAndTokenCarriedSessions) {
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
    std::this_thread::sleep_for(2s);
    redis.kill();
    phase = settling;
    std::this_thread::sleep_for(300ms);  // the first failures open the breaker
    phase = during;
    std::this_thread::sleep_for(9700ms);
    redis.start();
    phase = after;
    std::this_thread::sleep_for(2s);
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

// Hand-off ------------------------------------------------------------------------------------------

struct HandOffKind {
  std::string name;
  const char* pool;
  std::string (*store)(RedisServer&, MemcachedServer&);
};

class HandOff : public testing::TestWithParam<HandOffKind> {
 protected:
  std::unique_ptr<Remora> start_with(const std::vector<std::string>& backends, const std::string& pool = "") {
    return start(
        config(backends, GetParam().store(redis_, memcached_), pool.empty() ? GetParam().pool : pool));
  }
  RedisServer redis_;
  MemcachedServer memcached_;
};

TEST_P(HandOff, AServersDeathLogsNobodyOutAndTheStateArrivesByteForByte) {
  auto a = std::make_unique<App>("a"), b = std::make_unique<App>("b");
  auto remora = start_with({a->address(), b->address()});
  std::vector<Browser> users(100);
  for (std::size_t i = 0; i < users.size(); ++i) {
    users[i].get(*remora, "/login");
    users[i].get(*remora, "/set?cart-" + std::to_string(i) + "%01%ff");
  }
  a->stop();
  int lost = 0;
  for (std::size_t i = 0; i < users.size(); ++i) {
    const Reply r = users[i].get(*remora, "/");
    const std::string wanted = "b:cart-" + std::to_string(i) + "%01%ff";
    if (r.status == 200 && r.body == wanted) continue;
    if (lost++ == 0) ADD_FAILURE() << r.status << " " << r.body << " instead of " << wanted;
  }
  EXPECT_EQ(lost, 0);
  // It is given once.
  Browser& last = users.back();
  last.get(*remora, "/");
  EXPECT_EQ(b->last("Remora-State"), "");
}

TEST_P(HandOff, AZombiesLateSaveLoses) {
  App a("a"), b("b");
  a.delay_ms = b.delay_ms = 1200;
  auto remora = start_with({a.address(), b.address()});
  Browser user;
  user.get(*remora, "/login");
  const std::string home = user.get(*remora, "/set?first").body.substr(0, 1);
  Browser zombie = user;
  std::thread late([&] { zombie.get(*remora, "/slow?late"); });
  std::this_thread::sleep_for(300ms);
  const std::string id = home == "a" ? a.address() : b.address();
  remora->wish(id, "maint");
  EXPECT_EQ(user.get(*remora, "/").body.substr(1), ":first");
  EXPECT_EQ(user.get(*remora, "/set?second").body.substr(1), ":second");
  late.join();
  // Back to the first one: what it gets is the second's.
  remora->wish(id, "ready");
  const std::string other = home == "a" ? b.address() : a.address();
  remora->wish(other, "maint");
  EXPECT_EQ(user.get(*remora, "/").body, home + ":second");
  const std::string session = (home == "a" ? a : b).last("Remora-Session");
  EXPECT_NE(session.find("epoch=3;reason=maint;version="), std::string::npos) << session;
}

// A slow answer that was begun before the state was deleted does not bring it back.
TEST_P(HandOff, ADeletedStateIsNotBroughtBackByALateAnswer) {
  App a("a"), b("b");
  a.delay_ms = b.delay_ms = 700;
  auto remora = start_with({a.address(), b.address()});
  Browser user;
  user.get(*remora, "/login");
  const std::string home = user.get(*remora, "/set?anna").body.substr(0, 1);
  App &from = home == "a" ? a : b, &to = home == "a" ? b : a;
  Browser slow = user;
  std::thread late([&] { slow.get(*remora, "/slow?anna"); });
  EXPECT_TRUE(eventually([&] { return from.waiting() == 1; }));
  std::this_thread::sleep_for(10ms);  // before and after are told apart by milliseconds
  user.get(*remora, "/raw?");         // the logout
  late.join();
  remora->wish(from.address(), "maint");
  user.get(*remora, "/");
  EXPECT_EQ(to.last("Remora-State"), "");
  EXPECT_NE(to.last("Remora-Session").find(";state=none"), std::string::npos) << to.last("Remora-Session");
}

TEST_P(HandOff, ATrailersStateIsKeptToo) {
  App a("a"), b("b");
  auto remora = start_with({a.address(), b.address()});
  Browser user;
  user.get(*remora, "/login");
  const Reply r = user.get(*remora, "/trailer");
  EXPECT_EQ(r.trailers.find("Remora"), std::string::npos);
  EXPECT_TRUE(eventually([&] {
    return remora->api("GET", "/metrics").body.find("remora_state_total{event=\"saved\"} 2") !=
           std::string::npos;
  }));
  const std::string home = user.get(*remora, "/").body.substr(0, 1);
  const std::string id = home == "a" ? a.address() : b.address();
  remora->wish(id, "maint");
  EXPECT_EQ(user.get(*remora, "/").body.substr(1), ":by trailer");
}

TEST_P(HandOff, WhatIsTooLargeOrNoBase64IsRefusedWholeAndHarmsNothing) {
  App a("a"), b("b");
  auto remora = start_with({a.address(), b.address()});
  Browser user;
  user.get(*remora, "/login");
  user.get(*remora, "/set?good");
  for (const std::string& bad :
       {base64_encode(std::string(4097, 'x')), std::string("no!base64"), std::string("QQ")}) {
    const Reply r = user.get(*remora, "/raw?" + bad);
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.field("Remora-State"), "");
  }
  const std::string home =
      user.get(*remora, "/raw?" + base64_encode(std::string(4096, 'y'))).body.substr(0, 1);
  const std::string id = home == "a" ? a.address() : b.address();
  remora->wish(id, "maint");
  EXPECT_EQ(user.get(*remora, "/").body.substr(2), std::string(4096, 'y'));
  const std::string metrics = remora->api("GET", "/metrics").body;
  EXPECT_NE(metrics.find("remora_state_total{event=\"too_large\"} 1"), std::string::npos);
  EXPECT_NE(metrics.find("remora_state_total{event=\"malformed\"} 2"), std::string::npos);
}

TEST_P(HandOff, AnEmptyFieldDeletesAndASingleByteIsKept) {
  App a("a"), b("b");
  auto remora = start_with({a.address(), b.address()});
  for (const bool deletes : {true, false}) {
    Browser user;
    user.get(*remora, "/login");
    user.get(*remora, "/set?kept");
    const std::string home = user.get(*remora, deletes ? "/raw?" : "/set?1").body.substr(0, 1);
    App &from = home == "a" ? a : b, &to = home == "a" ? b : a;
    remora->wish(from.address(), "maint");
    user.get(*remora, "/");
    EXPECT_EQ(to.last("Remora-State"), deletes ? "" : base64_encode("1"));
    EXPECT_NE(to.last("Remora-Session").find(deletes ? ";state=none" : ";version=3"), std::string::npos)
        << to.last("Remora-Session");
    remora->wish(from.address(), "ready");
  }
}

TEST_P(HandOff, ARenewedIdKeepsItsState) {
  App a("a"), b("b");
  auto remora = start_with({a.address(), b.address()});
  Browser user;
  user.get(*remora, "/login");
  const std::string home = user.get(*remora, "/set?mine").body.substr(0, 1);
  ASSERT_EQ(user.get(*remora, "/renew").status, 200);
  const std::string id = home == "a" ? a.address() : b.address();
  remora->wish(id, "maint");
  EXPECT_EQ(user.get(*remora, "/").body.substr(1), ":mine");
}

TEST_P(HandOff, AClientCannotBringAState) {
  App a("a");
  auto remora = start_with({a.address()});
  remora->ask(get("/", "Remora-State: QUFB\r\nremora_state: QUFB\r\nRemora-State-Version: 9\r\n"));
  EXPECT_EQ(a.last("Remora-State") + a.last("remora_state") + a.last("Remora-State-Version"), "");
}

INSTANTIATE_TEST_SUITE_P(
    Stores, HandOff,
    testing::Values(HandOffKind{"issued_memory", issued_state,
                                [](RedisServer&, MemcachedServer&) { return std::string(); }},
                    HandOffKind{"learned_memory", learned_state,
                                [](RedisServer&, MemcachedServer&) { return std::string(); }},
                    HandOffKind{"issued_redis", issued_state,
                                [](RedisServer& r, MemcachedServer&) { return redis_store(r.port()); }},
                    HandOffKind{"learned_redis", learned_state,
                                [](RedisServer& r, MemcachedServer&) { return redis_store(r.port()); }},
                    HandOffKind{"issued_memcached", issued_state,
                                [](RedisServer&, MemcachedServer& m) { return memcached_store(m.port()); }},
                    HandOffKind{"learned_memcached", learned_state,
                                [](RedisServer&, MemcachedServer& m) { return memcached_store(m.port()); }}),
    [](const auto& info) { return info.param.name; });

/// Two pools of a split, each with one backend.
std::string split_config(const App& a, const App& b, const std::string& store, const std::string& pool) {
  return with_admin(
      "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\nlisteners: "
      "[127.0.0.1:0]\n" +
      store + "pools:\n  app: {" + pool + ", backends: [{id: a, address: " + a.address() +
      "}]}\n  canary: {" + pool + ", backends: [{id: b, address: " + b.address() +
      "}]}\nroutes: [{path: /, split: {app: 1000, canary: 1}}]\n");
}

Browser state_at_a(const Remora& remora) {
  for (int i = 0; i < 50; ++i) {
    Browser user;
    if (user.get(remora, "/set?kept").body == "a:kept") return user;
  }
  ADD_FAILURE() << "no session began at a";
  return {};
}

std::vector<std::string> redis_keys(int port) {
  std::vector<std::string> lines, keys;
  std::string all = ask_store(port, "KEYS *");
  for (std::size_t at = 0, end; (end = all.find("\r\n", at)) != std::string::npos; at = end + 2)
    lines.push_back(all.substr(at, end - at));
  for (std::size_t i = 2; i < lines.size(); i += 2) keys.push_back(lines[i]);
  return keys;
}

TEST(HandOffInASplit, AStateThatCannotBeReadIsNotSaidToBeNone) {
  for (const bool rejects : {false, true}) {
    RedisServer redis;
    App a("a"), b("b");
    auto remora =
        start(split_config(a, b, redis_store(redis.port()),
                           std::string("affinity: cookie, session: {state: {save: sync, on_missing: ") +
                               (rejects ? "reject" : "continue") + "}}"));
    Browser user = state_at_a(*remora);
    for (const std::string& key : redis_keys(redis.port())) {  // what the store answers is an error
      ask_store(redis.port(), "RENAME " + key + " kept-" + key);
      ask_store(redis.port(), "RPUSH " + key + " x");
    }
    remora->wish("a", "maint");
    const Reply r = user.get(*remora, "/");
    EXPECT_EQ(r.status, rejects ? 503 : 200);
    if (!rejects) {
      EXPECT_NE(b.last("Remora-Session").find("epoch=2;reason=failover;state=unavailable"), std::string::npos)
          << b.last("Remora-Session");
      continue;
    }
    EXPECT_EQ(b.asked(), 0);
    for (const std::string& key : redis_keys(redis.port()))
      if (key.rfind("kept-", 0) == 0) {
        ask_store(redis.port(), "DEL " + key.substr(5));
        ask_store(redis.port(), "RENAME " + key + " " + key.substr(5));
      }
    EXPECT_EQ(user.get(*remora, "/").body, "b:kept");  // later it comes along
  }
}

// Both instances know the session in its new pool, and its end, whichever of them served it there.
TEST(HandOffInASplit, AnotherInstanceFindsALearnedSessionInItsNewPoolAndItsEnd) {
  RedisServer redis;
  App a("a"), b("b");
  const std::string yaml =
      split_config(a, b, redis_store(redis.port(), "cache_ttl: 50ms, "),
                   "affinity: {kind: app_cookie, name: SID}, session: {state: {save: sync}}");
  auto one = start(yaml), two = start(yaml);
  Browser user;
  for (int i = 0; i < 50 && user.get(*one, "/login").body.front() != 'a'; ++i) user.cookies.clear();
  user.get(*one, "/set?kept");
  user.get(*two, "/");
  const std::string id = a.last("Remora-Session").substr(0, 34);
  for (const auto& remora : {one.get(), two.get()}) remora->wish("a", "maint");
  EXPECT_EQ(user.get(*one, "/").body, "b:kept");
  for (const auto& remora : {two.get(), one.get(), two.get()}) {
    std::this_thread::sleep_for(60ms);
    EXPECT_EQ(user.get(*remora, "/").body, "b:kept");
    EXPECT_EQ(b.last("Remora-Session").substr(0, 42), id + ";epoch=2");
  }
  for (const auto& remora : {one.get(), two.get()}) remora->wish("a", "ready");
  user.get(*two, "/set?more");
  EXPECT_EQ(user.get(*one, "/").body, "b:more");
  EXPECT_EQ(user.get(*two, "/logout").status, 200);
  for (const auto& remora : {one.get(), two.get()}) {
    const auto session = [&] {
      const int before = a.asked();
      user.get(*remora, "/");
      return (a.asked() > before ? a : b).last("Remora-Session").substr(0, 34);
    };
    EXPECT_TRUE(eventually([&] { return session() != id; }));
    for (int i = 0; i < 5; ++i) EXPECT_NE(session(), id);
  }
}

TEST(HandOffInASplit, AStoreThatDoesNotAnswerIsNotAStateThatIsNone) {
  RedisServer redis;
  App a("a"), b("b");
  auto remora = start(split_config(a, b, redis_store(redis.port()),
                                   "affinity: cookie, session: {state: {save: sync, on_missing: reject}}"));
  Browser user = state_at_a(*remora);
  redis.freeze();
  remora->wish("a", "maint");
  EXPECT_EQ(user.get(*remora, "/").status, 503);
  redis.thaw();
  EXPECT_TRUE(eventually([&] { return user.get(*remora, "/").status == 200; }));
  EXPECT_EQ(user.get(*remora, "/").body, "b:kept");
}

TEST(HandOffInASplit, ARenewedIdLeavesNothingInTheFormerPool) {
  App a("a"), b("b");
  auto remora = start(
      split_config(a, b, "", "affinity: {kind: app_cookie, name: SID}, session: {state: {save: sync}}"));
  Browser user;
  for (int i = 0; i < 50 && user.get(*remora, "/login").body.front() != 'a'; ++i) user.cookies.clear();
  user.get(*remora, "/set?kept");
  remora->wish("a", "maint");
  EXPECT_EQ(user.get(*remora, "/").body, "b:kept");
  const std::string former = b.last("Remora-Session").substr(0, 34);
  EXPECT_EQ(user.get(*remora, "/renew").body, "b:kept");
  user.get(*remora, "/");
  const std::string renewed = b.last("Remora-Session").substr(0, 34);
  EXPECT_NE(renewed, former);
  remora->wish("a", "ready");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(user.get(*remora, "/").body, "b:kept");
    EXPECT_EQ(b.last("Remora-Session").substr(0, 34), renewed);
  }
}

TEST(HandOffInASplit, ADeletedStateIsNone) {
  RedisServer redis;
  App a("a"), b("b");
  auto remora = start(split_config(a, b, redis_store(redis.port()),
                                   "affinity: cookie, session: {state: {save: sync, on_missing: reject}}"));
  Browser user = state_at_a(*remora);
  user.get(*remora, "/raw?");
  remora->wish("a", "maint");
  EXPECT_EQ(user.get(*remora, "/").status, 200);
  EXPECT_NE(b.last("Remora-Session").find(";state=none"), std::string::npos) << b.last("Remora-Session");
}

TEST(HandOffOfARenewedId, WaitsForTheStoreBeforeTheFormerRecordGoes) {
  RedisServer redis;
  App a("a");
  auto remora = start(config({a.address()}, redis_store(redis.port()), issued_state));
  Browser user;
  user.get(*remora, "/set?mine");
  const std::vector<std::string> keys = redis_keys(redis.port());
  ASSERT_EQ(keys.size(), 1U);
  const std::string before = ask_store(redis.port(), "STRLEN " + keys[0]);
  redis.freeze();
  EXPECT_EQ(user.get(*remora, "/renew").status, 200);
  redis.thaw();
  EXPECT_FALSE(eventually([&] { return ask_store(redis.port(), "STRLEN " + keys[0]) != before; }, 1500ms));
}

TEST(HandOffOfARenewedId, EndsTheFormerRecordAlsoAfterADeletion) {
  RedisServer redis;
  App a("a");
  auto remora = start(config({a.address()}, redis_store(redis.port()), issued_state));
  Browser user;
  user.get(*remora, "/set?mine");
  const std::vector<std::string> keys = redis_keys(redis.port());
  ASSERT_EQ(keys.size(), 1U);
  user.get(*remora, "/raw?");
  const std::string before = ask_store(redis.port(), "STRLEN " + keys[0]);
  EXPECT_EQ(user.get(*remora, "/renew").status, 200);
  // The mark of an end is shorter than that of a deletion.
  EXPECT_TRUE(eventually([&] { return ask_store(redis.port(), "STRLEN " + keys[0]) != before; }));
}

TEST(HandOffInMemory, OutlivesAnUpgrade) {
  auto a = std::make_unique<App>("a"), b = std::make_unique<App>("b");
  auto remora = start(config({a->address(), b->address()}, "", issued_state));
  Browser user;
  const std::string home = user.get(*remora, "/set?kept").body.substr(0, 1);
  ASSERT_TRUE(remora->upgrade());
  (home == "a" ? a : b)->stop();
  EXPECT_EQ(user.get(*remora, "/").body, std::string(home == "a" ? "b" : "a") + ":kept");
}

TEST(HandOffSealedWithAKeyThatIsGone, IsUnavailableAndCountedAndTheSessionGoesOn) {
  RedisServer redis;
  App a("a"), b("b");
  std::string yaml = config({a.address(), b.address()}, redis_store(redis.port()), learned_state);
  yaml.replace(yaml.find("REMORA_TEST_KEY"), 15, "TEST_KEY");
  const auto with_key = [](char of) {
    return std::vector<std::string>{"TEST_INDEX=an index key of tests",
                                    "TEST_KEY=" + base64_encode(std::string(32, of))};
  };
  Browser user;
  std::string home;
  {
    const Remora former(yaml, with_key('1'));
    home = user.get(former, "/login").body.substr(0, 1);
  }
  const Remora remora(yaml, with_key('2'));
  App &from = home == "a" ? a : b, &to = home == "a" ? b : a;
  remora.wish(from.address(), "maint");
  EXPECT_EQ(user.get(remora, "/").status, 200);
  EXPECT_NE(to.last("Remora-Session").find("epoch=2;reason=maint;state=unavailable"), std::string::npos)
      << to.last("Remora-Session");
  EXPECT_NE(remora.api("GET", "/metrics").body.find("remora_state_total{event=\"unreadable\"} 1"),
            std::string::npos);
  // What the new owner keeps is kept under the new key.
  user.get(remora, "/set?anew");
  remora.wish(from.address(), "ready");
  remora.wish(to.address(), "maint");
  EXPECT_EQ(user.get(remora, "/").body.substr(1), ":anew");
}

TEST(HandOffWithoutItsStore, SaysSoOrAnswers503ButNeverPretendsThatTheSessionIsNew) {
  for (const bool rejects : {false, true}) {
    RedisServer redis;
    App a("a"), b("b");
    auto remora = start(config({a.address(), b.address()}, redis_store(redis.port()),
                               std::string("affinity: cookie\nsession: {state: {on_missing: ") +
                                   (rejects ? "reject" : "continue") + "}}\n"));
    Browser user;
    const std::string home = user.get(*remora, "/set?x").body.substr(0, 1);
    redis.kill();
    const std::string id = home == "a" ? a.address() : b.address();
    remora->wish(id, "maint");
    const Reply r = user.get(*remora, "/");
    EXPECT_EQ(r.status, rejects ? 503 : 200);
    if (rejects) {
      EXPECT_NE(r.field("Retry-After"), "");
    } else {
      EXPECT_NE((home == "a" ? b : a).last("Remora-Session").find("epoch=2;reason=maint;state=unavailable"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace remora::test
