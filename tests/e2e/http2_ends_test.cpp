// How HTTP/2 streams and connections of clients end, end to end: resets, stops, restarts, reloads.

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "support/http2_peer.h"
#include "support/remora.h"

namespace remora::test {
namespace {

using Response = Http2Peer::Response;

constexpr std::uint32_t cancel = 8;

/// The backends' responses: what they received, head and body.
Origin::Script mirror() {
  return answering([](const std::string& head, const std::string& body) { return ok(head + body); });
}

std::string h2c(const std::string& more = "") {
  return "h2c: on\n" + more;
}

/// Requests to /hold wait until release().
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait_for(lock, patience, [&] { return open_; });
  }
  bool holds(int requests) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return waiting_ >= requests; });
  }
  void release() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

Origin::Script held_by(Gate& gate) {
  return answering([&](const std::string& head, const std::string&) {
    if (head.find(" /hold") != std::string::npos) gate.pass();
    return ok("done");
  });
}

TEST(Http2Ends, AClientThatResetsAStreamFreesTheBackend) {
  std::atomic<int> closed{0};
  Origin a([&](Socket& s) {
    s.receive_head();
    s.closed_by_peer();
    ++closed;
  });
  Remora remora(simple_config({"{id: a, address: \"" + a.address() + "\", max_in_flight: 1}"}, "", h2c()));
  Http2Client client(remora.port());
  const std::int32_t stream = client.begin("GET", "/");
  ASSERT_TRUE(client.until([&] { return remora.backend("a", "in_flight") == "1"; }));
  client.reset(stream, cancel);
  EXPECT_TRUE(client.until([&] { return closed == 1; }));
  EXPECT_TRUE(remora.backend_is("a", "in_flight", "0"));
  EXPECT_TRUE(client.goaways().empty());
}

TEST(Http2Ends, AClientThatGoesFreesTheBackend) {
  std::atomic<int> closed{0};
  Origin a([&](Socket& s) {
    s.receive_head();
    s.closed_by_peer();
    ++closed;
  });
  Remora remora(simple_config({"{id: a, address: \"" + a.address() + "\"}"}, "", h2c()));
  {
    Http2Client client(remora.port());
    for (int i = 0; i < 3; ++i) client.begin("GET", "/");
    ASSERT_TRUE(client.until([&] { return remora.backend("a", "in_flight") == "3"; }));
  }
  EXPECT_TRUE(eventually([&] { return closed == 3; }));
  EXPECT_TRUE(remora.backend_is("a", "in_flight", "0"));
}

TEST(Http2Ends, AGracefulStopLosesNothingAndIsTold) {
  Gate gate;
  Origin a(held_by(gate));
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client busy(remora.port()), idle(remora.port());
  ASSERT_EQ(idle.get("/").body, "done");
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(busy.begin("GET", "/hold"));
  ASSERT_TRUE(busy.until([] { return true; }));
  ASSERT_TRUE(gate.holds(5));
  std::thread stopper([&] { EXPECT_EQ(remora.stop(), 0); });
  EXPECT_TRUE(busy.until([&] { return !busy.goaways().empty(); }));
  EXPECT_EQ(busy.goaways().front().last, 0x7fffffff);
  EXPECT_FALSE(idle.until([] { return false; })) << "it ends";
  EXPECT_FALSE(idle.goaways().empty()) << "a silent client hears of it too";
  EXPECT_TRUE(idle.ended());
  gate.release();
  for (const std::int32_t s : streams) EXPECT_EQ(busy.finish(s).body, "done");
  EXPECT_FALSE(busy.until([] { return false; }));
  EXPECT_TRUE(busy.ended());
  stopper.join();
}

TEST(Http2Ends, AHotRestartTellsClientsToComeBack) {
  Gate gate;
  Origin a(held_by(gate));
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client busy(remora.port()), idle(remora.port());
  ASSERT_EQ(idle.get("/").body, "done");
  const std::int32_t held = busy.begin("GET", "/hold");
  ASSERT_TRUE(busy.until([] { return true; }));
  ASSERT_TRUE(gate.holds(1));
  ASSERT_TRUE(remora.upgrade());
  EXPECT_FALSE(idle.until([] { return false; }));
  EXPECT_FALSE(idle.goaways().empty());
  gate.release();
  EXPECT_EQ(busy.finish(held).body, "done");
  EXPECT_FALSE(busy.goaways().empty());
  Http2Client next(remora.port());
  EXPECT_EQ(next.get("/").body, "done");
}

TEST(Http2Ends, AReloadThatRemovesTheListenerIsTold) {
  Origin a(mirror());
  const auto with = [&](const std::string& more) {
    return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\nlisteners:\n  - {name: "
           "one, "
           "bind: \"127.0.0.1:0\", h2c: on}\n" +
           more + "pools: {app: {backends: [" + a.address() + "]}}\n";
  };
  Remora remora(with("  - {name: two, bind: \"127.0.0.1:0\", h2c: on}\n"));
  Http2Client stays(remora.port(0)), goes(remora.port(1));
  ASSERT_EQ(stays.get("/").status, 200);
  ASSERT_EQ(goes.get("/").status, 200);
  ASSERT_TRUE(remora.reload(with("")));
  EXPECT_FALSE(goes.until([] { return false; }));
  EXPECT_TRUE(goes.ended());
  EXPECT_FALSE(goes.goaways().empty());
  EXPECT_EQ(stays.get("/").status, 200);
  EXPECT_TRUE(stays.goaways().empty());
}

}  // namespace
}  // namespace remora::test
