// One contract for every store: memory, Redis (one server, a cluster, behind a sentinel) and Memcached. The
// servers are real, and are killed, stopped and emptied.

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "net/tls.h"
#include "session/memcached_store.h"
#include "session/memory_store.h"
#include "session/redis_store.h"
#include "session/revocation.h"
#include "session/session_store.h"
#include "support/certificates.h"
#include "support/net.h"
#include "support/remora.h"
#include "support/stores.h"
#include "util/text.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

/// Which server, and how to get at it.
struct Kind {
  std::string name;
  std::function<config::Store()> settings;  // starts the server on first use
  std::function<void()> disturb;            // kills a master in mid-test; empty: nobody would take over
};

std::shared_ptr<const ClientTls> tls_of(const config::Store& settings) {
  std::string why;
  return settings.tls ? ClientTls::load(*settings.tls, why) : nullptr;
}

/// One process's way to the store: a loop of its own, run by the test.
class Instance {
 public:
  explicit Instance(const config::Store& settings, std::shared_ptr<MemoryValues> values = nullptr) {
    around = std::make_shared<StoreSurroundings>(
        StoreSurroundings{loop, clock, settings, {}, tls_of(settings), FastRandom(7)});
    if (settings.kind == config::StoreKind::redis)
      store = std::make_unique<RedisStore>(around);
    else if (settings.kind == config::StoreKind::memcached)
      store = std::make_unique<MemcachedStore>(around);
    else
      store = std::make_unique<MemoryStore>(std::move(values), clock);
    sessions = std::make_unique<SessionStore>(*store, settings.prefix, clock);
  }
  ~Instance() {
    store->stop();
    loop.wheel.stop();
    loop.ctx.restart();
    loop.ctx.run_for(1s);
  }
  template <class T>
  Result<T> wait(Task<Result<T>> task) {
    std::optional<Result<T>> result;
    asio::co_spawn(loop.ctx.get_executor(), std::move(task), [&](std::exception_ptr e, Result<T> r) {
      if (e) std::rethrow_exception(e);
      result.emplace(std::move(r));
    });
    loop.ctx.restart();
    while (!result) loop.ctx.run_one_for(100ms);
    return std::move(*result);
  }
  /// Lets what runs in the background run.
  void run_until(const std::function<bool()>& done, std::chrono::milliseconds limit = 20s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done() && std::chrono::steady_clock::now() < end) {
      loop.ctx.restart();
      loop.ctx.run_one_for(10ms);
    }
  }
  StoreCall call(std::chrono::milliseconds limit = 2s) { return {wake, clock.steady_now() + limit}; }
  void ready() {
    run_until(
        [&] { return store->available() && wait(sessions->find(SessionKey{}, call(500ms))).has_value(); });
    ASSERT_TRUE(store->available()) << store->problem();
  }

  SystemClock clock;
  Loop loop;
  EventFlags wake{loop.wheel};
  std::shared_ptr<StoreSurroundings> around;
  std::unique_ptr<Store> store;
  std::unique_ptr<SessionStore> sessions;
};

config::Store redis_at(int port, config::RedisMode mode = config::RedisMode::single) {
  config::Store s;
  s.kind = config::StoreKind::redis;
  s.redis_mode = mode;
  config::StoreNode node;
  node.address = {config::Address::Kind::tcp, "127.0.0.1", static_cast<std::uint16_t>(port)};
  s.nodes.push_back(node);
  return s;
}

