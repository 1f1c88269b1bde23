// Small responses beside a large download on the same HTTP/2 connection. Nothing here depends on absolute
// times: what counts is how much of the download comes before them. The times are printed.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>

#include "support/http2_peer.h"
#include "support/remora.h"

namespace remora::test {
namespace {

constexpr std::uint64_t MiB = 1 << 20, GiB = 1 << 30;
constexpr std::size_t small_ones = 99;

/// /big: a body of 1 GiB; others: "small".
class Downloads {
 public:
  std::string address() const { return origin_.address(); }
  /// Waits until the backend can send no more of /big, because nobody reads it.
  bool stalls() const {
    std::uint64_t before = 0;
    return eventually([&] {
      const std::uint64_t now = sent_;
      std::this_thread::sleep_for(100ms);
      return now > 0 && std::exchange(before, now) == now;
    });
  }

 private:
  void serve(Socket& s) {
    const std::string block(256 * 1024, 'x');
    for (std::string head = s.receive_head(); !head.empty(); head = s.receive_head()) {
      if (!head.starts_with("GET /big")) {
        s.send(ok("small"));
        continue;
      }
      s.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(GiB) + "\r\n\r\n");
      for (std::uint64_t sent = 0; sent < GiB && s.send(block); sent += block.size()) sent_ += block.size();
    }
  }
  std::atomic<std::uint64_t> sent_{0};
  Origin origin_{[this](Socket& s) { serve(s); }};
};

/// Asks for 99 small responses at once, and returns how many milliseconds each took.
std::vector<double> ask_small(Http2Client& client) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::int32_t> open;
  for (std::size_t i = 0; i < small_ones; ++i) open.push_back(client.begin("GET", "/small"));
  std::vector<double> took;
  const Clock::time_point begin = Clock::now();
  client.until([&] {
    std::erase_if(open, [&](std::int32_t s) {
      if (!client.of(s).closed) return false;
      EXPECT_EQ(client.of(s).received, 5U);
      took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
      return true;
    });
    return open.empty();
  });
  EXPECT_EQ(took.size(), small_ones);
  return took;
}

/// Prints and returns median and 99th percentile.
std::pair<double, double> show(const char* what, std::vector<double> ms) {
  std::ranges::sort(ms);
  const auto at = [&](std::size_t percent) { return ms[(ms.size() - 1) * percent / 100]; };
  std::printf("%-24s median %6.2f ms, p99 %6.2f ms\n", what, at(50), at(99));
  return {at(50), at(99)};
}

Http2Peer::Options with_window(std::uint32_t bytes) {
  Http2Peer::Options options;
  options.window = bytes;
  options.keep_bodies = false;
  return options;
}

TEST(Http2Fairness, SmallResponsesPassADownload) {
  Downloads backend;
  Remora remora(simple_config({backend.address()}, "", "h2c: on\n"));
  Http2Client busy(remora.port(), with_window(1 << 20)), quiet(remora.port(), with_window(1 << 20));
  const std::int32_t download = busy.begin("GET", "/big");
  std::vector<double> beside, alone;
  std::vector<std::uint64_t> passed;
  const std::size_t rounds = sanitized() ? 5 : 40;
  for (std::size_t i = 0; i < rounds; ++i) {
    std::ranges::copy(ask_small(quiet), std::back_inserter(alone));
    // What waited for the pause of this client to end is no part of the measurement.
    const std::uint64_t waited = busy.of(download).received + 4 * MiB;
    ASSERT_TRUE(busy.until([&] { return busy.of(download).received >= waited; }));
    const std::uint64_t before = busy.of(download).received;
    std::ranges::copy(ask_small(busy), std::back_inserter(beside));
    passed.push_back(busy.of(download).received - before);
    ASSERT_FALSE(busy.of(download).closed);
  }
  show("without the download", alone);
  show("beside the download", beside);
  std::ranges::sort(passed);
  std::printf("until the last of %zu small ones, of the download came: median %.1f, at most %.1f MiB\n",
              small_ones, static_cast<double>(passed[rounds / 2]) / MiB,
              static_cast<double>(passed.back()) / MiB);
  EXPECT_LT(passed[rounds / 2], 32 * MiB);
  EXPECT_LT(passed.back(), GiB / 4);
}

/// The client reads more slowly than the server could send, and the download's window is never closed.
TEST(Http2Fairness, SmallResponsesPassADownloadThatIsReadSlowly) {
  Downloads backend;
  Remora remora(simple_config({backend.address()}, "", "h2c: on\n"));
  Http2Client client(remora.port(), with_window(256 << 20));
  const int size = 64 * 1024;
  ::setsockopt(client.socket().fd(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  const std::int32_t download = client.begin("GET", "/big");
  ASSERT_TRUE(client.until([&] { return client.of(download).received > 0; }));
  ASSERT_TRUE(backend.stalls());
  const std::uint64_t before = client.of(download).received;
  ask_small(client);
  const double passed = static_cast<double>(client.of(download).received - before) / MiB;
  std::printf("until the last small one, %.1f MiB of the download came\n", passed);
  EXPECT_LT(passed, 64);
}

}  // namespace
}  // namespace remora::test
