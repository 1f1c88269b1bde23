// Redis cluster (moving slots, redirections, failing nodes) and Redis behind sentinels (failover, logins).

#include <gtest/gtest.h>

#include "session/redis_store.h"
#include "support/store_world.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::RedisPeer;
using test::StoreClient;
using test::StorePeer;

class SeveralServers : public ::testing::Test {
 protected:
  RedisPeer& server() { return world_.add<RedisPeer>(StorePeer::Over::loopback); }
  StoreClient& open(const config::Store& settings) {
    client_.reset();
    client_ = std::make_unique<StoreClient>(world_, settings);
    return *client_;
  }
  bool available() {
    return world_.wait_until([&] { return client_->store->available(); });
  }
  /// By the manual clock.
  template <class Done>
  bool comes(Done done, std::chrono::milliseconds within = 6s) {
    return world_.advance_until(done, within);
  }
  bool works(const std::string& key) {
    return comes([&] { return client_->write(key, "value") && client_->read(key) == "value"; });
  }

  test::StoreWorld world_;
  std::unique_ptr<StoreClient> client_;
};

// Cluster -------------------------------------------------------------------------------------------

class RedisClusterTest : public SeveralServers {
 protected:
  RedisClusterTest() {
    for (RedisPeer* node : {&low_, &high_}) node->slots = [this] { return topology(); };
    own();
  }
  ~RedisClusterTest() override { client_.reset(); }  // before what the nodes' replies are made of
  /// Slots below `border_` are of one node, the others of the other.
  std::string topology() const {
    if (border_ == 0) return "*1\r\n" + RedisPeer::range(0, 16383, "127.0.0.1", high_.port());
    return "*2\r\n" + RedisPeer::range(0, border_ - 1, "127.0.0.1", low_.port()) +
           RedisPeer::range(border_, 16383, "127.0.0.1", high_.port());
  }
  void own() {
    low_.elsewhere = [this](const std::string& key, bool) { return redirection(key, high_, true); };
    high_.elsewhere = [this](const std::string& key, bool) { return redirection(key, low_, false); };
  }
  std::string redirection(const std::string& key, const RedisPeer& to, bool low) const {
    const int slot = redis_slot(key);
    if ((slot < border_) == low) return {};
    return "MOVED " + std::to_string(slot) + " 127.0.0.1:" + std::to_string(to.port());
  }
  StoreClient& open_cluster() {
    open(test::redis_at(low_, config::RedisMode::cluster));
    EXPECT_TRUE(available());
    return *client_;
  }
  /// A key of a slot below or from 8192 on.
  static std::string key(bool low, int from = 0) {
    for (int i = from;; ++i) {
      std::string name = "key" + std::to_string(i);
      if ((redis_slot(name) < 8192) == low) return name;
    }
  }

  int border_ = 8192;
  RedisPeer& low_ = server();
  RedisPeer& high_ = server();
};

TEST_F(RedisClusterTest, EachKeyIsAskedForAtTheNodeOfItsSlot) {
  StoreClient& at = open_cluster();
  EXPECT_TRUE(at.write(key(true), "low") && at.write(key(false), "high"));
  EXPECT_EQ(at.read(key(true)), "low");
  EXPECT_TRUE(low_.values->contains("0/" + key(true)) && high_.values->contains("0/" + key(false)));
  EXPECT_EQ(low_.count("GET"), 2U);
  EXPECT_EQ(high_.count("GET"), 1U);
}

TEST_F(RedisClusterTest, IsNotAvailableBeforeItsSlotsAreKnown) {
  low_.script = [](const StorePeer::Words& words) {
    return words.front() == "CLUSTER" ? std::optional("-ERR This instance has cluster support disabled\r\n")
                                      : std::nullopt;
  };
  StoreClient& at = open(test::redis_at(low_, config::RedisMode::cluster));
  world_.advance(1s);
  EXPECT_FALSE(at.store->available());
  EXPECT_NE(at.store->problem(), "");
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  low_.script = nullptr;
  EXPECT_TRUE(works("k"));
}