std::vector<Kind> kinds() {
  static std::unique_ptr<test::RedisServer> single;
  static std::unique_ptr<test::RedisCluster> cluster;
  static std::unique_ptr<test::RedisSentinel> sentinel;
  static std::unique_ptr<test::MemcachedServer> memcached[2];
  static const struct AtExit {
    ~AtExit() {
      single.reset();
      cluster.reset();
      sentinel.reset();
      memcached[0].reset();
      memcached[1].reset();
    }
  } at_exit;
  return {
      {"memory", [] { return config::Store(); }, {}},
      {"redis",
       [] {
         if (!single) single = std::make_unique<test::RedisServer>();
         return redis_at(single->port());
       },
       {}},
      {"redis_cluster",
       [] {
         if (!cluster) cluster = std::make_unique<test::RedisCluster>();
         return redis_at(cluster->seed(), config::RedisMode::cluster);
       },
       [] { cluster->nodes().front()->kill(); }},
      {"redis_sentinel",
       [] {
         if (!sentinel) sentinel = std::make_unique<test::RedisSentinel>();
         return redis_at(sentinel->port(), config::RedisMode::sentinel);
       },
       [] { sentinel->master().kill(); }},
      {"memcached",
       [] {
         config::Store s;
         s.kind = config::StoreKind::memcached;
         for (auto& server : memcached) {
           if (!server) server = std::make_unique<test::MemcachedServer>();
           config::StoreNode node;
           node.address = {config::Address::Kind::tcp, "127.0.0.1",
                           static_cast<std::uint16_t>(server->port())};
           s.nodes.push_back(node);
         }
         return s;
       },
       {}},
  };
}

SessionKey key_of(const std::string& name) {
  static int run = 0;
  if (run == 0) run = static_cast<int>(std::chrono::system_clock::now().time_since_epoch().count());
  SessionKey key;
  const std::string text = name + std::to_string(run);
  for (std::size_t i = 0; i < key.mac.size(); ++i)
    key.mac[i] = static_cast<std::uint8_t>(std::hash<std::string>{}(text + std::to_string(i)));
  return key;
}

Record record_at(std::uint64_t backend, std::uint32_t epoch = 1, std::uint8_t id = 1) {
  Record r;
  r.binding.id.bytes.fill(id);
  r.binding.backend = backend;
  r.binding.epoch = epoch;
  r.binding.created = r.binding.last_seen = std::chrono::system_clock::now();
  return r;
}

class Contract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    settings_ = GetParam().settings();
    values_ = std::make_shared<MemoryValues>(64U << 20);
    one_ = std::make_unique<Instance>(settings_, values_);
    two_ = std::make_unique<Instance>(settings_, values_);
    one_->ready();
    two_->ready();
  }
  SessionStore::Outcome change(Instance& at, const SessionKey& key, SessionStore::Rule rule,
                               bool fresh = false) {
    auto standing = at.wait(at.sessions->change(key, std::move(rule), lifetimes_, fresh, at.call()));
    EXPECT_TRUE(standing.has_value()) << standing.error().message() << " " << at.store->problem();
    return standing ? *standing : SessionStore::Outcome{};
  }
  SessionStore::Outcome bind(Instance& at, const SessionKey& key, const Record& r) {
    return change(at, key, [r](const auto& now) { return bind_rule(now, r); }, true);
  }
  SessionStore::Outcome move(Instance& at, const SessionKey& key, const Record& r) {
    return change(at, key, [r](const auto& now) { return move_rule(now, r); });
  }
  Saved save(Instance& at, const SessionKey& key, const Record& r, const std::string& state,
             std::uint64_t seen = 0) {
    Saved outcome = Saved::saved;
    change(at, key, [&](const auto& now) {
      return save_rule(now, r, seen, [&](std::uint32_t, std::uint64_t) { return state; }, outcome);
    });
    return outcome;
  }
  std::optional<Record> find(Instance& at, const SessionKey& key) {
    auto found = at.wait(at.sessions->find(key, at.call()));
    EXPECT_TRUE(found.has_value()) << found.error().message();
    return found ? *found : std::nullopt;
  }

  config::Store settings_;
  config::Session lifetimes_;
  std::shared_ptr<MemoryValues> values_;
  std::unique_ptr<Instance> one_, two_;
};

TEST_P(Contract, WhatOneInstanceBindsTheOtherFinds) {
  const SessionKey key = key_of("bind");
  EXPECT_FALSE(find(*two_, key));
  EXPECT_TRUE(bind(*one_, key, record_at(11)).changed);
  const auto found = find(*two_, key);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->binding.backend, 11U);
  EXPECT_EQ(found->binding.epoch, 1U);
}

