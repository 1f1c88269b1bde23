// gRPC with real clients and servers (grpcio, @grpc/grpc-js) on both sides of remora.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "support/process.h"
#include "support/remora.h"
#include "support/timing.h"

namespace remora::test {
namespace {

using Lines = std::vector<std::string>;
constexpr const char* python = "/usr/bin/python3";  // whose packages are Debian's

class Server {
 public:
  explicit Server(std::string name) : name_(std::move(name)), port_(free_port()) { start(); }
  ~Server() {
    process_.reset();
    std::filesystem::remove_all(folder_);
  }
  void start() {
    process_ = std::make_unique<Process>(Lines{python, REMORA_SOURCE_DIR "/tests/e2e/apps/grpc_server.py",
                                               std::to_string(port_), name_, folder_},
                                         folder_ + "/out");
    EXPECT_TRUE(process_->wait_for_port(port_));
  }
  void kill() { process_->kill(); }
  /// What its health check says from now on.
  void serves(bool serving) const {
    const std::string file = folder_ + "/" + name_ + ".not-serving";
    if (serving)
      std::filesystem::remove(file);
    else
      std::ofstream(file) << "x";
  }
  std::string entry() const {
    return "{id: " + name_ + ", address: \"127.0.0.1:" + std::to_string(port_) + "\"}";
  }

 private:
  const std::string name_, folder_ = make_folder();
  const int port_;
  std::unique_ptr<Process> process_;
};

enum class Client { python, node };

/// A client that runs a scenario, see apps/grpc_client.py.
class Talk {
 public:
  Talk(const Remora& remora, const std::string& scenario, Client client = Client::python)
      : process_(command(remora.port(), scenario, client), output_ + "/out") {}
  ~Talk() {
    process_.kill();
    std::filesystem::remove_all(output_);
  }
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;

  /// Waits until it has said that.
  bool says(const std::string& line) const {
    return eventually([&] {
      for (const std::string& l : lines())
        if (l == line || l.starts_with(line + " ")) return true;
      return false;
    });
  }
  /// What it has said, once it is through; without "end".
  Lines all() const {
    EXPECT_TRUE(says("end")) << text();
    Lines out = lines();
    if (!out.empty()) out.pop_back();
    return out;
  }

  Lines lines() const {
    Lines out;
    std::istringstream in(text());
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }

 private:
  static Lines command(int port, const std::string& scenario, Client client) {
    const std::string apps = REMORA_SOURCE_DIR "/tests/e2e/apps/";
    const bool node = client == Client::node;
    return {node ? "node" : python, apps + (node ? "grpc_client.js" : "grpc_client.py"), std::to_string(port),
            scenario};
  }
  std::string text() const {
    std::ifstream in(output_ + "/out");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const std::string output_ = make_folder();
  Process process_;
};

std::string config(const Lines& backends, const std::string& pool = {}) {
  return simple_config(backends, "protocol: h2\n" + pool, "h2c: on\n");
}

class Grpc : public ::testing::TestWithParam<Client> {
 protected:
  void SetUp() override {
    // `./dev test` says so when no registry gave it grpc-js.
    if (GetParam() == Client::node && std::getenv("REMORA_LACKS_NODE_MODULES") != nullptr)
      GTEST_SKIP() << "no grpc-js";
  }
};

TEST_P(Grpc, CallsOfAllKindsPassWithTheirMetadata) {
  Server a("a");
  Remora remora(config({a.entry()}));
  const Lines expected{"unary a - hello a", "server_stream 4 a", "client_stream a - a,b,c a",
                       "bidi a - one",      "bidi a - two",      "bidi a - three",
                       "bidi ended 0 a",    "big True"};
  EXPECT_EQ(Talk(remora, "kinds", GetParam()).all(), expected);
}

TEST_P(Grpc, StatusesPassAsTheyAre) {
  Server a("a");
  Remora remora(config({a.entry()}));
  const Lines expected{"NOT_FOUND NOT_FOUND as asked a", "UNAVAILABLE UNAVAILABLE as asked a",
                       "RESOURCE_EXHAUSTED RESOURCE_EXHAUSTED as asked a", "nowhere UNIMPLEMENTED"};
  EXPECT_EQ(Talk(remora, "statuses", GetParam()).all(), expected);
}

TEST_P(Grpc, ADeadlineEndsCallsAndStreams) {
  Server a("a");
  Remora remora(config({a.entry()}));
  const Lines expected{"unary DEADLINE_EXCEEDED", "stream began a - hang", "stream DEADLINE_EXCEEDED",
                       "left some"};
  EXPECT_EQ(Talk(remora, "deadline", GetParam()).all(), expected);
}

TEST_P(Grpc, RepliesOfOurOwnAreStatuses) {
  Remora remora(config({"{id: a, address: \"127.0.0.1:" + std::to_string(free_port()) + "\"}"}));
  EXPECT_EQ(Talk(remora, "local", GetParam()).all(), (Lines{"UNAVAILABLE Bad Gateway"}));
}

TEST_P(Grpc, TheBoundServerDiesUnderOpenCallsAndTheNextAreAtAnother) {
  Server a("a"), b("b");
  Remora remora(config({a.entry(), b.entry()}, "affinity: {kind: header, name: x-user, carry: store}\n"));
  const Talk client(remora, "death", GetParam());
  ASSERT_TRUE(client.says("open"));
  const std::string home = client.lines().front().substr(5, 1), other = home == "a" ? "b" : "a";
  (home == "a" ? a : b).kill();
  const Lines all = client.all();
  ASSERT_EQ(all.size(), 9U);
  EXPECT_EQ(all[0].substr(0, 6), "home " + home);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_TRUE(all[i].ends_with(" UNAVAILABLE")) << all[i];
  for (std::size_t i = 6; i < 9; ++i) {
    EXPECT_TRUE(all[i].starts_with("next " + other + " ")) << all[i];
    EXPECT_NE(all[i].find(";epoch=2;"), std::string::npos) << all[i];
  }
  EXPECT_NE(all[6].find(";reason=failover"), std::string::npos) << all[6];
}

TEST_P(Grpc, AServerThatIsUnavailableIsLeftWhereTheRulesSaySo) {
  Server a("a"), b("b");
  Remora remora(config({a.entry(), b.entry()}, "failover: {retry_on: [grpc-unavailable]}\n"));
  EXPECT_EQ(Talk(remora, "elsewhere", GetParam()).all(), (Lines{"a OK", "b OK"}));
}

INSTANTIATE_TEST_SUITE_P(Clients, Grpc, ::testing::Values(Client::python, Client::node),
                         [](const auto& client) {
                           return client.param == Client::node ? "GrpcJs" : "Grpcio";
                         });

TEST(GrpcProbe, FollowsTheHealthService) {
  Server a("a");
  Remora remora(
      config({a.entry()}, "health: {probe: {grpc: test.Echo, interval: 100ms, fall: 1, rise: 1}}\n"));
  EXPECT_TRUE(remora.goes("a", "up"));
  a.serves(false);
  EXPECT_TRUE(remora.goes("a", "down"));
  a.serves(true);
  EXPECT_TRUE(remora.goes("a", "up"));
  a.kill();
  EXPECT_TRUE(remora.goes("a", "down"));
}

}  // namespace
}  // namespace remora::test
