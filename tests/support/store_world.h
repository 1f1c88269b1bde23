// A manual loop with fake store servers (support/store_peer.h), and store clients on it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "session/session_store.h"
#include "session/stores.h"
#include "support/manual_loop.h"
#include "support/memcached_peer.h"
#include "support/redis_peer.h"

namespace remora::test {

/// A store operation in progress, and its result.
template <class T>
struct Operation {
  Operation(DeadlineWheel& wheel, Clock::Steady from) : wake(wheel), began(from) {}
  EventFlags wake;
  Clock::Steady began;
  std::optional<Result<T>> result;
  bool ended() const noexcept { return result.has_value(); }
  error_code error() const { return ended() && !result->has_value() ? result->error() : error_code(); }
  /// REQUIRES: it succeeded.
  const T& value() const { return result.value().value(); }
};
template <class T>
using Running = std::unique_ptr<Operation<T>>;

class StoreWorld {
 public:
  using Value = std::optional<Store::Found>;

  StoreWorld() = default;
  StoreWorld(const StoreWorld&) = delete;
  StoreWorld& operator=(const StoreWorld&) = delete;
  ~StoreWorld() { loop.settle(); }

  template <class Peer>
  Peer& add(StorePeer::Over over = StorePeer::Over::unix_socket) {
    real_ = real_ || over == StorePeer::Over::loopback;
    auto peer = std::make_unique<Peer>(loop.clock, over);
    Peer& added = *peer;
    peers_.push_back(std::move(peer));
    return added;
  }

  /// Runs the loop and the servers until neither has anything to do. No manual time passes.
  void run() {
    constexpr int max_rounds = 200'000;
    for (int i = 0; i < max_rounds; ++i) {
      loop.settle();
      bool any = false;
      for (const auto& peer : peers_) any = peer->step() || any;
      if (!any && !(real_ && bytes_arrive(std::chrono::microseconds(30)))) return;
    }
    throw std::runtime_error("the stores never become quiet");
  }
  void advance(std::chrono::nanoseconds by) {
    run();
    const Clock::Steady end = loop.now() + by;
    while (loop.now() < end) {
      loop.jump(std::min<std::chrono::nanoseconds>(DeadlineWheel::tick, end - loop.now()));
      run();
    }
  }
  /// Advances manual time until `done()`. False: not done within `limit`.
  template <class Done>
  bool advance_until(Done done, std::chrono::nanoseconds limit) {
    run();
    const Clock::Steady end = loop.now() + limit;
    for (; !done(); advance(DeadlineWheel::tick))
      if (loop.now() >= end) return false;
    return true;
  }
  /// Runs until `done()` without advancing manual time, for results of other threads or of the kernel.
  /// Bounded.
  template <class Done>
  bool wait_until(Done done, int max_rounds = 5000) {
    for (int i = 0; i < max_rounds; ++i) {
      run();
      if (done()) return true;
      bytes_arrive(std::chrono::milliseconds(2));
    }
    return false;
  }

  /// Starts an operation and runs until nothing happens without time passing.
  template <class T, class Begin>
  Running<T> start(Begin begin, std::chrono::milliseconds limit) {
    auto operation = std::make_unique<Operation<T>>(loop.wheel, loop.now());
    const StoreCall call{operation->wake, loop.now() + limit};
    Task<Result<T>> task = begin(call);
    asio::co_spawn(loop.ctx.get_executor(), std::move(task),
                   [&op = *operation](const std::exception_ptr& e, Result<T> r) {
                     if (e) std::rethrow_exception(e);
                     op.result.emplace(std::move(r));
                   });
    run();
    return operation;
  }
  /// Advances manual time until the operation has ended. Fails the test if it exceeds its limit.
  template <class T>
  Running<T> finish(Running<T> operation, std::chrono::milliseconds limit) {
    EXPECT_TRUE(advance_until([&] { return operation->ended(); }, limit + 2 * DeadlineWheel::tick))
        << "an operation hangs";
    if (!operation->ended()) throw std::runtime_error("an operation hangs");
    return operation;
  }

  ManualLoop loop;

