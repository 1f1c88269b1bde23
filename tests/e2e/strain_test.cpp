// What one outsider can take: places at the admin, memory. Whoever looks after remora must still be answered.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "support/site.h"

namespace remora::test {
namespace {

/// As an orchestrator's probe: each answers, and not only when the held ones have been given up (10 s).
void expect_healthy(const Remora& remora) {
  for (int i = 0; i < 5; ++i)
    for (const char* target : {"/healthz", "/readyz"}) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_EQ(remora.api("GET", target).status, 200) << target;
      EXPECT_LT(std::chrono::steady_clock::now() - begin, within(9s)) << target;
    }
  EXPECT_EQ(remora.command({"healthcheck"}).code, 0);
}

/// Connections to the admin that sent this, and then neither send nor read.
std::vector<Socket> hold(const Remora& remora, int count, std::string_view sent) {
  std::vector<Socket> held;
  for (int i = 0; i < count; ++i) {
    held.push_back(Socket::connect(remora.admin_port()));
    const int bytes = 4096;  // few answers fill it: they cost CPU time, which is not what is tested
    ::setsockopt(held.back().fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (!sent.empty()) held.back().send(sent);
  }
  return held;
}

struct Held : testing::TestWithParam<int> {
  Site site{2};
  Remora remora{with_admin(site.config("affinity: cookie\n"))};
};

TEST_P(Held, SilentConnectionsKeepNobodyFromTheHealthCheck) {
  const auto held = hold(remora, GetParam(), "");
  expect_healthy(remora);
}

TEST_P(Held, HalfHeadsKeepNobodyFromTheHealthCheck) {
  const auto held = hold(remora, GetParam(), "GET /api/v1/pools HTTP/1.1\r\nHost: loc");
  expect_healthy(remora);
}

TEST_P(Held, IdleConnectionsKeepNobodyFromTheHealthCheck) {
  const auto held = hold(remora, GetParam(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect_healthy(remora);
}

TEST_P(Held, SlowReadersKeepNobodyFromTheHealthCheck) {
  std::string many;  // more answers than a socket's buffers hold
  for (int i = 0; i < 1500; ++i) many += "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const auto held = hold(remora, GetParam(), many.substr(0, 60000));
  expect_healthy(remora);
}

TEST_P(Held, EventStreamsKeepNobodyFromTheHealthCheck) {
  auto held = hold(remora, GetParam(), "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect_healthy(remora);
  int streams = 0;
  for (auto& s : held) {
    const std::string head = s.receive_head();
    streams += head.find("200 OK") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(streams, 0);
  EXPECT_LE(streams, 32);  // the rest were told to come back
  remora.wish("a", "drain");
  EXPECT_NE(held.front().receive_until("event: backend\n"), "");
}

INSTANTIATE_TEST_SUITE_P(Connections, Held, testing::Values(64, 500));

TEST(Held, APlaceIsTakenFromThoseThatSayNothingBeforeThoseThatAsk) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  Socket asking = Socket::connect(remora.admin_port());
  const std::string request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  asking.send(request);
  ASSERT_EQ(asking.receive_reply().status, 200);
  const auto held = hold(remora, 200, "");
  expect_healthy(remora);
  asking.send(request);
  EXPECT_EQ(asking.receive_reply().status, 200);
}

std::size_t address_space(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::size_t pages = 0;
  in >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// std::bad_alloc went through the event loop and ended the process.
TEST(Memory, WhenItRunsOutTheProcessLivesAndServesAfterwards) {
  if (sanitized()) GTEST_SKIP() << "a sanitizer's shadow needs all of the address space";
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  ASSERT_EQ(remora.ask(get("/")).status, 200);
  const rlim_t most = address_space(remora.pid()) + (24U << 20);
  const rlimit memory{most, most};
  ASSERT_EQ(::prlimit(remora.pid(), RLIMIT_AS, &memory, nullptr), 0);
  const std::string half = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(30000, 'a');
  {
    std::vector<Socket> held;
    for (int i = 0; i < 2500; ++i) {
      held.push_back(remora.connect());
      if (held.back().fd() < 0) break;
      ::send(held.back().fd(), half.data(), half.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    EXPECT_GT(held.size(), 1000U);
    EXPECT_TRUE(remora.wait_for_log("out of memory") || remora.wait_for_log("bad_alloc"));
    EXPECT_EQ(::kill(remora.pid(), 0), 0);
  }
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
  EXPECT_TRUE(eventually([&] { return remora.api("GET", "/readyz").status == 200; }));
  EXPECT_EQ(remora.api("GET", "/api/v1/pools").status, 200);
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  static_cast<void>(::prlimit(remora.pid(), RLIMIT_AS, &none, nullptr));
}

}  // namespace
}  // namespace remora::test