TEST_P(Contract, OfTwoFirstWritersOneWinsAndBothSeeWho) {
  const SessionKey key = key_of("first");
  EXPECT_TRUE(bind(*one_, key, record_at(11)).changed);
  const auto second = bind(*two_, key, record_at(22));
  EXPECT_FALSE(second.changed);
  ASSERT_TRUE(second.record);
  EXPECT_EQ(second.record->binding.backend, 11U);
}

TEST_P(Contract, OfManyAtOnceOneWins) {
  for (int round = 0; round < 20; ++round) {
    const SessionKey key = key_of("race" + std::to_string(round));
    std::vector<std::optional<Record>> seen(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < seen.size(); ++i)
      threads.emplace_back([&, i] {
        Instance mine(settings_, values_);
        mine.ready();
        seen[i] = bind(mine, key, record_at(100 + i)).record;
      });
    for (auto& t : threads) t.join();
    std::set<std::uint64_t> winners;
    for (const auto& r : seen) {
      ASSERT_TRUE(r);
      winners.insert(r->binding.backend);
    }
    EXPECT_EQ(winners.size(), 1U);
  }
}

TEST_P(Contract, AMoveNeedsTheNextEpochAndOfTwoTheFirstStands) {
  const SessionKey key = key_of("move");
  bind(*one_, key, record_at(11));
  EXPECT_TRUE(move(*one_, key, record_at(22, 2)).changed);
  const auto late = move(*two_, key, record_at(33, 2));
  EXPECT_FALSE(late.changed);
  ASSERT_TRUE(late.record);
  EXPECT_EQ(late.record->binding.backend, 22U);
  EXPECT_TRUE(move(*two_, key, record_at(33, 3)).changed);
}

TEST_P(Contract, AnEndedSessionIsNotRevivedButItsNameMayBeginAnother) {
  const SessionKey key = key_of("end");
  bind(*one_, key, record_at(11));
  Record over = record_at(11);
  over.ended = true;
  change(*one_, key, [over](const auto& now) { return end_rule(now, over); });
  EXPECT_FALSE(move(*two_, key, record_at(22, 2)).changed);
  EXPECT_FALSE(bind(*two_, key, record_at(11)).changed);
  EXPECT_TRUE(find(*two_, key)->ended);
  EXPECT_TRUE(bind(*two_, key, record_at(22, 1, 9)).changed);
}

TEST_P(Contract, StateFollowsItsSessionByteForByteAndAZombiesLateSaveLoses) {
  const SessionKey key = key_of("state");
  bind(*one_, key, record_at(11));
  std::string every_byte;
  for (int i = 0; i < 4096; ++i) every_byte += static_cast<char>(i);
  EXPECT_EQ(save(*one_, key, record_at(11), every_byte), Saved::saved);
  const auto moved = move(*two_, key, record_at(22, 2));
  ASSERT_TRUE(moved.record);
  EXPECT_EQ(moved.record->state.sealed, every_byte);
  EXPECT_EQ(moved.record->state.version, 1U);
  EXPECT_EQ(moved.record->state.epoch, 1U);
  EXPECT_EQ(save(*one_, key, record_at(11), "late"), Saved::outdated);     // an older epoch
  EXPECT_EQ(save(*one_, key, record_at(33, 2), "else"), Saved::outdated);  // not its owner
  EXPECT_EQ(find(*one_, key)->state.sealed, every_byte);
  EXPECT_EQ(save(*two_, key, record_at(22, 2), "new"), Saved::saved);
  EXPECT_EQ(find(*one_, key)->state.version, 2U);
}

TEST_P(Contract, AnAppThatSaysWhatItSawLosesAgainstALaterSave) {
  const SessionKey key = key_of("version");
  EXPECT_EQ(save(*one_, key, record_at(11), "a"), Saved::saved);  // an issued session: no binding before
  EXPECT_EQ(save(*one_, key, record_at(11), "b", 1), Saved::saved);
  EXPECT_EQ(save(*two_, key, record_at(11), "c", 1), Saved::conflict);
  EXPECT_EQ(find(*one_, key)->state.sealed, "b");
}