TEST_F(RedisClusterTest, SlotsThatMakeNoSenseAreNotAdopted) {
  std::string reply;
  low_.slots = [&] { return reply; };
  StoreClient& at = open(test::redis_at(low_, config::RedisMode::cluster));
  for (const std::string& nonsense :
       {std::string("*0\r\n"), std::string(":1\r\n"), std::string("*1\r\n:1\r\n"),
        std::string("*1\r\n*0\r\n"), "*1\r\n" + RedisPeer::range(-1, 5, "127.0.0.1", 1),
        "*1\r\n" + RedisPeer::range(5, 4, "127.0.0.1", 1),
        "*1\r\n" + RedisPeer::range(0, 16384, "127.0.0.1", 1),
        "*1\r\n" + RedisPeer::range(0, 5, "127.0.0.1", 0)}) {
    reply = nonsense;
    world_.advance(700ms);
    EXPECT_FALSE(at.store->available()) << nonsense;
  }
  reply = topology();
  EXPECT_TRUE(works(key(true)));
}

TEST_F(RedisClusterTest, ANodeWithoutANameIsAtTheHostThatWasAsked) {
  low_.slots = [&] { return "*1\r\n" + RedisPeer::range(0, 16383, "", low_.port()); };
  border_ = 16384;
  StoreClient& at = open_cluster();
  EXPECT_TRUE(at.write("k", "v"));
}

TEST_F(RedisClusterTest, ASlotThatMovedIsFollowedAndThenKnown) {
  StoreClient& at = open_cluster();
  const std::string moved = key(true);
  ASSERT_TRUE(at.write(moved, "before"));
  high_.values = low_.values;
  border_ = 0;
  EXPECT_EQ(at.read(moved), "before");
  world_.advance(1s);  // the slots have been read again
  const std::size_t asked = low_.count("GET");
  EXPECT_EQ(at.read(moved), "before");
  EXPECT_EQ(low_.count("GET"), asked);
}

TEST_F(RedisClusterTest, AKeyThatIsMovingIsAskedForWhereItGoes) {
  StoreClient& at = open_cluster();
  const std::string moving = key(true);
  low_.elsewhere = [&](const std::string&, bool) {
    return "ASK 1 127.0.0.1:" + std::to_string(high_.port());
  };
  high_.elsewhere = [&](const std::string&, bool asking) {
    return asking ? std::string() : "MOVED 1 127.0.0.1:" + std::to_string(low_.port());
  };
  EXPECT_TRUE(at.write(moving, "moving"));
  EXPECT_EQ(at.read(moving), "moving");
  EXPECT_TRUE(high_.values->contains("0/" + moving));
  EXPECT_EQ(at.read(moving), "moving");  // for that command only: the next begins where the slot is
  EXPECT_GE(low_.count("GET"), 3U);
}

TEST_F(RedisClusterTest, TwoNodesThatPointToEachOtherAreAskedFiveTimesAtMost) {
  StoreClient& at = open_cluster();
  border_ = 8192;
  low_.elsewhere = [&](const std::string&, bool) {
    return "MOVED 1 127.0.0.1:" + std::to_string(high_.port());
  };
  high_.elsewhere = [&](const std::string&, bool) { return "MOVED 1 :" + std::to_string(low_.port()); };
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  EXPECT_EQ(low_.count("GET") + high_.count("GET"), 5U);
  EXPECT_TRUE(at.store->available());
}

TEST_F(RedisClusterTest, WhileOneNodeIsDownTheKeysOfTheOtherAreThere) {
  StoreClient& at = open_cluster();
  ASSERT_TRUE(at.write(key(true), "low") && at.write(key(false), "high"));
  high_.close();
  ASSERT_TRUE(world_.wait_until([&] { return at.get(key(false))->error() == StoreErrc::unavailable; }));
  EXPECT_EQ(at.read(key(true)), "low");
  EXPECT_TRUE(at.store->available());
  EXPECT_NE(at.store->problem().find(std::to_string(high_.port())), std::string::npos);
  high_.open();
  EXPECT_TRUE(works(key(false)));
}

TEST_F(RedisClusterTest, AnotherNodeTakesOverTheSlotsOfOneThatDied) {
  StoreClient& at = open_cluster();
  const std::string of_low = key(true);
  ASSERT_TRUE(at.write(of_low, "low"));
  low_.close();
  high_.values = low_.values;
  border_ = 0;
  EXPECT_TRUE(comes([&] { return at.read(of_low) == "low"; }));
}

