// HTTP/2 to backends: real app servers (Node), HTTP/1.1 clients.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <thread>

#include "support/certificates.h"
#include "support/process.h"
#include "support/remora.h"

namespace remora::test {
namespace {

class App {
 public:
  explicit App(std::string name, std::string mode = "h2c", const std::string& folder = {})
      : name_(std::move(name)), mode_(std::move(mode)), folder_(folder), port_(free_port()) {
    start();
  }
  void start() {
    std::vector<std::string> words{"node", REMORA_SOURCE_DIR "/tests/e2e/apps/http2_app.js",
                                   std::to_string(port_), name_, mode_};
    if (mode_ != "h2c") {
      words.push_back(folder_ + "/app.test.pem");
      words.push_back(folder_ + "/app.test.key");
    }
    process_ = std::make_unique<Process>(words, output_ + "/out");
    EXPECT_TRUE(process_->wait_for_port(port_));
  }
  ~App() {
    process_.reset();
    std::filesystem::remove_all(output_);
  }
  void kill() { process_->kill(); }
  std::string entry() const {
    return "{id: " + name_ + ", address: \"127.0.0.1:" + std::to_string(port_) + "\"}";
  }

 private:
  const std::string name_, mode_, folder_, output_ = make_folder();
  const int port_;
  std::unique_ptr<Process> process_;
};

std::string cookie_of(const Reply& r) {
  return r.field("Set-Cookie").substr(0, r.field("Set-Cookie").find(';'));
}

std::string post(const std::string& target, const std::string& body, const std::string& fields = {}) {
  return "POST " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Runs `requests` at a time, and returns the replies.
std::vector<Reply> at_once(const Remora& remora, const std::string& request, int requests) {
  std::vector<Reply> out(static_cast<std::size_t>(requests));
  std::vector<std::thread> threads;
  for (Reply& reply : out) threads.emplace_back([&] { reply = remora.ask(request); });
  for (std::thread& t : threads) t.join();
  return out;
}

TEST(Http2Backends, RequestsShareFewConnections) {
  App a("a");
  Remora remora(simple_config({a.entry()}, "protocol: h2\n"));
  std::set<std::string> used;
  for (const Reply& r : at_once(remora, get("/slow"), 20)) {
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.field("X-Version"), "2.0");
    used.insert(r.field("X-Connection"));
  }
  EXPECT_LE(used.size(), 2U);  // one of each worker
}

TEST(Http2Backends, BodiesAndTrailersPassBothWays) {
  App a("a");
  Remora remora(simple_config({a.entry()}, "protocol: h2\n"));
  std::string body;
  for (int i = 0; body.size() < 3 * 1024 * 1024; ++i) body += std::to_string(i);
  const Reply echoed = remora.ask(post("/echo", body));
  EXPECT_EQ(echoed.status, 200);
  EXPECT_TRUE(echoed.body == body);
  EXPECT_TRUE(echoed.complete);
  const Reply with_trailers = remora.ask(get("/trailers", "TE: trailers\r\n"));
  EXPECT_EQ(with_trailers.body, "body");
  EXPECT_NE(with_trailers.trailers.find("x-sum: 7"), std::string::npos) << with_trailers.trailers;
  EXPECT_EQ(remora.ask("HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status, 200);
}

TEST(Http2Backends, OverTlsTheProtocolIsAgreedByAlpn) {
  const std::string folder = make_folder();
  make_certificate(folder, "app.test");
  const std::string tls = "tls: {ca: " + folder + "/app.test.pem, server_name: app.test}\n";
  App both("both", "tls", folder), http1("http1", "tls-http1", folder);
  const auto version = [&](const App& app, const std::string& protocol) {
    Remora remora(simple_config({app.entry()}, tls + "protocol: " + protocol + "\n"));
    const Reply r = remora.ask(get("/"));
    return r.status == 200 ? r.field("X-Version") : std::to_string(r.status);
  };
  EXPECT_EQ(version(both, "h2"), "2.0");
  EXPECT_EQ(version(both, "auto"), "2.0");
  EXPECT_EQ(version(both, "http1"), "1.1");
  EXPECT_EQ(version(http1, "auto"), "1.1");
  EXPECT_EQ(version(http1, "h2"), "502");
  std::filesystem::remove_all(folder);
}

TEST(Http2Backends, NoRequestIsLostWhenConnectionsSayGoodbye) {
  App a("a");
  Remora remora(simple_config({a.entry()}, "protocol: h2\n"));
  int failed = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::thread> threads;
    std::vector<int> statuses(8);
    for (std::size_t i = 0; i < statuses.size(); ++i)
      threads.emplace_back([&, i] {
        statuses[i] = remora.ask(i == 3       ? get("/goaway")
                                 : i % 2 == 0 ? post("/echo", "body")
                                              : get("/"))
                          .status;
      });
    for (std::thread& t : threads) t.join();
    for (const int status : statuses) failed += status != 200;
  }
  EXPECT_EQ(failed, 0);
}

TEST(Http2Backends, ARefusedPostIsSentAgain) {
  App a("a");
  Remora remora(simple_config({a.entry()}, "protocol: h2\n"));
  const Reply r = remora.ask(post("/refuse", "body"));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.field("X-Method"), "POST");
}

TEST(Http2Backends, ASessionMovesWhenItsBackendIsKilled) {
  App a("a"), b("b");
  Remora remora(simple_config({a.entry(), b.entry()}, "protocol: h2\naffinity: cookie\n"));
  const Reply first = remora.ask(get("/"));
  ASSERT_EQ(first.status, 200);
  const std::string cookie = "Cookie: " + cookie_of(first) + "\r\n", home = first.field("X-Backend");
  EXPECT_EQ(remora.ask(get("/", cookie)).field("X-Backend"), home);
  (home == "a" ? a : b).kill();
  const Reply moved = remora.ask(get("/", cookie));
  EXPECT_EQ(moved.status, 200);
  EXPECT_NE(moved.field("X-Backend"), home);
  EXPECT_NE(moved.field("X-Session").find(";epoch=2;reason=failover"), std::string::npos)
      << moved.field("X-Session");
}

TEST(Http2Backends, RequestsInProgressOfAKilledBackendGoElsewhere) {
  App a("a"), b("b");
  Remora remora(simple_config({a.entry(), b.entry()}, "protocol: h2\n"));
  std::vector<Reply> replies;
  std::thread clients([&] { replies = at_once(remora, get("/slow"), 10); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  a.kill();
  clients.join();
  for (const Reply& r : replies) {
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.field("X-Backend"), "b");
  }
}

TEST(Http2Backends, AWebSocketFromHttp1IsATunnel) {
  App a("a");
  Remora remora(simple_config({a.entry()}, "protocol: h2\n"));
  Socket client = remora.connect();
  client.send(
      "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  const std::string head = client.receive_head();
  EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 101");
  EXPECT_EQ(field_of(head, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  client.send("ping");
  EXPECT_EQ(client.receive_exactly(4), "ping");
  client.shutdown_send();
  EXPECT_TRUE(client.closed_by_peer());
}

TEST(Http2Backends, ProbesSpeakHttp2Too) {
  App a("a");
  Remora remora(simple_config(
      {a.entry()}, "protocol: h2\nhealth: {probe: {path: /healthz, interval: 100ms, fall: 1, rise: 1}}\n"));
  EXPECT_TRUE(remora.goes("a", "up"));
  a.kill();
  EXPECT_TRUE(remora.goes("a", "down"));
  a.start();
  EXPECT_TRUE(remora.goes("a", "up"));
}

}  // namespace
}  // namespace remora::test