TEST_P(Contract, StatesOfManySizesAndEmptyOnesAreKeptWhole) {
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 65536U, 900000U}) {
    const SessionKey key = key_of("size" + std::to_string(size));
    const std::string state(size, '\x80');
    EXPECT_EQ(save(*one_, key, record_at(11), state), Saved::saved);
    const auto found = find(*two_, key);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->state.sealed, state);
    EXPECT_EQ(found->state.version, 1U);
  }
}

TEST_P(Contract, WhatItsLifetimeHasEndedIsGone) {
  const SessionKey key = key_of("ttl");
  lifetimes_.idle_timeout = 800ms;
  bind(*one_, key, record_at(11));
  EXPECT_TRUE(find(*one_, key));
  one_->run_until([&] { return !find(*one_, key); }, 10s);
  EXPECT_FALSE(find(*two_, key));
}

TEST_P(Contract, GarbageUnderOurKeysIsNoRecordAndIsOverwritten) {
  for (const std::string& garbage :
       {std::string(""), std::string("x"), std::string("not a record at all"),
        std::string("\x02 another format, long enough to be a record of sixty bytes"),
        encode(record_at(5)).substr(0, 20), encode(record_at(5)) + "rest"}) {
    const SessionKey key = key_of("garbage" + garbage);
    std::string name = "remora:s:";
    base64url_append(name, key.mac.data(), key.mac.size());
    ASSERT_TRUE(one_->wait(one_->store->swap(name, 0, garbage, 10s, one_->call())).has_value());
    EXPECT_FALSE(find(*two_, key));
    EXPECT_TRUE(bind(*two_, key, record_at(22)).changed);
    EXPECT_EQ(find(*one_, key)->binding.backend, 22U);
  }
}

TEST_P(Contract, RevokedIsWhatStandsUnderItsName) {
  EXPECT_FALSE(*one_->wait(one_->sessions->revoked("jti-1", one_->call())));
  ASSERT_TRUE(one_->wait(one_->store->swap("remora:revoked:jti-1", 0, "1", 10s, one_->call())).has_value());
  EXPECT_TRUE(*two_->wait(two_->sessions->revoked("jti-1", two_->call())));
}

// Signed characters, spaces and long values were never asked for, and passed.
TEST_P(Contract, EveryValueCanBeRevoked) {
  for (const std::string& value :
       {std::string("John Smith"), std::string("j\xc3\xbcrgen"), std::string("\xff\x80"),
        std::string(201, 'x'), std::string(5000, 'y'), std::string(200, 'z'), std::string("a b\r\nflush_all"),
        std::string("a\0b", 3), std::string(), "sha256:" + std::string(64, '0')}) {
    const Result<bool> before = one_->wait(one_->sessions->revoked(value, one_->call()));
    ASSERT_TRUE(before.has_value()) << value;
    EXPECT_FALSE(*before) << value;
    ASSERT_TRUE(one_->wait(one_->store->swap(revocation_key("remora", value), 0, "1", 10s, one_->call()))
                    .has_value());
    EXPECT_TRUE(*two_->wait(two_->sessions->revoked(value, two_->call()))) << value;
  }
}

