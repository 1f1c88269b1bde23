// The contract of Store and SessionStore for every kind of store, with fake servers. store_test.cpp checks it
// against real servers.

#include <gtest/gtest.h>

#include <memory>

#include "session/revocation.h"
#include "support/store_world.h"
#include "util/text.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::MemcachedPeer;
using test::RedisPeer;
using test::StoreClient;
using test::StorePeer;

enum class Kind { memory, redis, redis_in_pieces, redis_cluster, memcached, memcached_in_pieces };

SessionKey key_of(std::uint8_t n) {
  SessionKey key;
  key.mac.fill(n);
  return key;
}

class StoreContract : public ::testing::TestWithParam<Kind> {
 protected:
  StoreContract() {
    settings_.kind = config::StoreKind::memory;
    switch (GetParam()) {
      case Kind::memory:
        break;
      case Kind::redis:
      case Kind::redis_in_pieces: {
        auto& peer = world_.add<RedisPeer>();
        if (GetParam() == Kind::redis_in_pieces) peer.piece = 1;
        settings_ = test::redis_at(peer);
        break;
      }
      case Kind::redis_cluster: {
        auto& peer = world_.add<RedisPeer>(StorePeer::Over::loopback);
        peer.slots = [&peer] { return "*1\r\n" + RedisPeer::range(0, 16383, "127.0.0.1", peer.port()); };
        settings_ = test::redis_at(peer, config::RedisMode::cluster);
        break;
      }
      case Kind::memcached:
      case Kind::memcached_in_pieces: {
        auto& peer = world_.add<MemcachedPeer>();
        if (GetParam() == Kind::memcached_in_pieces) peer.piece = 1;
        settings_ = test::memcached_at(peer);
        break;
      }
    }
    const auto values = std::make_shared<MemoryValues>(64U << 20);
    one_ = std::make_unique<StoreClient>(world_, settings_, values);
    two_ = std::make_unique<StoreClient>(world_, settings_, values);
    EXPECT_TRUE(world_.wait_until([&] { return one_->store->available() && two_->store->available(); }));
  }
  Record record_at(std::uint64_t backend, std::uint32_t epoch = 1, std::uint8_t id = 1) const {
    Record r;
    r.binding.id.bytes.fill(id);
    r.binding.backend = backend;
    r.binding.epoch = epoch;
    r.binding.created = r.binding.last_seen = world_.loop.clock.wall_now();
    return r;
  }
  static SessionStore::Outcome bind(StoreClient& at, const SessionKey& key, const Record& r,
                                    bool fresh = true) {
    const auto changed = at.change(key, [r](const auto& now) { return bind_rule(now, r); }, fresh);
    EXPECT_FALSE(changed->error()) << changed->error().message();
    return changed->error() ? SessionStore::Outcome() : changed->value();
  }
  static SessionStore::Outcome move(StoreClient& at, const SessionKey& key, const Record& r) {
    const auto changed = at.change(key, [r](const auto& now) { return move_rule(now, r); });
    EXPECT_FALSE(changed->error()) << changed->error().message();
    return changed->error() ? SessionStore::Outcome() : changed->value();
  }
  static std::optional<Record> find(StoreClient& at, const SessionKey& key) {
    const auto found = at.find(key);
    EXPECT_FALSE(found->error()) << found->error().message();
    return found->error() ? std::nullopt : found->value();
  }

  test::StoreWorld world_;
  config::Store settings_;
  std::unique_ptr<StoreClient> one_, two_;
};

TEST_P(StoreContract, WhatOneInstanceWritesTheOtherReads) {
  EXPECT_EQ(two_->read("k"), "(none)");
  EXPECT_TRUE(one_->write("k", "value"));
  EXPECT_EQ(two_->read("k"), "value");
  EXPECT_EQ(two_->store->problem(), "");
}

TEST_P(StoreContract, AddingFailsIfTheKeyExistsAndNamesTheValueThatStands) {
  EXPECT_TRUE(one_->swap("k", 0, "first")->value().done);
  const auto second = two_->swap("k", 0, "second");
  ASSERT_FALSE(second->error());
  EXPECT_FALSE(second->value().done);
  ASSERT_TRUE(second->value().standing);
  EXPECT_EQ(second->value().standing->value, "first");
  EXPECT_EQ(one_->read("k"), "first");
}

