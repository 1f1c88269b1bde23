// Nobody keeps a worker from the others, and nobody holds what is not his share: clients that send without
// end, backends that answer without end, clients that say nothing or next to nothing.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "support/remora.h"

namespace remora::test {
namespace {

std::string routed(const std::string& good, const std::string& other, const std::string& listener = "") {
  return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 1\n"
         "log: {access: off}\n"
         "listeners:\n  - bind: 127.0.0.1:0\n" +
         listener +
         "routes:\n  - {path: /old, redirect: {to: \"https://{host}{uri}\"}}\n"
         "  - {path: /good, pool: a}\n  - {path: /other, pool: b}\n"
         "pools:\n  a: {health: off, backends: [" +
         good + "]}\n  b: {health: off, backends: [" + other + "]}\n";
}

Origin::Script says(const std::string& what) {
  return answering([what](const std::string&, const std::string&) { return ok(what); });
}

/// Sends `request` again and again, as fast as it is taken, and reads what comes back.
class Flood {
 public:
  Flood(const Remora& remora, const std::string& request) : socket_(remora.connect()) {
    std::string block;
    while (block.size() < 256 * 1024) block += request;
    sender_ = std::thread([this, block] {
      while (!over_ && socket_.send(block)) {
      }
    });
    reader_ = std::thread([this] {
      while (!over_ && socket_.receive_some(500ms)) {
        received_ += socket_.buffer().size();
        socket_.buffer().clear();
      }
    });
  }
  ~Flood() {
    over_ = true;
    ::shutdown(socket_.fd(), SHUT_RDWR);
    sender_.join();
    reader_.join();
  }
  std::size_t received() const { return received_; }

 private:
  Socket socket_;
  std::atomic<bool> over_{false};
  std::atomic<std::size_t> received_{0};
  std::thread sender_, reader_;
};

class Fairness : public testing::TestWithParam<std::string> {};

/// Answers of remora's own need no waiting: 404, 3xx, 401 and 429 went on as long as requests came.
TEST_P(Fairness, OthersAreServedWhileOneClientPipelinesWithoutEnd) {
  Origin a(says("a"));
  Remora remora(routed(a.address(), a.address()));
  Flood flood(remora, "GET " + GetParam() + " HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return flood.received() > 100'000; }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/good")).status, 200);
  const std::size_t before = flood.received();
  EXPECT_TRUE(eventually([&] { return flood.received() > before; }));  // it is served too
}

INSTANTIATE_TEST_SUITE_P(AnsweredBy, Fairness, testing::Values("/nothing", "/old", "/other"),
                         [](const auto& info) { return info.param.substr(1); });

/// RFC 9110 15.2 sets no bound to interim answers; a backend that sends nothing else kept its worker.
TEST(Interims, ABackendThatSendsThemWithoutEndIsABadGateway) {
  std::atomic<bool> over{false};
  Origin a(says("a")), evil([&](Socket& s) {
    s.receive_head();
    std::string hints;
    for (int i = 0; i < 5000; ++i) hints += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    while (!over && s.send(hints)) {
    }
  });
  Remora remora(routed(a.address(), evil.address()));
  for (const char* version : {"1.0", "1.1"}) {
    Socket client = remora.connect();
    client.send(std::string("GET /other HTTP/") + version + "\r\nHost: a\r\n\r\n");
    EXPECT_EQ(remora.ask(get("/good")).status, 200);
    std::string head = client.receive_head();
    int interims = 0;
    for (; head.find(" 103 ") != std::string::npos && interims < 1000; ++interims)
      head = client.receive_head();
    EXPECT_NE(head.find(" 502 "), std::string::npos) << head;
    EXPECT_LE(interims, 100);
  }
  over = true;
}

/// Who says nothing was not counted, so one address could hold all connections of a listener.
TEST(PerClient, SilentConnectionsCountFromTheBeginning) {
  Origin a(says("a"));
  Remora remora(
      simple_config({a.address()}, "", "limits: {connections: 20}\nper_client: {connections: 3}\n"));
  std::vector<Socket> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(remora.connect());
  int closed = 0;
  eventually([&] {
    closed = 0;
    for (Socket& s : silent) closed += s.closed_by_peer(1ms) ? 1 : 0;
    return closed >= 37;
  });
  EXPECT_EQ(closed, 37);
}

/// Nor may a sender of PROXY lines that never come hold them all.
TEST(PerClient, ConnectionsWhosePROXYLineDoesNotComeCountAsTheirSenders) {
  Origin a(says("a"));
  Remora remora(simple_config(
      {a.address()}, "", "proxy_protocol: on\nlimits: {connections: 20}\nper_client: {connections: 3}\n"));
  std::vector<Socket> held;
  for (int i = 0; i < 20; ++i) {
    held.push_back(remora.connect());
    if (i % 2 == 0) held.back().send("PROX");
  }
  int closed = 0;
  eventually(
      [&] {
        closed = 0;
        for (Socket& s : held) closed += s.closed_by_peer(1ms) ? 1 : 0;
        return closed >= 17;
      },
      5s);
  EXPECT_EQ(closed, 17);
  EXPECT_EQ(remora.ask("PROXY TCP4 9.9.9.9 1.1.1.1 1 2\r\n" + get("/")).status, 200);
}

}  // namespace
}  // namespace remora::test