// Last, because it takes a server away.
TEST_P(Contract, SessionsGoOnWhenAMasterDiesInTheMiddle) {
  if (!GetParam().disturb) GTEST_SKIP() << "nobody takes over here";
  std::vector<SessionKey> keys;
  for (int i = 0; i < 60; ++i) keys.push_back(key_of("failover" + std::to_string(i)));
  for (const auto& key : keys) bind(*one_, key, record_at(11));
  std::this_thread::sleep_for(300ms);  // replication is asynchronous
  GetParam().disturb();
  int moved = 0, failed = 0;
  std::chrono::steady_clock::duration longest{};
  const auto end = std::chrono::steady_clock::now() + 40s;
  std::set<std::size_t> left;
  for (std::size_t i = 0; i < keys.size(); ++i) left.insert(i);
  while (!left.empty() && std::chrono::steady_clock::now() < end) {
    for (auto at = left.begin(); at != left.end();) {
      const Record wanted = record_at(22, 2);
      const auto began = std::chrono::steady_clock::now();
      const auto standing = one_->wait(one_->sessions->change(
          keys[*at], [wanted](const auto& now) { return move_rule(now, wanted); }, lifetimes_, false,
          one_->call(200ms)));
      longest = std::max(longest, std::chrono::steady_clock::now() - began);
      if (standing && standing->record && standing->record->binding.epoch == 2) {
        ++moved;
        at = left.erase(at);
      } else {
        ++failed;
        ++at;
      }
    }
    one_->run_until([] { return false; }, 20ms);
  }
  EXPECT_EQ(moved, static_cast<int>(keys.size())) << one_->store->problem();
  for (const auto& key : keys) {
    std::optional<Record> found;
    two_->run_until([&] {
      const auto got = two_->wait(two_->sessions->find(key, two_->call()));
      if (got) found = *got;
      return found.has_value();
    });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->binding.backend, 22U);
    EXPECT_EQ(found->binding.epoch, 2U);
  }
  std::printf("%d operations failed meanwhile, none waited longer than %lld ms\n", failed,
              static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(longest).count()));
}

INSTANTIATE_TEST_SUITE_P(Stores, Contract, testing::ValuesIn(kinds()),
                         [](const auto& info) { return info.param.name; });

// Dead parts ----------------------------------------------------------------------------------------

TEST(DeadStore, RefusesAtOnceAfterItsFirstTimeoutsAndComesBack) {
  test::RedisServer server;
  Instance at(redis_at(server.port()));
  at.ready();
  const SessionKey key = key_of("dead");
  server.freeze();
  int timeouts = 0, refused = 0;
  for (int i = 0; i < 50; ++i) {
    const auto found = at.wait(at.sessions->find(key, at.call(50ms)));
    ASSERT_FALSE(found.has_value());
    if (found.error() == StoreErrc::timeout) ++timeouts;
    if (found.error() == StoreErrc::unavailable) ++refused;
  }
  EXPECT_EQ(timeouts, 3);
  EXPECT_EQ(refused, 47);
  server.thaw();
  at.run_until([&] { return at.store->available(); });
  EXPECT_TRUE(at.wait(at.sessions->find(key, at.call())).has_value());
}

TEST(DeadStore, ThatWasKilledAndStartedEmptyIsUsedAgainWithItsScript) {
  test::RedisServer server;
  Instance at(redis_at(server.port()));
  at.ready();
  const SessionKey key = key_of("empty");
  const Record r = record_at(11);
  const auto bind = [&] {
    return at.wait(at.sessions->change(
        key, [r](const auto& now) { return bind_rule(now, r); }, {}, true, at.call(300ms)));
  };
  EXPECT_TRUE(bind().has_value());
  server.kill();
  at.run_until([&] { return !at.store->available(); });
  EXPECT_EQ(bind().error(), StoreErrc::unavailable);
  EXPECT_FALSE(at.store->problem().empty());
  server.start();
  at.run_until([&] { return at.store->available(); });
  const auto again = bind();
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_TRUE(again->changed);
}

TEST(DeadStore, WithAWrongPasswordSaysSoWithoutSayingIt) {
  test::RedisServer server({"--requirepass", "the right one"});
  config::Store settings = redis_at(server.port());
  settings.nodes.front().password = "hunter2";
  Instance at(settings);
  at.run_until([&] { return !at.store->available(); });
  EXPECT_NE(at.store->problem().find("WRONGPASS"), std::string::npos) << at.store->problem();
  EXPECT_EQ(at.store->problem().find("hunter2"), std::string::npos);
  settings.nodes.front().password = "the right one";
  Instance right(settings);
  right.ready();
}

