// The client of a single Redis server: script, error replies, login, timeouts and reconnection.

#include "session/redis_store.h"

#include <gtest/gtest.h>

#include "support/store_world.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::RedisPeer;
using test::StoreClient;
using Words = test::StorePeer::Words;

class RedisStoreTest : public ::testing::Test {
 protected:
  StoreClient& open() { return open(test::redis_at(peer_)); }
  StoreClient& open(const config::Store& settings) {
    client_.reset();
    client_ = std::make_unique<StoreClient>(world_, settings);
    world_.run();
    return *client_;
  }
  /// Another reply than the peer's, to commands of this name.
  void reply_to(const std::string& name, const std::string& reply) {
    peer_.script = [=](const Words& words) {
      return words.front() == name ? std::optional(reply) : std::nullopt;
    };
  }
  bool comes_back() {
    return world_.advance_until([&] { return client_->store->available(); }, 3s);
  }

  test::StoreWorld world_;
  RedisPeer& peer_ = world_.add<RedisPeer>();
  std::unique_ptr<StoreClient> client_;
};

TEST_F(RedisStoreTest, TheScriptIsSentOnceAndThenCalledByItsHash) {
  StoreClient& at = open();
  EXPECT_TRUE(at.write("a", "1") && at.write("b", "2") && at.write("a", "3"));
  EXPECT_EQ(peer_.count("EVALSHA"), 3U);
  EXPECT_EQ(peer_.count("EVAL"), 1U);
  peer_.scripts.clear();  // SCRIPT FLUSH, or another server under the same name
  EXPECT_TRUE(at.write("a", "4"));
  EXPECT_EQ(peer_.count("EVAL"), 2U);
}

TEST_F(RedisStoreTest, AServerThatDeniesItsOwnScriptRefuses) {
  StoreClient& at = open();
  peer_.script = [](const Words& words) {
    return words.front().starts_with("EVAL") ? std::optional("-NOSCRIPT No matching script.\r\n")
                                             : std::nullopt;
  };
  EXPECT_EQ(at.swap("a", 0, "1")->error(), StoreErrc::refused);
  EXPECT_TRUE(at.store->available());
}

TEST_F(RedisStoreTest, ALifetimeOfLessThanAMillisecondIsOne) {
  StoreClient& at = open();
  ASSERT_TRUE(at.swap("a", 0, "1", 0ms)->value().done);
  EXPECT_EQ(peer_.commands.back().back(), "1");
}

TEST_F(RedisStoreTest, EveryKeyMayBeAskedFor) {
  StoreClient& at = open();
  const std::string key("a b\r\n\0\xff", 7);
  EXPECT_TRUE(at.store->may_hold(key) && at.store->may_hold(std::string(1000, 'x')));
  EXPECT_TRUE(at.write(key, "value"));
  EXPECT_EQ(at.read(key), "value");
}

// Another program's value is shorter than a token, perhaps.
TEST_F(RedisStoreTest, AValueWithoutATokenCanBeReadAndReplaced) {
  StoreClient& at = open();
  for (const std::string& foreign : {std::string(), std::string("1"), std::string("1234567"),
                                     std::string("12345678"), std::string(8, '\0')}) {
    (*peer_.values)["0/k"] = {foreign, 0, world_.loop.now() + 1min};
    EXPECT_EQ(at.read("k"), "");
    EXPECT_TRUE(at.write("k", "ours")) << foreign;
    EXPECT_EQ(at.read("k"), "ours");
  }
}

TEST_F(RedisStoreTest, ARepliesKindThatIsNotExpectedIsRefused) {
  StoreClient& at = open();
  for (const char* const reply : {":1\r\n", "+OK\r\n", "*0\r\n"}) {
    reply_to("GET", reply);
    EXPECT_EQ(at.get("k")->error(), StoreErrc::refused) << reply;
  }
  for (const char* const reply : {":1\r\n", "+OK\r\n", "*0\r\n", "$-1\r\n", "$1\r\nx\r\n"}) {
    reply_to("EVALSHA", reply);
    EXPECT_EQ(at.swap("k", 0, "v")->error(), StoreErrc::refused) << reply;
  }
  EXPECT_TRUE(at.store->available());
  peer_.script = nullptr;
  EXPECT_TRUE(at.write("k", "v"));
}

TEST_F(RedisStoreTest, ASwapThatFailedWithoutAValueSaysThatThereIsNone) {
  StoreClient& at = open();
  for (const char* const reply : {"*1\r\n:0\r\n", "*2\r\n:0\r\n$-1\r\n", "*2\r\n:0\r\n:5\r\n"}) {
    reply_to("EVALSHA", reply);
    const auto swapped = at.swap("k", 5, "v");
    ASSERT_FALSE(swapped->error()) << reply;
    EXPECT_FALSE(swapped->value().done || swapped->value().standing) << reply;
  }
}

