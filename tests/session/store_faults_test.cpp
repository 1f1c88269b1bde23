// Fault injection: each scenario is repeated with a fault at its first, second, ... command, until it
// completes without one, for each kind of fault. Every operation must end within its deadline with a result
// or an expected error, no caller may receive another's reply, and everything must work again afterwards.

#include <gtest/gtest.h>

#include <set>

#include "session/store_writer.h"
#include "support/store_world.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::Faults;
using test::MemcachedPeer;
using test::RedisPeer;
using test::Spoil;
using test::StoreClient;
using test::StorePeer;

enum class Server { redis, cluster, sentinel, memcached };

SessionKey key_of(std::uint8_t n) {
  SessionKey key;
  key.mac.fill(n);
  return key;
}

/// Servers that share one count of commands.
struct Servers {
  Servers(Server kind, int at, Spoil how) {
    faults->at = at;
    faults->how = how;
    if (kind == Server::memcached) {
      settings = test::memcached_at(shared(world.add<MemcachedPeer>()));
      return;
    }
    if (kind == Server::redis) {
      settings = test::redis_at(shared(world.add<RedisPeer>()));
      return;
    }
    RedisPeer& server = shared(world.add<RedisPeer>(StorePeer::Over::loopback));
    if (kind == Server::cluster) {
      server.slots = [&server] { return "*1\r\n" + RedisPeer::range(0, 16383, "127.0.0.1", server.port()); };
      settings = test::redis_at(server, config::RedisMode::cluster);
      return;
    }
    RedisPeer& sentinel = shared(world.add<RedisPeer>());
    sentinel.master_address = [&server] { return RedisPeer::place("127.0.0.1", server.port()); };
    settings = test::redis_at(sentinel, config::RedisMode::sentinel);
  }
  template <class Peer>
  Peer& shared(Peer& peer) {
    peer.faults = faults;
    return peer;
  }
  Record record_at(std::uint64_t backend, std::uint32_t epoch, std::uint8_t session) const {
    Record r;
    r.binding.id.bytes.fill(session);
    r.binding.backend = backend;
    r.binding.epoch = epoch;
    r.binding.created = r.binding.last_seen = world.loop.clock.wall_now();
    return r;
  }

  std::shared_ptr<Faults> faults = std::make_shared<Faults>();
  test::StoreWorld world;
  config::Store settings;
};

class EachCommandFails : public ::testing::TestWithParam<std::tuple<Server, Spoil>> {
 protected:
  /// Runs `scenario` with a fault at each of its commands.
  template <class Scenario>
  void at_each(Scenario scenario) {
    constexpr int too_many = 300;
    for (int at = 0; at < too_many; ++at) {
      SCOPED_TRACE("command " + std::to_string(at));
      Servers servers(std::get<0>(GetParam()), at, std::get<1>(GetParam()));
      scenario(servers);
      if (!servers.faults->happened()) return;
      if (HasFatalFailure()) return;
    }
    FAIL() << "the scenario has no end";
  }
  static bool may_be(const error_code& error) {
    return error == StoreErrc::unavailable || error == StoreErrc::timeout || error == StoreErrc::refused;
  }
  /// The record found once the store works again.
  static std::optional<Record> find(Servers& servers, StoreClient& client, const SessionKey& key) {
    std::optional<Record> record;
    EXPECT_TRUE(servers.world.advance_until(
        [&] {
          const auto found = client.find(key);
          if (!found->error()) record = found->value();
          return !found->error();
        },
        10s));
    return record;
  }
  static bool ready(Servers& servers, const StoreClient& client) {
    return servers.world.advance_until([&] { return client.store->available(); }, 5s);
  }
};

/// Scenarios with concurrent operations, against a single server.
class EachCommandOfAServerFails : public EachCommandFails {};

/// The result of one change. Not `known`: it failed, and may or may not have been applied.
struct Told {
  bool known = false, changed = false;
  std::optional<Record> record;
};

TEST_P(EachCommandFails, OfASessionsLife) {
  at_each([&](Servers& servers) {
    StoreClient one(servers.world, servers.settings), two(servers.world, servers.settings);
    ASSERT_TRUE(ready(servers, one) && ready(servers, two));
    const auto change = [&](StoreClient& at, const SessionStore::Rule& rule, bool fresh = false) {
      const auto done = at.change(key_of(1), rule, fresh);
      Told told;
      if (done->error()) {
        EXPECT_TRUE(may_be(done->error())) << done->error().message();
        EXPECT_LE(servers.world.loop.now() - done->began, StoreClient::limit + 2 * DeadlineWheel::tick);
        return told;
      }
      told = {true, done->value().changed, done->value().record};
      return told;
    };
    const Record first = servers.record_at(11, 1, 1), rival = servers.record_at(22, 1, 1),
                 moved = servers.record_at(33, 2, 1);
    const Told a = change(one, [&](const auto& now) { return bind_rule(now, first); }, true);
    const Told b = change(two, [&](const auto& now) { return bind_rule(now, rival); }, true);
    EXPECT_FALSE(a.changed && b.changed);
    if (a.known && b.known) {
      EXPECT_EQ(a.record->binding.backend, b.record->binding.backend);
    }
    const Told c = change(two, [&](const auto& now) { return move_rule(now, moved); });
    if (c.known) {
      EXPECT_EQ(c.record->binding.backend, 33U);
    }
    Saved saved = Saved::saved;
    const Told late = change(one, [&](const auto& now) {
      return save_rule(now, first, 0, [](auto...) { return std::string("late"); }, saved);
    });
    if (late.known && c.known) {
      EXPECT_FALSE(late.changed);
      EXPECT_EQ(saved, Saved::outdated);
    }
    Record over = moved;
    over.ended = true;
    const Told end = change(two, [&](const auto& now) { return end_rule(now, over); });
    const auto found = find(servers, one, key_of(1)), others = find(servers, two, key_of(1));
    if (end.known) {
      EXPECT_TRUE(found && found->ended);
    }
    EXPECT_EQ(found.has_value(), others.has_value());
  });
}