// Its address was retried forever and stayed in the store's error text.
TEST_F(RedisClusterTest, ANodeThatLeftTheClusterIsForgotten) {
  StoreClient& at = open_cluster();
  ASSERT_TRUE(works(key(false)));
  RedisPeer& successor = server();
  successor.slots = low_.slots = [&] {
    return "*2\r\n" + RedisPeer::range(0, 8191, "127.0.0.1", low_.port()) +
           RedisPeer::range(8192, 16383, "127.0.0.1", successor.port());
  };
  high_.close();
  EXPECT_TRUE(works(key(false)));
  EXPECT_TRUE(comes([&] { return at.store->problem().empty(); }));
  high_.open();
  world_.advance(10s);
  EXPECT_EQ(high_.connections(), 0U);
}

TEST_F(RedisClusterTest, IsAskedAgainAtOnceWhenSomethingIsNotWhereItWas) {
  open_cluster();
  ASSERT_TRUE(works("k"));
  world_.advance(1s);
  const auto asked = [&] { return low_.count("CLUSTER") + high_.count("CLUSTER"); };
  const std::size_t before = asked();
  border_ = 0;
  static_cast<void>(client_->read(key(true)));
  world_.advance(120ms);
  EXPECT_EQ(asked(), before + 1);
  world_.advance(4s);
  EXPECT_EQ(asked(), before + 1);
}

TEST_F(RedisClusterTest, StoppedItAsksNobody) {
  StoreClient& at = open_cluster();
  at.store->stop();
  EXPECT_FALSE(at.store->available());
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  EXPECT_TRUE(world_.wait_until([&] { return low_.connections() + high_.connections() == 0; }));
  world_.advance(10s);
  EXPECT_EQ(low_.connections() + high_.connections(), 0U);
}

// Sentinels -----------------------------------------------------------------------------------------

class RedisSentinelTest : public SeveralServers {
 protected:
  RedisSentinelTest() {
    for (RedisPeer* sentinel : {&first_, &second_})
      sentinel->master_address = [this] { return RedisPeer::place("127.0.0.1", named_->port()); };
  }
  ~RedisSentinelTest() override { client_.reset(); }
  config::Store settings() const {
    config::Store s = test::redis_at(first_, config::RedisMode::sentinel);
    s.nodes.push_back(test::node_at(second_.address()));
    return s;
  }
  void fail_over() {
    named_ = &other_;
    other_.values = master_.values;
  }

  RedisPeer& first_ = world_.add<RedisPeer>();
  RedisPeer& second_ = world_.add<RedisPeer>();
  RedisPeer& master_ = server();
  RedisPeer& other_ = server();
  RedisPeer* named_ = &master_;
};

TEST_F(RedisSentinelTest, TheMasterThatTheyNameIsUsed) {
  StoreClient& at = open(settings());
  EXPECT_TRUE(available());
  EXPECT_TRUE(at.write("k", "v"));
  EXPECT_TRUE(master_.values->contains("0/k"));
  EXPECT_EQ(at.store->problem(), "");
}

TEST_F(RedisSentinelTest, ASentinelThatIsDownIsPassedOver) {
  for (RedisPeer* down : {&first_, &second_}) {
    down->close();
    open(settings());
    EXPECT_TRUE(works("k"));
    EXPECT_NE(client_->store->problem().find("sentinel " + down->address().text()), std::string::npos)
        << client_->store->problem();
    down->open();
  }
}

TEST_F(RedisSentinelTest, AnAnswerThatNamesNoServerIsPassedOver) {
  for (const std::string& nonsense :
       {std::string("*-1\r\n"), std::string("$-1\r\n"), std::string("*1\r\n$1\r\nx\r\n"),
        std::string("*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n"),
        std::string("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n65536\r\n"),
        std::string("*2\r\n$9\r\n127.0.0.1\r\n$1\r\nx\r\n"),
        std::string("-ERR No such master with that name\r\n")}) {
    for (RedisPeer* sentinel : {&first_, &second_}) sentinel->script = nullptr;
    for (RedisPeer* sentinel : {&first_, &second_}) {
      sentinel->script = [&](const StorePeer::Words& words) {
        return words.front() == "SENTINEL" ? std::optional(nonsense) : std::nullopt;
      };
      open(settings());
      if (sentinel == &first_) {
        EXPECT_TRUE(works("k")) << nonsense;
        continue;
      }
      world_.advance(1s);
      EXPECT_FALSE(client_->store->available()) << nonsense;
      EXPECT_NE(client_->store->problem(), "");
    }
  }
}