TEST_P(StoreContract, ASwapNeedsTheTokenOfTheLastWrite) {
  one_->write("k", "a");
  const auto seen = one_->get("k")->value();
  ASSERT_TRUE(seen);
  EXPECT_TRUE(two_->swap("k", seen->token, "b")->value().done);
  const auto late = one_->swap("k", seen->token, "c");
  EXPECT_FALSE(late->value().done);
  ASSERT_TRUE(late->value().standing);
  EXPECT_EQ(late->value().standing->value, "b");
  EXPECT_TRUE(one_->swap("k", late->value().standing->token, "c")->value().done);
  EXPECT_EQ(two_->read("k"), "c");
}

// A value that was written back and forth is another one: the token differs though the bytes do not.
TEST_P(StoreContract, TheSameBytesWrittenAgainHaveAnotherToken) {
  one_->write("k", "a");
  const auto seen = one_->get("k")->value();
  two_->write("k", "b");
  two_->write("k", "a");
  EXPECT_FALSE(one_->swap("k", seen->token, "c")->value().done);
}

TEST_P(StoreContract, ASwapOfAKeyThatIsGoneSaysThatThereIsNone) {
  const auto swapped = one_->swap("k", 77, "value");
  ASSERT_FALSE(swapped->error());
  EXPECT_FALSE(swapped->value().done);
  EXPECT_FALSE(swapped->value().standing);
  EXPECT_EQ(one_->read("k"), "(none)");
}

TEST_P(StoreContract, AValueLivesForItsTimeAndNoLonger) {
  ASSERT_TRUE(one_->swap("k", 0, "value", 2s)->value().done);
  world_.advance(1990ms);
  EXPECT_EQ(two_->read("k"), "value");
  world_.advance(20ms);
  EXPECT_EQ(two_->read("k"), "(none)");
  EXPECT_TRUE(two_->swap("k", 0, "next")->value().done);
}

TEST_P(StoreContract, EachWriteSetsTheLifetimeAnew) {
  ASSERT_TRUE(one_->swap("k", 0, "value", 2s)->value().done);
  const auto seen = one_->get("k")->value();
  ASSERT_TRUE(one_->swap("k", seen->token, "longer", 10s)->value().done);
  world_.advance(8s);
  EXPECT_EQ(two_->read("k"), "longer");
}

TEST_P(StoreContract, ValuesOfEveryByteAndManySizesAreKeptWhole) {
  std::string every_byte;
  for (int i = 0; i < 512; ++i) every_byte += static_cast<char>(i);
  for (const std::string& value :
       {std::string(), std::string("\r\n"), std::string("EN\r\n"), every_byte, std::string(20000, '\0')}) {
    EXPECT_TRUE(one_->write("k", value));
    EXPECT_EQ(two_->read("k"), value) << value.size();
  }
}

TEST_P(StoreContract, OperationsUnderWayAtOnceGetEachItsOwnReply) {
  for (const std::string key : {"a", "b", "c"}) one_->write(key, "value of " + key);
  std::vector<test::Running<StoreClient::Value>> reads;
  for (int round = 0; round < 20; ++round)
    for (const std::string key : {"a", "b", "c", "none"}) reads.push_back(two_->start_get(key));
  for (std::size_t i = 0; i < reads.size(); ++i) {
    reads[i] = world_.finish(std::move(reads[i]), 50ms);
    ASSERT_FALSE(reads[i]->error());
    const std::string key = i % 4 == 3 ? "none" : std::string(1, static_cast<char>('a' + i % 4));
    const auto& found = reads[i]->value();
    EXPECT_EQ(found ? found->value : "nothing", key == "none" ? "nothing" : "value of " + key);
  }
}

TEST_P(StoreContract, OfTwoFirstWritersOneWinsAndBothSeeWho) {
  EXPECT_TRUE(bind(*one_, key_of(1), record_at(11)).changed);
  const auto second = bind(*two_, key_of(1), record_at(22));
  EXPECT_FALSE(second.changed);
  ASSERT_TRUE(second.record);
  EXPECT_EQ(second.record->binding.backend, 11U);
}