TEST_F(RedisStoreTest, AnErrorOfTheCommandLeavesTheConnection) {
  StoreClient& at = open();
  for (const auto& [error, means] :
       {std::pair("ERR unknown command", StoreErrc::refused),
        std::pair("NOPERM no permissions", StoreErrc::refused),
        std::pair("WRONGTYPE Operation against a key", StoreErrc::refused),
        std::pair("OOM command not allowed", StoreErrc::full),
        std::pair("BUSY running a script", StoreErrc::unavailable),
        std::pair("CLUSTERDOWN The cluster is down", StoreErrc::unavailable),
        std::pair("TRYAGAIN during rehashing", StoreErrc::unavailable),
        std::pair("MISCONF Redis is configured to save", StoreErrc::unavailable)}) {
    for (const char* const command : {"GET", "EVALSHA"}) {
      reply_to(command, "-" + std::string(error) + "\r\n");
      const error_code got = *command == 'G' ? at.get("k")->error() : at.swap("k", 0, "v")->error();
      EXPECT_EQ(got, means) << error;
      EXPECT_TRUE(at.store->available()) << error;
    }
  }
  EXPECT_EQ(peer_.connections(), 1U);
}

TEST_F(RedisStoreTest, AServerThatIsNotTheRightOneIsLeftAndAskedAgain) {
  StoreClient& at = open();
  for (const char* const error :
       {"READONLY You can't write", "MASTERDOWN Link with MASTER is down", "LOADING dataset in memory",
        "NOREPLICAS Not enough good replicas", "UNBLOCKED force unblock", "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair"}) {
    reply_to("EVALSHA", "-" + std::string(error) + "\r\n");
    EXPECT_EQ(at.swap("k", 0, "v")->error(), StoreErrc::unavailable) << error;
    EXPECT_FALSE(at.store->available()) << error;
    EXPECT_NE(at.store->problem().find(std::string(error).substr(0, 8)), std::string::npos)
        << at.store->problem();
    EXPECT_NE(at.store->problem().find(peer_.address().text()), std::string::npos);
    EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);  // at once, and nothing is asked
    peer_.script = nullptr;
    EXPECT_TRUE(comes_back());
    EXPECT_TRUE(at.write("k", "v"));
    world_.advance(2s);
  }
  EXPECT_EQ(at.store->problem(), "");
}

TEST_F(RedisStoreTest, AFullServerIsSaidToBeFull) {
  StoreClient& at = open();
  peer_.max_value = 100;
  EXPECT_EQ(at.swap("k", 0, std::string(200, 'x'))->error(), StoreErrc::full);
  EXPECT_TRUE(at.write("k", "small"));
}

TEST_F(RedisStoreTest, LogsInAndChoosesItsDatabaseBeforeAnythingElse) {
  peer_.user = "remora";
  peer_.password = "hunter2";
  config::Store settings = test::redis_at(peer_);
  settings.nodes.front().user = "remora";
  settings.nodes.front().password = "hunter2";
  settings.nodes.front().database = 3;
  StoreClient& at = open(settings);
  EXPECT_TRUE(at.write("k", "v"));
  EXPECT_EQ(peer_.commands[0], (Words{"AUTH", "remora", "hunter2"}));
  EXPECT_EQ(peer_.commands[1], (Words{"SELECT", "3"}));
  EXPECT_TRUE(peer_.values->contains("3/k"));
}

TEST_F(RedisStoreTest, AWrongPasswordIsSaidWithoutSayingIt) {
  peer_.password = "the right one";
  config::Store settings = test::redis_at(peer_);
  for (const char* const wrong : {"hunter2", ""}) {
    settings.nodes.front().password = wrong;
    StoreClient& at = open(settings);
    EXPECT_FALSE(at.store->available());
    EXPECT_NE(at.store->problem().find(*wrong != '\0' ? "WRONGPASS" : "NOAUTH"), std::string::npos)
        << at.store->problem();
    EXPECT_EQ(at.store->problem().find("hunter2"), std::string::npos);
    EXPECT_EQ(at.read("k"), error_code(StoreErrc::unavailable).message());
  }
  settings.nodes.front().password = "the right one";
  EXPECT_TRUE(open(settings).write("k", "v"));
}

// A password that rotates: the next connection has it.
TEST_F(RedisStoreTest, APasswordThatIsRightAgainIsAccepted) {
  peer_.password = "other";
  config::Store settings = test::redis_at(peer_);
  settings.nodes.front().password = "ours";
  StoreClient& at = open(settings);
  world_.advance(5s);
  EXPECT_FALSE(at.store->available());
  peer_.password = "ours";
  EXPECT_TRUE(comes_back());
  EXPECT_TRUE(at.write("k", "v"));
}

TEST_F(RedisStoreTest, ALoginThatNobodyAsksForIsAnErrorUnlessItWasMeantForTheOtherSide) {
  config::Store settings = test::redis_at(peer_);
  settings.nodes.front().password = "hunter2";
  EXPECT_FALSE(open(settings).store->available());
  settings.nodes.front().login_is_shared = true;
  EXPECT_TRUE(open(settings).write("k", "v"));
}