TEST_F(RedisSentinelTest, TheServerThatTookOverIsFoundWhenTheMasterDies) {
  StoreClient& at = open(settings());
  ASSERT_TRUE(works("k"));
  master_.close();
  world_.advance(500ms);
  EXPECT_EQ(at.get("k")->error(), StoreErrc::unavailable);
  fail_over();
  EXPECT_TRUE(comes([&] { return at.read("k") == "value"; }));
  EXPECT_GE(other_.count("ROLE"), 1U);
}

TEST_F(RedisSentinelTest, AMasterThatWasDemotedIsLeft) {
  StoreClient& at = open(settings());
  ASSERT_TRUE(works("k"));
  master_.script = [](const StorePeer::Words& words) {
    return words.front() == "EVALSHA"
               ? std::optional("-READONLY You can't write against a read only replica.\r\n")
               : std::nullopt;
  };
  master_.master = false;
  fail_over();
  EXPECT_FALSE(at.write("k", "lost"));
  EXPECT_TRUE(works("k"));
  EXPECT_TRUE(world_.wait_until([&] { return master_.connections() == 0; }));
}

TEST_F(RedisSentinelTest, AMasterThatIsNoneIsNotUsed) {
  master_.master = false;
  StoreClient& at = open(settings());
  EXPECT_TRUE(world_.wait_until([&] { return !at.store->available() && !at.store->problem().empty(); }));
  world_.advance(1s);
  EXPECT_FALSE(at.store->available());
  EXPECT_EQ(master_.count("GET"), 0U);
  master_.master = true;
  EXPECT_TRUE(works("k"));
}

TEST_F(RedisSentinelTest, AFailoverThatNoCommandNoticedIsSeenWithinSeconds) {
  open(settings());
  ASSERT_TRUE(works("k"));
  fail_over();
  EXPECT_TRUE(comes([&] { return other_.connections() > 0 && master_.connections() == 0; }));
  EXPECT_TRUE(works("k"));
}

TEST_F(RedisSentinelTest, EachSideHasALoginOfItsOwn) {
  for (RedisPeer* sentinel : {&first_, &second_}) sentinel->password = "s3ntinel";
  master_.password = "m4ster";
  config::Store s = settings();
  for (config::StoreNode& node : s.nodes) node.password = "s3ntinel";
  s.redis_master_password = "m4ster";
  s.nodes.front().database = 4;
  s.nodes.back().database = 4;
  open(s);
  EXPECT_TRUE(works("k"));
  EXPECT_EQ(first_.count("SELECT"), 0U);  // sentinels have no databases
  EXPECT_TRUE(master_.values->contains("4/k"));
}

TEST_F(RedisSentinelTest, ALoginThatIsSharedMayBeUnknownToEitherSide) {
  config::Store s = settings();
  for (config::StoreNode& node : s.nodes) {
    node.password = "shared";
    node.login_is_shared = true;
  }
  s.redis_master_password = "shared";
  s.redis_master_login_is_shared = true;
  master_.password = "shared";  // the sentinels have none
  open(s);
  EXPECT_TRUE(works("k"));
  master_.password.clear();
  open(s);
  EXPECT_TRUE(works("k"));
}

TEST_F(RedisSentinelTest, AWrongPasswordNamesItsSideAndNotItself) {
  master_.password = "m4ster";
  config::Store s = settings();
  s.redis_master_password = "hunter2";
  StoreClient& at = open(s);
  EXPECT_TRUE(world_.wait_until([&] { return at.store->problem().find("WRONGPASS") != std::string::npos; }));
  EXPECT_NE(at.store->problem().find("master 127.0.0.1"), std::string::npos) << at.store->problem();
  EXPECT_EQ(at.store->problem().find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace remora
