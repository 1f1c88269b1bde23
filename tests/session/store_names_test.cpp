// Store servers configured by host name: names are resolved again for each attempt, and every address is
// tried.

#include <gtest/gtest.h>

#include "support/dns.h"
#include "support/store_world.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::DnsEntry;
using test::NameServer;
using test::RedisPeer;
using test::StoreClient;
using test::StorePeer;
using Type = DnsEntry::Type;

class NamedStore : public ::testing::Test {
 protected:
  StoreClient& open(const std::string& name) {
    config::Store settings = test::redis_at(peer_);
    settings.nodes.front().address.host = name;
    client_ = std::make_unique<StoreClient>(world_, settings, nullptr, std::vector{names_.address()});
    return *client_;
  }
  bool is_up() {
    return world_.wait_until([&] { return peer_.count("PING") > 0; }) && client_->write("k", "v");
  }
  bool is_down() {
    return world_.wait_until([&] { return !client_->store->available(); });
  }
  /// The next attempt, after a pause of the manual clock.
  bool comes_up() {
    constexpr int attempts = 10, rounds = 100;
    for (int i = 0; i < attempts; ++i) {
      world_.advance(2600ms);
      if (world_.wait_until([&] { return client_->store->available(); }, rounds) && client_->write("k", "v"))
        return true;
    }
    return false;
  }

  test::StoreWorld world_;
  NameServer names_;
  RedisPeer& peer_ = world_.add<RedisPeer>(StorePeer::Over::loopback);
  std::unique_ptr<StoreClient> client_;
};

TEST_F(NamedStore, IsFoundByItsName) {
  names_.set("redis.store.test", {{Type::a, "127.0.0.1"}});
  StoreClient& at = open("redis.store.test");
  EXPECT_TRUE(at.store->available());  // hopeful: the first requests wait for it
  EXPECT_TRUE(is_up());
}

TEST_F(NamedStore, EveryAddressIsTried) {
  names_.set("redis.store.test",
             {{Type::a, "127.0.0.101"}, {Type::a, "127.0.0.102"}, {Type::a, "127.0.0.1"}});
  open("redis.store.test");
  EXPECT_TRUE(is_up());
}

TEST_F(NamedStore, ANameThatDoesNotExistIsDownAndFoundOnceItDoes) {
  StoreClient& at = open("redis.store.test");
  EXPECT_TRUE(is_down());
  EXPECT_NE(at.store->problem().find("redis.store.test"), std::string::npos) << at.store->problem();
  names_.set("redis.store.test", {{Type::a, "127.0.0.1"}});
  EXPECT_TRUE(comes_up());
}

TEST_F(NamedStore, ANameServerThatSaysNothingCostsFiveSeconds) {
  names_.set_mood(NameServer::Mood::silent);
  StoreClient& at = open("redis.store.test");
  EXPECT_TRUE(world_.wait_until([&] { return names_.questions() > 0; }));
  world_.loop.jump(4900ms);
  EXPECT_TRUE(at.store->available());
  world_.loop.jump(200ms);
  EXPECT_FALSE(at.store->available());
  EXPECT_NE(at.store->problem(), "");
}

TEST_F(NamedStore, StoppedWhileItsNameIsAskedForItEnds) {
  names_.set_mood(NameServer::Mood::silent);
  StoreClient& at = open("redis.store.test");
  at.store->stop();
  world_.run();
  EXPECT_FALSE(at.store->available());
  EXPECT_EQ(peer_.connections(), 0U);
}

TEST(UnixStore, APathThatIsTooLongIsSaid) {
  test::StoreWorld world;
  config::Store settings =
      test::store_at(config::StoreKind::redis, {config::Address::Kind::unix_path, std::string(200, 'x'), 0});
  const StoreClient at(world, settings);
  world.run();
  EXPECT_FALSE(at.store->available());
  EXPECT_NE(at.store->problem(), "");
}

}  // namespace
}  // namespace remora