TEST(RedisAccess, ByAUserWithAPasswordAndInADatabaseOfItsOwn) {
  test::RedisServer server({"--user", "remora", "on", ">hunter2", "~remora:*", "+@all"});
  config::Store settings = redis_at(server.port());
  settings.nodes.front().user = "remora";
  settings.nodes.front().password = "hunter2";
  settings.nodes.front().database = 3;
  Instance at(settings);
  at.ready();
  ASSERT_TRUE(at.wait(at.store->swap("remora:s:x", 0, "value", 10s, at.call())).has_value());
  EXPECT_EQ(at.wait(at.store->swap("elsewhere", 0, "value", 10s, at.call())).error(), StoreErrc::refused);
  EXPECT_NE(test::ask_store(server.port(), "SELECT 3\r\nEXISTS remora:s:x").find(":1"), std::string::npos);
}

// Such a value has no token, so that no expected one matched it, and its key could not be written any more.
TEST(RedisAccess, AValueThatAnotherProgramWroteIsReadAndReplaced) {
  test::RedisServer server;
  Instance at(redis_at(server.port()));
  at.ready();
  for (const std::string& foreign : {std::string("SET k \"\""), std::string("SET k x"),
                                     std::string("SET k 12345678"), std::string("SETBIT k 63 0")}) {
    test::ask_store(server.port(), foreign);
    const auto found = at.wait(at.store->get("k", at.call()));
    ASSERT_TRUE(found && *found) << foreign;
    const std::uint64_t token = (*found)->token;
    const auto swapped = at.wait(at.store->swap("k", token, "ours", 10s, at.call()));
    ASSERT_TRUE(swapped.has_value()) << foreign;
    EXPECT_TRUE(swapped->done) << foreign;
    const auto ours = at.wait(at.store->get("k", at.call()));
    ASSERT_TRUE(ours && *ours) << foreign;
    EXPECT_EQ((*ours)->value, "ours");
    test::ask_store(server.port(), "DEL k");
  }
}

TEST(RedisAccess, OverTlsWhoseCertificateIsVerified) {
  const std::string folder = test::make_folder();
  test::make_certificate(folder, "localhost");
  const int port = test::free_port();
  test::RedisServer server({"--tls-port", std::to_string(port), "--tls-cert-file", folder + "/localhost.pem",
                            "--tls-key-file", folder + "/localhost.key", "--tls-auth-clients", "no",
                            "--tls-ca-cert-file", folder + "/localhost.pem"});
  for (const bool trusting : {true, false}) {
    config::Store settings = redis_at(port);
    settings.nodes.front().tls = true;
    settings.nodes.front().address.host = "localhost";
    settings.tls.emplace();
    if (trusting) settings.tls->ca = folder + "/localhost.pem";
    Instance at(settings);
    at.run_until([&] {
      return trusting ? at.store->available() && at.wait(at.sessions->find({}, at.call())).has_value()
                      : !at.store->available();
    });
    EXPECT_EQ(at.wait(at.sessions->find({}, at.call())).has_value(), trusting) << at.store->problem();
    if (!trusting) {
      EXPECT_NE(at.store->problem().find("certificate"), std::string::npos) << at.store->problem();
    }
  }
  std::filesystem::remove_all(folder);
}

// `server_name` was read from the file and then not used.
TEST(RedisAccess, OverTlsByTheServerNameOfTheConfiguration) {
  const std::string folder = test::make_folder();
  test::make_certificate(folder, "redis.internal");
  const int port = test::free_port();
  test::RedisServer server({"--tls-port", std::to_string(port), "--tls-cert-file",
                            folder + "/redis.internal.pem", "--tls-key-file", folder + "/redis.internal.key",
                            "--tls-auth-clients", "no", "--tls-ca-cert-file",
                            folder + "/redis.internal.pem"});
  for (const std::string& name :
       {std::string("redis.internal"), std::string("other.internal"), std::string()}) {
    config::Store settings = redis_at(port);
    settings.nodes.front().tls = true;
    settings.tls.emplace();
    settings.tls->ca = folder + "/redis.internal.pem";
    settings.tls->server_name = name;
    Instance at(settings);
    const bool fits = name == "redis.internal";
    at.run_until([&] { return at.store->available() == fits && (fits || !at.store->problem().empty()); });
    EXPECT_EQ(at.wait(at.sessions->find({}, at.call())).has_value(), fits) << name << at.store->problem();
  }
  std::filesystem::remove_all(folder);
}