 private:
  /// Waits in real time until a peer has something to read.
  bool bytes_arrive(std::chrono::microseconds within) {
    std::vector<pollfd> fds;
    for (const auto& peer : peers_) peer->add_to(fds);
    const timespec limit{0, std::chrono::nanoseconds(within).count()};
    return ::ppoll(fds.data(), fds.size(), &limit, nullptr) > 0;
  }
  std::vector<std::unique_ptr<StorePeer>> peers_;
  bool real_ = false;
};

/// One process's access to a store. Lifetime: ends before its world.
class StoreClient {
 public:
  using Value = StoreWorld::Value;
  static constexpr std::chrono::milliseconds limit{50};

  StoreClient(StoreWorld& in, const config::Store& settings, std::shared_ptr<MemoryValues> values = nullptr,
              const std::vector<std::string>& dns_servers = {})
      : world(in),
        store(make_store(in.loop, in.loop.clock, settings, dns_servers, nullptr, std::move(values), 7)),
        sessions(*store, settings.prefix, in.loop.clock) {}
  ~StoreClient() {
    store->stop();
    world.run();
  }
  StoreClient(const StoreClient&) = delete;
  StoreClient& operator=(const StoreClient&) = delete;

  Running<Value> start_get(const std::string& key, std::chrono::milliseconds within = limit) {
    return world.start<Value>([&](StoreCall call) { return store->get(key, call); }, within);
  }
  Running<Store::Swapped> start_swap(const std::string& key, std::uint64_t expected, const std::string& value,
                                     std::chrono::milliseconds ttl = std::chrono::minutes(1),
                                     std::chrono::milliseconds within = limit) {
    return world.start<Store::Swapped>(
        [&](StoreCall call) { return store->swap(key, expected, value, ttl, call); }, within);
  }
  Running<Value> get(const std::string& key) { return world.finish(start_get(key), limit); }
  Running<Store::Swapped> swap(const std::string& key, std::uint64_t expected, const std::string& value,
                               std::chrono::milliseconds ttl = std::chrono::minutes(1)) {
    return world.finish(start_swap(key, expected, value, ttl), limit);
  }
  /// The value under `key`, or "(none)", or the error's message.
  std::string read(const std::string& key) {
    const auto got = get(key);
    if (got->error()) return got->error().message();
    return got->value() ? got->value()->value : "(none)";
  }
  /// Reads, then overwrites whatever is stored.
  bool write(const std::string& key, const std::string& value) {
    const auto got = get(key);
    if (got->error()) return false;
    const auto put = swap(key, got->value() ? got->value()->token : 0, value);
    return !put->error() && put->value().done;
  }
  Running<std::optional<Record>> find(const SessionKey& key) {
    return world.finish(
        world.start<std::optional<Record>>([&](StoreCall call) { return sessions.find(key, call); }, limit),
        limit);
  }
  Running<SessionStore::Outcome> change(const SessionKey& key, const SessionStore::Rule& rule,
                                        bool fresh = false) {
    return world.finish(
        world.start<SessionStore::Outcome>(
            [&](StoreCall call) { return sessions.change(key, rule, lifetimes, fresh, call); }, limit),
        limit);
  }
  Running<bool> revoked(const std::string& value) {
    return world.finish(
        world.start<bool>([&](StoreCall call) { return sessions.revoked(value, call); }, limit), limit);
  }

  StoreWorld& world;
  config::Session lifetimes;
  const std::unique_ptr<Store> store;
  SessionStore sessions;
};

inline config::StoreNode node_at(const config::Address& address) {
  config::StoreNode node;
  node.address = address;
  return node;
}
inline config::Store store_at(config::StoreKind kind, const config::Address& address) {
  config::Store settings;
  settings.kind = kind;
  settings.nodes.push_back(node_at(address));
  return settings;
}
inline config::Store redis_at(const RedisPeer& peer, config::RedisMode mode = config::RedisMode::single) {
  config::Store settings = store_at(config::StoreKind::redis, peer.address());
  settings.redis_mode = mode;
  return settings;
}
inline config::Store memcached_at(const MemcachedPeer& peer) {
  return store_at(config::StoreKind::memcached, peer.address());
}

}  // namespace remora::test
