// Reloads, hot restarts, drains and stops under load over HTTP/2: 20 connections with 50 slow responses each.
// No stream is lost, and connections that must go are told so in two steps (RFC 9113 6.8).

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "support/http2_peer.h"
#include "support/real_site.h"

namespace remora::test {
namespace {

constexpr std::uint32_t max_stream = 0x7fffffff;

/// What the connections of a test have seen, all together.
struct Seen {
  std::atomic<int> served{0}, lost{0}, told{0}, untold{0};
  void fail(const std::string& what) {
    const std::scoped_lock lock(mutex);
    if (first_failure.empty()) first_failure = what;
  }
  std::string failure() {
    const std::scoped_lock lock(mutex);
    return first_failure;
  }
  std::mutex mutex;
  std::string first_failure;  // guarded by mutex
};

/// GOAWAY came in two steps: one that refuses nothing, then one that names the last stream or one after it.
bool two_steps(const Http2Client& client, std::int32_t last_stream) {
  const auto& told = client.goaways();
  return told.size() == 2 && told[0].last == static_cast<std::int32_t>(max_stream) && told[0].code == 0 &&
         told[1].code == 0 && told[1].last >= last_stream && told[1].last < told[0].last;
}

/// A client that always has 50 requests in progress on one connection. When it is told to go, it finishes
/// them, waits for the server to close, and comes back with another connection.
class Rider {
 public:
  Rider(int port, Seen& seen) : port_(port), seen_(seen), thread_([this] { ride(); }) {}
  ~Rider() {
    finish();
    thread_.join();
  }
  Rider(const Rider&) = delete;
  Rider& operator=(const Rider&) = delete;
  /// Begins no more requests, and ends after those in progress.
  void finish() { stop_ = true; }
  /// Does not come back.
  void stay_away() { last_ = true; }

 private:
  void ride() {
    do {
      Http2Client client(port_);
      if (client.get("/").status != 200) return seen_.fail("no connection");
      serve(client);
    } while (!stop_ && !last_);
  }
  void serve(Http2Client& client) {
    std::vector<std::int32_t> open;
    std::int32_t last = 0;
    for (;;) {
      while (!stop_ && client.goaways().empty() && open.size() < 50)
        open.push_back(last = client.begin("GET", "/slow/4"));
      if (open.empty()) break;
      const auto over = [&](std::int32_t s) { return client.of(s).closed; };
      client.until([&] { return std::ranges::any_of(open, over); });
      for (const std::int32_t s : open)
        if (over(s)) check(client, s);
      std::erase_if(open, over);
      if (!client.ended() || open.empty()) continue;
      seen_.lost += static_cast<int>(open.size());
      return seen_.fail("the connection ended; last GOAWAY: " + told(client));
    }
    if (client.goaways().empty()) return;
    client.until([] { return false; });
    const bool good = client.ended() && two_steps(client, last);
    ++(good ? seen_.told : seen_.untold);
    if (!good) seen_.fail("GOAWAY: " + told(client) + (client.ended() ? "" : ", and no end"));
  }
  void check(Http2Client& client, std::int32_t stream) {
    const Http2Peer::Response& r = client.of(stream);
    const bool good =
        r.status == 200 && r.ended && !r.reset && r.body.starts_with("0123") && r.body.size() == 5;
    ++(good ? seen_.served : seen_.lost);
    if (!good)
      seen_.fail("stream " + std::to_string(stream) + ": " + std::to_string(r.status) + " '" + r.body +
                 "' reset " + std::to_string(r.reset.value_or(0)) + ", GOAWAY: " + told(client));
  }
  static std::string told(const Http2Client& client) {
    std::string out;
    for (const auto& g : client.goaways()) out += std::to_string(g.last) + "/" + std::to_string(g.code) + " ";
    return out.empty() ? "none" : out;
  }

