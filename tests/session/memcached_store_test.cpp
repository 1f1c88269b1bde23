// The Memcached client: one server or several, error replies, timeouts and reconnection.

#include "session/memcached_store.h"

#include <gtest/gtest.h>

#include "support/store_world.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::MemcachedPeer;
using test::StoreClient;
using Words = test::StorePeer::Words;

class MemcachedStoreTest : public ::testing::Test {
 protected:
  StoreClient& open() { return open(test::memcached_at(peer_)); }
  StoreClient& open(const config::Store& settings) {
    client_.reset();
    client_ = std::make_unique<StoreClient>(world_, settings);
    world_.run();
    return *client_;
  }
  void reply_to(const std::string& name, const std::string& reply) {
    peer_.script = [=](const Words& words) {
      return words.front() == name ? std::optional(reply) : std::nullopt;
    };
  }
  bool comes_back() {
    return world_.advance_until([&] { return client_->store->available(); }, 3s);
  }

  test::StoreWorld world_;
  MemcachedPeer& peer_ = world_.add<MemcachedPeer>();
  std::unique_ptr<StoreClient> client_;
};

TEST_F(MemcachedStoreTest, AServerWithoutMetaCommandsIsSaidToBeTooOld) {
  peer_.old = true;
  StoreClient& at = open();
  EXPECT_FALSE(at.store->available());
  EXPECT_NE(at.store->problem().find("1.6"), std::string::npos) << at.store->problem();
  peer_.old = false;
  EXPECT_TRUE(comes_back());
  EXPECT_EQ(at.store->problem(), "");
}

TEST_F(MemcachedStoreTest, LifetimesAreWholeSecondsAndAtMostThirtyDays) {
  StoreClient& at = open();
  for (const auto& [ttl, word] :
       {std::pair(std::chrono::milliseconds(1), "T1"), std::pair(std::chrono::milliseconds(1000), "T1"),
        std::pair(std::chrono::milliseconds(1001), "T2"), std::pair(std::chrono::milliseconds(0), "T1"),
        std::pair(std::chrono::milliseconds(1000h), "T2592000")}) {
    peer_.values->clear();
    ASSERT_TRUE(at.swap("k", 0, "v", ttl)->value().done);
    EXPECT_EQ(peer_.commands.back().at(3), word);
  }
}

TEST_F(MemcachedStoreTest, KeysThatMemcachedRefusesAreNeverAskedFor) {
  const StoreClient& at = open();
  EXPECT_TRUE(at.store->may_hold(std::string(250, 'x')) && at.store->may_hold("j\xc3\xbcrgen"));
  for (const std::string& key : {std::string(251, 'x'), std::string("a b"), std::string("a\n"),
                                 std::string("a\0b", 3), std::string("\x7f")})
    EXPECT_FALSE(at.store->may_hold(key)) << key;
}

TEST_F(MemcachedStoreTest, ErrorsAreRefusalsAndSomeMeanThatItIsFull) {
  StoreClient& at = open();
  for (const auto& [error, means] : {std::pair("ERROR", StoreErrc::refused),
                                     std::pair("CLIENT_ERROR bad command line format", StoreErrc::refused),
                                     std::pair("SERVER_ERROR internal", StoreErrc::refused),
                                     std::pair("SERVER_ERROR out of memory storing object", StoreErrc::full),
                                     std::pair("SERVER_ERROR object too large for cache", StoreErrc::full)}) {
    reply_to("mg", std::string(error) + "\r\n");
    EXPECT_EQ(at.get("k")->error(), means) << error;
    reply_to("ms", std::string(error) + "\r\n");
    EXPECT_EQ(at.swap("k", 0, "v")->error(), means) << error;
    EXPECT_TRUE(at.store->available()) << error;
  }
}

TEST_F(MemcachedStoreTest, AReplyThatIsNotExpectedIsRefused) {
  StoreClient& at = open();
  for (const char* const reply : {"HD\r\n", "HD c5\r\n", "VA 1\r\nx\r\n", "VA 1 s1\r\nx\r\n",
                                  "VA 1 c\r\nx\r\n", "VA 1 cx\r\nx\r\n", "MN\r\n"}) {
    reply_to("mg", reply);
    EXPECT_EQ(at.get("k")->error(), StoreErrc::refused) << reply;
  }
  for (const char* const reply : {"MN\r\n", "EN\r\n", "OK\r\n"}) {
    reply_to("ms", reply);
    EXPECT_EQ(at.swap("k", 0, "v")->error(), StoreErrc::refused) << reply;
  }
  EXPECT_TRUE(at.store->available());
}

TEST_F(MemcachedStoreTest, FlagsBehindTheTokenAreNoPartOfIt) {
  StoreClient& at = open();
  reply_to("mg", "VA 1 c17 s1\r\nx\r\n");
  EXPECT_EQ(at.get("k")->value()->token, 17U);
}

