// Real stores for tests: redis-server, a cluster, sentinels, memcached. All listen on loopback, and end with
// the test.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/process.h"

namespace remora::test {

/// Sends one command and returns the first bytes of the reply. Empty: no reply.
std::string ask_store(int port, const std::string& line);

class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> more = {});
  ~RedisServer();
  int port() const noexcept { return port_; }
  void start();
  void kill() { process_->kill(); }
  void freeze();
  void thaw();

 private:
  std::string folder_;
  std::vector<std::string> more_;
  int port_;
  std::unique_ptr<Process> process_;
};

class MemcachedServer {
 public:
  MemcachedServer();
  int port() const noexcept { return port_; }
  void start();
  void kill() { process_->kill(); }

 private:
  int port_;
  std::unique_ptr<Process> process_;
};

/// Three masters with one replica each.
class RedisCluster {
 public:
  RedisCluster();
  int seed() const { return nodes_.back()->port(); }
  std::vector<std::unique_ptr<RedisServer>>& nodes() { return nodes_; }

 private:
  std::vector<std::unique_ptr<RedisServer>> nodes_;  // 0..2 masters, 3..5 replicas
};

/// A master, a replica and one sentinel.
class RedisSentinel {
 public:
  RedisSentinel();
  ~RedisSentinel();
  int port() const noexcept { return port_; }
  RedisServer& master() { return *master_; }

 private:
  std::string folder_;
  std::unique_ptr<RedisServer> master_, replica_;
  int port_;
  std::unique_ptr<Process> process_;
};

}  // namespace remora::test