/// What `redis-sentinel` and its master ask for; empty: no password.
struct SentinelWithLogins {
  SentinelWithLogins(const std::string& sentinel, const std::string& master)
      : folder(test::make_folder()),
        server(master.empty() ? std::vector<std::string>{}
                              : std::vector<std::string>{"--requirepass", master}),
        port(test::free_port()) {
    std::ofstream conf(folder + "/sentinel.conf");
    conf << "bind 127.0.0.1\nport " << port << "\ndir " << folder << "\nsentinel monitor mymaster 127.0.0.1 "
         << server.port() << " 1\n";
    if (!master.empty()) conf << "sentinel auth-pass mymaster " << master << "\n";
    if (!sentinel.empty()) conf << "requirepass " << sentinel << "\n";
    conf.close();
    process = std::make_unique<test::Process>(
        std::vector<std::string>{"redis-sentinel", folder + "/sentinel.conf"}, folder + "/log");
    process->wait_for_port(port);
  }
  ~SentinelWithLogins() {
    process.reset();
    std::filesystem::remove_all(folder);
  }
  /// As the configuration makes it (tests/config/keys_test.cpp).
  config::Store settings(const std::string& of_sentinel, bool sentinel_shared, const std::string& of_master,
                         bool master_shared) const {
    config::Store s = redis_at(port, config::RedisMode::sentinel);
    s.nodes.front().password = of_sentinel;
    s.nodes.front().login_is_shared = sentinel_shared;
    s.redis_master_password = of_master;
    s.redis_master_login_is_shared = master_shared;
    return s;
  }
  const std::string folder;
  test::RedisServer server;
  const int port;
  std::unique_ptr<test::Process> process;
};

// redis/redis-py #1256, predis/predis #391: each side has a password of its own, or only one has any.
TEST(RedisAccess, SentinelsAndTheServersBehindThemHavePasswordsOfTheirOwn) {
  for (const auto& [sentinel, master] : {std::pair("s3ntinel", "m4ster"), std::pair("", "m4ster"),
                                         std::pair("s3ntinel", ""), std::pair("same", "same")}) {
    const SentinelWithLogins servers(sentinel, master);
    // Who is given nothing is shown what the other side was given.
    const std::string first = *sentinel != '\0' ? sentinel : master,
                      second = *master != '\0' ? master : sentinel;
    Instance at(servers.settings(first, *sentinel == '\0', second, *master == '\0'));
    at.ready();
    ASSERT_TRUE(at.wait(at.store->swap("remora:s:x", 0, "value", 10s, at.call())).has_value())
        << sentinel << master;
  }
  const SentinelWithLogins servers("s3ntinel", "m4ster");
  Instance wrong_master(servers.settings("s3ntinel", false, "hunter2", false));
  wrong_master.run_until(
      [&] { return wrong_master.store->problem().find("WRONGPASS") != std::string::npos; });
  EXPECT_NE(wrong_master.store->problem().find("master 127.0.0.1"), std::string::npos)
      << wrong_master.store->problem();
  Instance wrong_sentinel(servers.settings("hunter2", false, "m4ster", false));
  wrong_sentinel.run_until(
      [&] { return wrong_sentinel.store->problem().find("WRONGPASS") != std::string::npos; });
  EXPECT_NE(wrong_sentinel.store->problem().find("sentinel 127.0.0.1"), std::string::npos)
      << wrong_sentinel.store->problem();
  for (const Instance* at : {&wrong_master, &wrong_sentinel})
    EXPECT_EQ(at->store->problem().find("hunter2"), std::string::npos);
}