TEST_F(MemcachedStoreTest, AValueThatIsTooLargeIsRefusedAndTheNextReplyIsTheNextOnes) {
  StoreClient& at = open();
  peer_.max_value = 1000;
  ASSERT_TRUE(at.write("k", "small"));
  EXPECT_EQ(at.swap("other", 0, std::string(2000, 'x'))->error(), StoreErrc::full);
  EXPECT_EQ(at.read("k"), "small");
}

// Between the refusal and the question what stands, another writer may have been there, or the value expired.
TEST_F(MemcachedStoreTest, ASwapThatLostNamesTheValueOfThatMoment) {
  StoreClient& at = open();
  ASSERT_TRUE(at.write("k", "a"));
  peer_.script = [&](const Words& words) -> std::optional<std::string> {
    if (words.front() == "mg") peer_.values->clear();
    return std::nullopt;
  };
  const auto lost = at.swap("k", 0, "b");
  EXPECT_FALSE(lost->value().done || lost->value().standing);
}

TEST_F(MemcachedStoreTest, ASwapThatLostFailsIfTheQuestionWhatStandsDoes) {
  StoreClient& at = open();
  ASSERT_TRUE(at.write("k", "a"));
  reply_to("mg", "SERVER_ERROR internal\r\n");
  EXPECT_EQ(at.swap("k", 0, "b")->error(), StoreErrc::refused);
  EXPECT_EQ(at.swap("k", 99, "b")->error(), StoreErrc::refused);
}

TEST_F(MemcachedStoreTest, ALateReplyIsNotTakenForTheNextOne) {
  StoreClient& at = open();
  ASSERT_TRUE(at.write("a", "of a") && at.write("b", "of b"));
  peer_.hold = true;
  const auto late = at.start_get("a");
  world_.advance(50ms);
  EXPECT_EQ(late->error(), StoreErrc::timeout);
  const auto next = at.start_get("b");
  peer_.hold = false;
  world_.run();
  ASSERT_TRUE(next->ended() && next->value());
  EXPECT_EQ(next->value()->value, "of b");
}

TEST_F(MemcachedStoreTest, AServerThatWasAwayIsUsedAgain) {
  StoreClient& at = open();
  peer_.close();
  peer_.values->clear();
  world_.advance(1min);
  EXPECT_FALSE(at.store->available());
  EXPECT_NE(at.store->problem().find(peer_.address().text()), std::string::npos);
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  peer_.open();
  EXPECT_TRUE(comes_back());
  EXPECT_TRUE(at.write("k", "v"));
}

// Outdated values would be read once the first server is back.
TEST_F(MemcachedStoreTest, TheKeysOfAServerThatIsDownDoNotMoveToAnother) {
  auto& second = world_.add<MemcachedPeer>();
  config::Store settings = test::memcached_at(peer_);
  settings.nodes.push_back(test::node_at(second.address()));
  StoreClient& at = open(settings);
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) keys.push_back("key" + std::to_string(i));
  for (const std::string& key : keys) ASSERT_TRUE(at.write(key, key));
  EXPECT_GT(peer_.values->size(), 5U);
  EXPECT_GT(second.values->size(), 5U);
  EXPECT_EQ(peer_.values->size() + second.values->size(), keys.size());
  second.close();
  world_.run();
  for (const std::string& key : keys) {
    const bool here = peer_.values->contains(key);
    EXPECT_EQ(at.read(key), here ? key : error_code(StoreErrc::unavailable).message());
    EXPECT_EQ(at.write(key, key), here);
  }
  EXPECT_TRUE(at.store->available());
  EXPECT_NE(at.store->problem().find(second.address().text()), std::string::npos);
  peer_.close();
  world_.run();
  EXPECT_FALSE(at.store->available());
  EXPECT_NE(at.store->problem().find("; "), std::string::npos);
}

TEST_F(MemcachedStoreTest, TwoInstancesAgreeWhichServerHasAKeyWhateverTheOrderOfTheirServers) {
  auto& second = world_.add<MemcachedPeer>();
  config::Store settings = test::memcached_at(peer_);
  settings.nodes.push_back(test::node_at(second.address()));
  StoreClient& at = open(settings);
  std::swap(settings.nodes.front(), settings.nodes.back());
  StoreClient other(world_, settings);
  for (int i = 0; i < 40; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_TRUE(at.write(key, key));
    EXPECT_EQ(other.read(key), key);
  }
}

TEST_F(MemcachedStoreTest, StoppedItFailsAtOnceAndEndsItsConnections) {
  StoreClient& at = open();
  at.store->stop();
  world_.run();
  EXPECT_FALSE(at.store->available());
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  EXPECT_EQ(peer_.connections(), 0U);
}

TEST(StoreErrors, HaveNamesForPeople) {
  std::set<std::string> messages;
  for (const StoreErrc e : {StoreErrc::unavailable, StoreErrc::timeout, StoreErrc::refused, StoreErrc::full})
    EXPECT_TRUE(messages.insert(error_code(e).message()).second);
  EXPECT_FALSE(messages.contains(error_code(99, error_code(StoreErrc::full).category()).message()));
  EXPECT_STREQ(error_code(StoreErrc::full).category().name(), "store");
}

}  // namespace
}  // namespace remora
