#include "support/stores.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/net.h"
#include "support/remora.h"

namespace remora::test {

namespace {
std::string run(const std::string& command) {
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string out;
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  ::pclose(pipe);
  return out;
}
}  // namespace

std::string ask_store(int port, const std::string& line) {
  Socket s = Socket::connect(port);
  if (s.fd() < 0 || !s.send(line + "\r\n")) return {};
  s.receive_some();
  return s.buffer();
}

RedisServer::RedisServer(std::vector<std::string> more)
    : folder_(make_folder()), more_(std::move(more)), port_(free_port()) {
  start();
}

RedisServer::~RedisServer() {
  process_.reset();
  std::filesystem::remove_all(folder_);
}

void RedisServer::start() {
  std::vector<std::string> arguments = {
      "redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1",
      "--save",       "",       "--appendonly",        "no",     "--dir",
      folder_};
  arguments.insert(arguments.end(), more_.begin(), more_.end());
  process_ = std::make_unique<Process>(arguments, folder_ + "/log");
  process_->wait_for_port(port_);
  // It listens on its other ports after this one, and answers when all are open.
  EXPECT_TRUE(eventually([&] { return !ask_store(port_, "PING").empty(); }));
}

void RedisServer::freeze() {
  process_->signal(SIGSTOP);
}

void RedisServer::thaw() {
  process_->signal(SIGCONT);
}

MemcachedServer::MemcachedServer() : port_(free_port()) {
  start();
}

void MemcachedServer::start() {
  std::vector<std::string> arguments = {"memcached",           "-l", "127.0.0.1", "-p",
                                        std::to_string(port_), "-U", "0"};
  if (::geteuid() == 0) arguments.insert(arguments.end(), {"-u", "root"});
  process_ = std::make_unique<Process>(arguments, "/dev/null");
  process_->wait_for_port(port_);
}

RedisCluster::RedisCluster() {
  std::string all;
  for (int i = 0; i < 6; ++i) {
    nodes_.push_back(std::make_unique<RedisServer>(std::vector<std::string>{
        "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port",
        std::to_string(free_port()), "--cluster-replica-validity-factor", "0"}));
    all += " 127.0.0.1:" + std::to_string(nodes_.back()->port());
  }
  const std::string said =
      run("timeout 60 redis-cli --cluster create" + all + " --cluster-replicas 1 --cluster-yes");
  EXPECT_NE(said.find("All 16384 slots covered"), std::string::npos) << said;
  for (const auto& node : nodes_)
    EXPECT_TRUE(eventually([&] {
      return ask_store(node->port(), "CLUSTER INFO").find("cluster_state:ok") != std::string::npos;
    }));
  // A replica can replace its master only once it has a copy.
  for (std::size_t i = 3; i < nodes_.size(); ++i)
    EXPECT_TRUE(eventually([&] {
      return ask_store(nodes_[i]->port(), "INFO replication").find("master_link_status:up") !=
             std::string::npos;
    }));
}

RedisSentinel::RedisSentinel() : folder_(make_folder()), port_(free_port()) {
  master_ = std::make_unique<RedisServer>();
  const std::string master = std::to_string(master_->port());
  replica_ = std::make_unique<RedisServer>(
      std::vector<std::string>{"--replicaof", "127.0.0.1 " + master, "--repl-diskless-sync-delay", "0"});
  std::ofstream(folder_ + "/sentinel.conf")
      << "bind 127.0.0.1\nport " << port_ << "\ndir " << folder_ << "\nsentinel monitor mymaster 127.0.0.1 "
      << master
      << " 1\nsentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n";
  process_ = std::make_unique<Process>(std::vector<std::string>{"redis-sentinel", folder_ + "/sentinel.conf"},
                                       folder_ + "/log");
  process_->wait_for_port(port_);
  EXPECT_TRUE(eventually(
      [&] {
        return ask_store(port_, "SENTINEL MASTER mymaster").find("num-slaves\r\n$1\r\n1") !=
               std::string::npos;
      },
      std::chrono::seconds(30)));
}

RedisSentinel::~RedisSentinel() {
  process_.reset();
  std::filesystem::remove_all(folder_);
}

}  // namespace remora::test