/// A name behind which the servers change: connections of before `demote` lead to a replica from then on.
class FailingOver {
 public:
  explicit FailingOver(std::string error)
      : error_(std::move(error)), server_([this](test::Socket& s) { serve(s); }) {}
  int port() const { return server_.port(); }
  void demote() { ++era_; }
  int written() const { return written_; }

 private:
  void serve(test::Socket& s) {
    const int era = era_;
    for (;;) {
      const std::string count = line(s);
      if (count.empty()) return;
      std::vector<std::string> words(static_cast<std::size_t>(std::stoi(count.substr(1))));
      for (std::string& word : words) {
        const auto size = static_cast<std::size_t>(std::stoi(line(s).substr(1)));
        word = s.receive_exactly(size + 2).substr(0, size);
      }
      std::string answer = words[0] == "GET" ? "$-1\r\n" : "+PONG\r\n";
      if (words[0] == "EVALSHA") {
        answer = era < era_ ? "-" + error_ + "\r\n" : "*1\r\n:1\r\n";
        written_ += era < era_ ? 0 : 1;
      }
      if (!s.send(answer)) return;
    }
  }
  static std::string line(test::Socket& s) {
    std::string text = s.receive_until("\r\n");
    return text.substr(0, text.find('\r'));
  }
  const std::string error_;
  std::atomic<int> era_{0}, written_{0};
  test::Origin server_;
};

// StackExchange.Redis #2074, redis/go-redis #2229: before version 7 the error of a script is wrapped.
TEST(RedisAccess, AServerThatWasDemotedIsLeftWhateverItsVersion) {
  const std::string wrap =
      "ERR Error running script (call to f_0123456789abcdef0123456789abcdef01234567): @user_script:4: "
      "@user_script: 4: -";
  for (const std::string& error : {std::string("READONLY You can't write against a read only replica."),
                                   wrap + "READONLY You can't write against a read only replica.",
                                   wrap + "MASTERDOWN Link with MASTER is down."}) {
    FailingOver servers(error);
    Instance at(redis_at(servers.port()));
    at.ready();
    const auto write = [&] { return at.wait(at.store->swap("remora:s:x", 0, "v", 10s, at.call())); };
    ASSERT_TRUE(write().has_value());
    servers.demote();
    EXPECT_EQ(write().error(), StoreErrc::unavailable) << error;
    at.run_until([&] { return at.store->available() && write().has_value(); });
    EXPECT_EQ(servers.written(), 2) << error;
  }
  FailingOver full(wrap + "OOM command not allowed when used memory > 'maxmemory'.");
  Instance at(redis_at(full.port()));
  at.ready();
  full.demote();
  EXPECT_EQ(at.wait(at.store->swap("remora:s:x", 0, "v", 10s, at.call())).error(), StoreErrc::full);
  EXPECT_TRUE(at.store->available());
}

/// A server that answers every question with the same bytes.
TEST(DeadStore, ThatTalksNonsenseIsNoStore) {
  for (const std::string& nonsense :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("*1000000000\r\n"),
        std::string("$99999999999999\r\n"), std::string("-ERR no\r\n"), std::string(1000, '*'),
        std::string("+PONG\r\n+PONG\r\n+PONG\r\n")}) {
    test::Origin server([nonsense](test::Socket& s) {
      while (s.receive_some()) {
        s.buffer().clear();
        if (!s.send(nonsense)) return;
      }
    });
    Instance at(redis_at(server.port()));
    const auto found = at.wait(at.sessions->find(key_of("nonsense"), at.call(300ms)));
    EXPECT_FALSE(found.has_value()) << nonsense;
  }
}

TEST(RedisSlot, IsThatOfTheSpecification) {
  EXPECT_EQ(redis_slot("123456789"), 0x31c3);  // its CRC-16 is below 16384 already
  EXPECT_EQ(redis_slot("{user1000}.following"), redis_slot("{user1000}.followers"));
  EXPECT_NE(redis_slot("foo{}{bar}"), redis_slot("bar"));
}

}  // namespace
}  // namespace remora
