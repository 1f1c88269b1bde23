// Places at a backend and the line for them: who ends in the middle of a request gives its place back, who
// waits leaves a backend that goes out of service, and a higher limit lets waiters in.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <tuple>

#include "support/remora.h"

namespace remora::test {
namespace {
using namespace std::chrono_literals;

/// Answers at once, but under /hold when it is let go. Says what it was asked.
struct Server {
  explicit Server(std::string name)
      : origin([this, name = std::move(name)](Socket& s) {
          for (std::string head; !(head = s.receive_head()).empty();) {
            const bool probe = head.find("/healthz") != std::string::npos;
            if (const std::string length = field_of(head, "Content-Length"); !length.empty())
              if (s.receive_exactly(std::stoul(length)).size() != std::stoul(length)) return;
            // It answers whole requests only: an answer may otherwise come before the end is noticed.
            if (!field_of(head, "Transfer-Encoding").empty() && s.receive_until("\r\n0\r\n\r\n").empty())
              return;
            if (!probe) ++asked;
            const bool waits = head.find("/hold") != std::string::npos;
            while (waits && hold && !over) std::this_thread::sleep_for(2ms);
            const std::string fields =
                "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n";
            if (over ||
                !s.send(probe && ill ? "HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n" : ok(name, fields)))
              return;
          }
        }) {}
  ~Server() {
    over = true;
    origin.stop();
  }
  std::string entry(const std::string& id, const std::string& more) const {
    return "{id: " + id + ", address: " + origin.address() + more + "}";
  }
  std::atomic<bool> hold{true}, ill{false}, over{false};
  std::atomic<int> asked{0};
  Origin origin;
};

const std::string half_sent = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";

std::string cookie_of(const Reply& r) {
  return "Cookie: " + r.field("Set-Cookie").substr(0, r.field("Set-Cookie").find(';')) + "\r\n";
}

std::string post(const std::string& target, const std::string& fields) {
  return "POST " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "Content-Length: 2\r\n\r\nhi";
}

/// What ends before its body does is no request (RFC 9112 8), whenever the end comes.
TEST(EndInMidBody, GivesThePlaceBackWhileTheBackendConnectionOpens) {
  Server a("a");
  Remora remora(
      simple_config({a.entry("a", ", max_in_flight: 1")}, "idle_connections: 0\ntimeouts: {queue: 2s}\n"));
  const std::vector<std::string> cut = {
      half_sent,
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
  };
  for (int round = 0; round < 4; ++round)
    for (const std::string& request : cut) {
      Socket client = remora.connect();
      client.send(request);
      client.shutdown_send();
      EXPECT_TRUE(client.closed_by_peer()) << request;
      EXPECT_EQ(remora.ask(get("/")).status, 200) << request;
      {
        Socket leaves = remora.connect();
        leaves.send(request);
      }
      EXPECT_EQ(remora.ask(get("/")).status, 200) << request;
    }
}

TEST(EndInMidBody, EndsTheRequestInLine) {
  Server a("a");
  Remora remora(simple_config({a.entry("a", ", max_in_flight: 1")}, "timeouts: {queue: 60s}\n"));
  Socket holder = remora.connect();
  holder.send(get("/hold"));
  ASSERT_TRUE(eventually([&] { return a.asked == 1; }));
  Socket at_once = remora.connect(), later = remora.connect(), chunked = remora.connect();
  at_once.send(half_sent);
  at_once.shutdown_send();
  later.send(half_sent);
  chunked.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  std::this_thread::sleep_for(50ms);
  later.shutdown_send();
  chunked.shutdown_send();
  for (Socket* s : {&at_once, &later, &chunked}) EXPECT_TRUE(s->closed_by_peer());
  Socket whole = remora.connect();
  whole.send(post("/w", ""));
  whole.shutdown_send();
  std::this_thread::sleep_for(50ms);
  a.hold = false;
  EXPECT_EQ(holder.receive_reply().status, 200);
  EXPECT_EQ(whole.receive_reply().status, 200);
  EXPECT_EQ(a.asked, 2);
}

struct OutOfService : testing::TestWithParam<std::tuple<std::string, std::string>> {};

/// Nothing of it was sent, so even a POST goes elsewhere, and without a budget.
TEST_P(OutOfService, WhoWaitsInLineChoosesAgainAtOnce) {
  const auto& [how, affinity] = GetParam();
  Server a("a"), b("b");
  const auto config = [&](const std::string& of_a, const std::string& of_b) {
    std::vector<std::string> backends;
    if (of_a != "removed") backends.push_back(a.entry("a", of_a));
    if (of_b != "removed") backends.push_back(b.entry("b", of_b));
    const std::string pool = "affinity: " + affinity +
                             "\ntimeouts: {queue: 60s}\nfailover: {budget: 0%}\n"
                             "health: {probe: {path: /healthz, interval: 50ms, timeout: 5s, fall: 2}, "
                             "eject: off}\n";
    return with_admin(simple_config(backends, pool));
  };
  const std::string limited = ", max_in_flight: 1";
  Remora remora(config(limited, limited));
  ASSERT_TRUE(remora.goes("a", "up"));
  ASSERT_TRUE(remora.goes("b", "up"));
  const Reply began = remora.ask(get("/"));
  const bool at_a = began.field("X-Backend") == "a";
  Server& home = at_a ? a : b;
  const std::string id = at_a ? "a" : "b", other = at_a ? "b" : "a";
  const std::string cookie = affinity == "cookie" ? cookie_of(began) : "";
  Socket holder = remora.connect(), waits = remora.connect();
  holder.send(get("/hold", cookie));
  ASSERT_TRUE(eventually([&] { return home.asked == 2; }));
  waits.send(post("/", cookie));
  std::this_thread::sleep_for(100ms);
  const auto reload_with = [&](const std::string& of_home) {
    ASSERT_TRUE(remora.reload(at_a ? config(of_home, limited) : config(limited, of_home)));
  };
  if (how == "maint") remora.wish(id, "maint");
  if (how == "maint by reload") reload_with(limited + ", admin: maint");
  if (how == "removed") reload_with("removed");
  if (how == "down") {
    home.ill = true;
    ASSERT_TRUE(remora.goes(id, "down"));
  }
  const Reply r = waits.receive_reply();  // no place has become free
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.field("X-Backend"), other);
  const std::string reason = how == "down" ? "failover" : how == "removed" ? how : "maint";
  if (affinity == "cookie") {
    EXPECT_NE(r.field("X-Session").find(";epoch=2;reason=" + reason), std::string::npos);
  }
  home.hold = false;
  EXPECT_EQ(holder.receive_reply().status, 200);
  EXPECT_EQ(home.asked, 2);
}
INSTANTIATE_TEST_SUITE_P(Line, OutOfService,
                         testing::Combine(testing::Values("maint", "maint by reload", "removed", "down"),
                                          testing::Values("cookie", "ip_hash")));

TEST(Reload, AHigherLimitLetsWaitersIn) {
  for (const std::string& more : {std::string(", max_in_flight: 3"), std::string()}) {
    Server a("a");
    const std::string pool = "timeouts: {queue: 60s}\n";
    Remora remora(simple_config({a.entry("a", ", max_in_flight: 1")}, pool));
    Socket holder = remora.connect(), one = remora.connect(), two = remora.connect();
    holder.send(get("/hold"));
    ASSERT_TRUE(eventually([&] { return a.asked == 1; }));
    one.send(get("/"));
    two.send(get("/"));
    std::this_thread::sleep_for(50ms);
    ASSERT_TRUE(remora.reload(simple_config({a.entry("a", more)}, pool)));
    EXPECT_EQ(one.receive_reply().status, 200);
    EXPECT_EQ(two.receive_reply().status, 200);
    EXPECT_EQ(remora.ask(get("/late")).status, 200);
    a.hold = false;
    EXPECT_EQ(holder.receive_reply().status, 200);
  }
}

}  // namespace
}  // namespace remora::test