TEST_F(RedisStoreTest, RequestsBeforeTheFirstConnectionWaitForIt) {
  peer_.hold = true;
  StoreClient& at = open();
  EXPECT_TRUE(at.store->available());
  const auto early = at.start_get("k");
  EXPECT_FALSE(early->ended());
  peer_.hold = false;
  world_.run();
  EXPECT_TRUE(early->ended() && !early->error());
}

TEST_F(RedisStoreTest, ALateReplyIsNotTakenForTheNextOne) {
  StoreClient& at = open();
  EXPECT_TRUE(at.write("a", "of a") && at.write("b", "of b"));
  peer_.hold = true;
  const auto late = at.start_get("a");
  world_.advance(50ms);
  EXPECT_EQ(late->error(), StoreErrc::timeout);
  const auto next = at.start_get("b");
  peer_.hold = false;
  world_.run();
  ASSERT_TRUE(next->ended() && next->value());
  EXPECT_EQ(next->value()->value, "of b");
  EXPECT_EQ(at.read("a"), "of a");
}

TEST_F(RedisStoreTest, ThreeTimeoutsInARowAreTheEndOfTheConnectionAndTheRestFailsAtOnce) {
  StoreClient& at = open();
  peer_.hold = true;
  int timeouts = 0, refused = 0;
  for (int i = 0; i < 10; ++i) {
    const auto got = at.get("k");
    timeouts += got->error() == StoreErrc::timeout ? 1 : 0;
    refused += got->error() == StoreErrc::unavailable ? 1 : 0;
  }
  EXPECT_EQ(timeouts, 3);
  EXPECT_EQ(refused, 7);
  peer_.hold = false;
  EXPECT_TRUE(comes_back());
  EXPECT_TRUE(at.write("k", "v"));
}

TEST_F(RedisStoreTest, AServerThatWasAwayIsUsedAgainThoughItLostItsScripts) {
  StoreClient& at = open();
  at.write("k", "v");
  peer_.close();
  peer_.scripts.clear();
  peer_.values->clear();
  world_.advance(1min);
  EXPECT_EQ(at.read("k"), error_code(StoreErrc::unavailable).message());
  EXPECT_NE(at.store->problem(), "");
  peer_.open();
  EXPECT_TRUE(comes_back());
  EXPECT_EQ(at.read("k"), "(none)");
  EXPECT_TRUE(at.write("k", "new"));
}

TEST_F(RedisStoreTest, MoreThanTheConnectionMayHoldIsRefusedAtOnce) {
  peer_.hold = true;
  StoreClient& at = open();
  const std::string megabyte(1U << 20, 'x');
  int refused = 0;
  std::vector<test::Running<Store::Swapped>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(at.start_swap("k", 0, megabyte));
    refused += waiting.back()->error() == StoreErrc::unavailable ? 1 : 0;
  }
  EXPECT_EQ(refused, 5);
  for (auto& swap : waiting) swap = world_.finish(std::move(swap), 50ms);
}

TEST_F(RedisStoreTest, ARedirectionWithoutAPlaceIsNoPlace) {
  StoreClient& at = open();
  for (const char* const error : {"-MOVED 1\r\n", "-MOVED 1 ?:1\r\n", "-ASK 1 x\r\n"}) {
    reply_to("GET", error);
    EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable) << error;
  }
  EXPECT_TRUE(at.store->available());
}

TEST_F(RedisStoreTest, WhatTalksNonsenseIsNoStore) {
  for (const std::string& nonsense :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("*1000000000\r\n"),
        std::string("-ERR no\r\n"), std::string(1000, '*'), std::string("+PONG\r\n+PONG\r\n+PONG\r\n")}) {
    reply_to("PING", nonsense);
    StoreClient& at = open();
    if (!nonsense.ends_with("\n")) world_.advance(1s);  // the rest might come
    EXPECT_FALSE(at.store->available()) << nonsense;
    EXPECT_NE(at.store->problem(), "") << nonsense;
    EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable) << nonsense;
  }
}

TEST_F(RedisStoreTest, StoppedItFailsAtOnceAndEndsItsConnection) {
  StoreClient& at = open();
  peer_.hold = true;
  const auto waits = at.start_get("k", 1h);
  at.store->stop();
  world_.run();
  EXPECT_EQ(waits->error(), StoreErrc::unavailable);
  EXPECT_FALSE(at.store->available());
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  EXPECT_EQ(peer_.connections(), 0U);
  world_.advance(10s);
  EXPECT_EQ(peer_.connections(), 0U);
}

TEST(RedisSlot, IsThatOfTheSpecification) {
  EXPECT_EQ(redis_slot("123456789"), 0x31c3);
  EXPECT_EQ(redis_slot("{user1000}.following"), redis_slot("{user1000}.followers"));
  EXPECT_EQ(redis_slot("a{user1000}b"), redis_slot("user1000"));
  EXPECT_EQ(redis_slot("foo{{bar}}zap"), redis_slot("{bar"));
  EXPECT_NE(redis_slot("foo{}{bar}"), redis_slot("bar"));
  EXPECT_NE(redis_slot("foo{bar"), redis_slot("bar"));
  EXPECT_EQ(redis_slot(""), 0);
}

}  // namespace
}  // namespace remora