TEST_P(EachCommandOfAServerFails, WhileManyAreUnderWayAndNobodyGetsAnothersReply) {
  at_each([&](Servers& servers) {
    StoreClient client(servers.world, servers.settings);
    ASSERT_TRUE(ready(servers, client));
    std::set<std::string> written;
    for (const std::string key : {"a", "b", "c", "d"})
      if (client.write(key, "of " + key)) written.insert(key);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::pair<std::string, test::Running<StoreClient::Value>>> reads;
      for (const std::string key : {"a", "b", "c", "d", "a", "none", "d"})
        reads.emplace_back(key, client.start_get(key));
      for (auto& [key, read] : reads) {
        read = servers.world.finish(std::move(read), StoreClient::limit);
        if (read->error()) {
          EXPECT_TRUE(may_be(read->error())) << read->error().message();
        } else if (read->value()) {
          EXPECT_EQ(read->value()->value, "of " + key);
        } else {
          EXPECT_FALSE(written.contains(key)) << key;
        }
      }
    }
    EXPECT_TRUE(servers.world.advance_until([&] { return client.write("e", "of e"); }, 10s));
    for (const std::string& key : written)
      EXPECT_TRUE(servers.world.advance_until([&] { return client.read(key) == "of " + key; }, 10s)) << key;
  });
}

TEST_P(EachCommandOfAServerFails, OfWritesThatNobodyWaitsFor) {
  at_each([&](Servers& servers) {
    StoreClient client(servers.world, servers.settings);
    ASSERT_TRUE(ready(servers, client));
    StoreCounts counts;
    StoreWriter writer(servers.world.loop, client.sessions, servers.world.loop.clock, StoreClient::limit,
                       counts);
    for (std::uint8_t n = 1; n <= 6; ++n) {
      StoreWriter::Job job;
      job.key = key_of(n);
      job.record = servers.record_at(n, 1, n);
      job.record.ended = n % 2 == 0;
      writer.later(job);
    }
    EXPECT_TRUE(servers.world.advance_until([&] { return writer.idle(); }, 10s));
    EXPECT_EQ(counts.waiting, 0U);
    std::size_t there = 0;
    for (std::uint8_t n = 1; n <= 6; ++n) {
      const auto record = find(servers, client, key_of(n));
      if (!record) continue;
      ++there;
      EXPECT_EQ(record->binding.backend, n);
      EXPECT_EQ(record->ended, n % 2 == 0);
    }
    EXPECT_EQ(there + counts.dropped, 6U);
    EXPECT_LE(counts.dropped, 1U);  // only what the server refused
    writer.stop();
    servers.world.run();
  });
}

TEST_P(EachCommandOfAServerFails, OfTheLookUpOfARevokedValue) {
  at_each([&](Servers& servers) {
    StoreClient client(servers.world, servers.settings);
    ASSERT_TRUE(ready(servers, client));
    EXPECT_TRUE(servers.world.advance_until([&] { return client.write("remora:revoked:bad", "1"); }, 10s));
    for (int round = 0; round < 3; ++round)
      for (const std::string& value : {std::string("bad"), std::string("good"), std::string(210, 'g')}) {
        const auto said = client.revoked(value);
        if (said->error()) {
          EXPECT_TRUE(may_be(said->error()));
        } else {
          EXPECT_EQ(said->value(), value == "bad");
        }
      }
  });
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Server, Spoil>>& info) {
  const char* const servers[] = {"redis", "cluster", "sentinel", "memcached"};
  const char* const spoils[] = {"close_unread", "close_done", "half_closed", "half_stalled",
                                "silent",       "late",       "garbage",     "error"};
  return std::string(servers[static_cast<int>(std::get<0>(info.param))]) + "_" +
         spoils[static_cast<int>(std::get<1>(info.param))];
}
constexpr Server all_servers[] = {Server::redis, Server::cluster, Server::sentinel, Server::memcached};
INSTANTIATE_TEST_SUITE_P(Stores, EachCommandFails,
                         ::testing::Combine(::testing::ValuesIn(all_servers),
                                            ::testing::ValuesIn(test::all_spoils)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Stores, EachCommandOfAServerFails,
                         ::testing::Combine(::testing::Values(Server::redis, Server::memcached),
                                            ::testing::ValuesIn(test::all_spoils)),
                         name_of);

}  // namespace
}  // namespace remora
