// Sessions whose state outlives their server: apps that keep sessions in memory and hand their state over,
// with real Redis and Memcached.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "store_app.h"
#include "support/events.h"

namespace remora::test {
namespace {

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