TEST_P(StoreContract, OfTwoWritersWhoBothReadNothingOneWins) {
  const SessionKey key = key_of(1);
  const auto start = [&](StoreClient& at, std::uint64_t backend) {
    const Record r = record_at(backend);
    return world_.start<SessionStore::Outcome>(
        [&](StoreCall call) {
          return at.sessions.change(
              key, [r](const auto& now) { return bind_rule(now, r); }, at.lifetimes, false, call);
        },
        50ms);
  };
  auto first = start(*one_, 11);
  auto second = start(*two_, 22);
  first = world_.finish(std::move(first), 50ms);
  second = world_.finish(std::move(second), 50ms);
  ASSERT_TRUE(!first->error() && !second->error());
  EXPECT_NE(first->value().changed, second->value().changed);
  EXPECT_EQ(first->value().record->binding.backend, second->value().record->binding.backend);
}

TEST_P(StoreContract, AMoveNeedsTheNextEpochAndOfTwoTheFirstStands) {
  bind(*one_, key_of(1), record_at(11));
  EXPECT_TRUE(move(*one_, key_of(1), record_at(22, 2)).changed);
  const auto late = move(*two_, key_of(1), record_at(33, 2));
  EXPECT_FALSE(late.changed);
  ASSERT_TRUE(late.record);
  EXPECT_EQ(late.record->binding.backend, 22U);
  EXPECT_TRUE(move(*two_, key_of(1), record_at(33, 3)).changed);
  EXPECT_EQ(find(*one_, key_of(1))->binding.epoch, 3U);
}

TEST_P(StoreContract, AnEndedSessionIsNotRevivedButItsNameMayBeginAnother) {
  bind(*one_, key_of(1), record_at(11));
  Record over = record_at(11);
  over.ended = true;
  one_->change(key_of(1), [over](const auto& now) { return end_rule(now, over); });
  EXPECT_FALSE(move(*two_, key_of(1), record_at(22, 2)).changed);
  EXPECT_FALSE(bind(*two_, key_of(1), record_at(11)).changed);
  EXPECT_TRUE(find(*two_, key_of(1))->ended);
  EXPECT_TRUE(bind(*two_, key_of(1), record_at(22, 1, 9)).changed);
}

TEST_P(StoreContract, AMarkOfAnEndedSessionOutlivesTheSession) {
  one_->lifetimes.idle_timeout = 60s;
  one_->lifetimes.max_lifetime = 10s;
  bind(*one_, key_of(1), record_at(11));
  world_.advance(9s);
  Record over = *find(*one_, key_of(1));
  over.ended = true;
  one_->change(key_of(1), [over](const auto& now) { return end_rule(now, over); });
  world_.advance(30s);
  const auto mark = find(*two_, key_of(1));
  EXPECT_TRUE(mark && mark->ended);
}

TEST_P(StoreContract, GarbageUnderOurKeysIsNoRecordAndIsOverwritten) {
  for (const std::string& garbage : {std::string(), std::string("x"), encode(record_at(5)).substr(0, 20)}) {
    std::string name = "remora:s:";
    const SessionKey key = key_of(static_cast<std::uint8_t>(garbage.size()));
    base64url_append(name, key.mac.data(), key.mac.size());
    ASSERT_TRUE(one_->write(name, garbage));
    EXPECT_FALSE(find(*two_, key));
    EXPECT_TRUE(bind(*two_, key, record_at(22)).changed);
    EXPECT_EQ(find(*one_, key)->binding.backend, 22U);
  }
}

TEST_P(StoreContract, RevokedIsWhatStandsUnderTheValuesKeyOrUnderTheValueItself) {
  for (const std::string& value : {std::string("jti-1"), std::string("John Smith"), std::string(201, 'x'),
                                   std::string("a\r\nb"), std::string()}) {
    EXPECT_FALSE(one_->revoked(value)->value()) << value;
    ASSERT_TRUE(one_->write(revocation_key("remora", value), "1"));
    EXPECT_TRUE(two_->revoked(value)->value()) << value;
  }
  const std::string by_hand(205, 'y');
  EXPECT_FALSE(two_->revoked(by_hand)->value());
  ASSERT_TRUE(one_->write("remora:revoked:" + by_hand, "1"));
  EXPECT_TRUE(two_->revoked(by_hand)->value());
}

std::string name_of(const ::testing::TestParamInfo<Kind>& info) {
  const char* const names[] = {"memory",        "redis",     "redis_in_pieces",
                               "redis_cluster", "memcached", "memcached_in_pieces"};
  return names[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Stores, StoreContract,
                         ::testing::Values(Kind::memory, Kind::redis, Kind::redis_in_pieces,
                                           Kind::redis_cluster, Kind::memcached, Kind::memcached_in_pieces),
                         name_of);

}  // namespace
}  // namespace remora