  const int port_;
  Seen& seen_;
  std::atomic<bool> stop_{false}, last_{false};
  std::thread thread_;
};

class Http2Lifecycle : public testing::TestWithParam<std::string> {
 protected:
  static constexpr int connections = 20;
  ~Http2Lifecycle() override { std::filesystem::remove_all(folder_); }
  std::string config(const std::string& pool = "") const {
    return two_listeners(folder_, a_.entry() + ", " + b_.entry(),
                         "protocol: " + std::string(GetParam() == "h2c" ? "h2" : "http1") + pool,
                         "shutdown_grace: 20s\n");
  }
  void begin(Remora& remora) {
    for (int i = 0; i < connections; ++i) riders_.push_back(std::make_unique<Rider>(remora.port(), seen_));
    ASSERT_TRUE(serves(500)) << seen_.failure();
  }
  /// Waits until so many more streams were served.
  bool serves(int more) {
    const int target = seen_.served + more;
    return eventually([&] { return seen_.served >= target || seen_.lost > 0; }, within(20s)) &&
           seen_.lost == 0;
  }
  void finish() {
    for (auto& r : riders_) r->finish();
    riders_.clear();
    EXPECT_EQ(seen_.lost, 0) << seen_.failure();
    EXPECT_EQ(seen_.untold, 0) << seen_.failure();
    EXPECT_EQ(seen_.failure(), "");
    std::printf("%d streams served, %d connections told to go\n", seen_.served.load(), seen_.told.load());
  }

  const std::string folder_ = make_folder();
  NodeSite a_{"a", GetParam()}, b_{"b", GetParam()};
  Seen seen_;
  std::vector<std::unique_ptr<Rider>> riders_;
};

INSTANTIATE_TEST_SUITE_P(ToBackendsOf, Http2Lifecycle, testing::Values("http1", "h2c"),
                         [](const auto& info) { return info.param; });

TEST_P(Http2Lifecycle, ReloadsAndDrainsDisturbNoStream) {
  Remora remora(config());
  begin(remora);
  for (int i = 0; i < 10; ++i) {
    const std::string timeouts = ", timeouts: {response: " + std::to_string(30 + i) + "s}";
    ASSERT_TRUE(remora.reload(config(timeouts)));
  }
  EXPECT_TRUE(serves(500)) << seen_.failure();
  remora.wish("a", "drain");
  EXPECT_TRUE(remora.backend_is("a", "in_flight", "0"));
  EXPECT_TRUE(serves(500)) << seen_.failure();
  remora.wish("a", "ready");
  EXPECT_TRUE(eventually([&] { return remora.backend("a", "in_flight") != "0"; }));
  finish();
  EXPECT_EQ(seen_.told, 0) << "no connection had to go";
}

TEST_P(Http2Lifecycle, AHotRestartLosesNoStream) {
  Remora remora(config());
  begin(remora);
  Http2Client silent(remora.port());
  ASSERT_EQ(silent.get("/").status, 200);
  ASSERT_TRUE(remora.upgrade());
  EXPECT_TRUE(eventually([&] { return seen_.told == connections; })) << seen_.told << " " << seen_.failure();
  EXPECT_TRUE(serves(1000)) << seen_.failure();
  EXPECT_TRUE(remora.former_ended());
  // It has said nothing meanwhile, not even that it received the PING.
  silent.until([] { return false; });
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(two_steps(silent, 1));
  finish();
}

TEST_P(Http2Lifecycle, AStopLosesNoStream) {
  Remora remora(config());
  begin(remora);
  Http2Client silent(remora.port());
  ASSERT_EQ(silent.get("/").status, 200);
  for (auto& r : riders_) r->stay_away();
  EXPECT_EQ(remora.stop(), 0);
  EXPECT_TRUE(eventually([&] { return seen_.told == connections; })) << seen_.told << " " << seen_.failure();
  silent.until([] { return false; });
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(two_steps(silent, 1));
  finish();
}

}  // namespace
}  // namespace remora::test
