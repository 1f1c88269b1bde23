// Keys whose effect no other test shows, over the real binary (the table is in tests/config/key_table*.cpp).

#include <gtest/gtest.h>

#include <mutex>

#include "support/remora.h"

namespace remora::test {
namespace {

/// A backend that answers with the head that it got.
Origin::Script mirror() {
  return answering([](const std::string& head, const std::string&) { return ok(head); });
}

TEST(ListenerLimits, OfHeads) {
  Origin origin(mirror());
  const Remora remora(
      simple_config({origin.address()}, "", "limits: {headers: 4, header_bytes: 1KiB, target_bytes: 64B}\n"));
  EXPECT_EQ(remora.ask(get("/", "A: 1\r\nB: 1\r\n")).status, 200);
  EXPECT_EQ(remora.ask(get("/", "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n")).status, 431);
  EXPECT_EQ(remora.ask(get("/", "A: " + std::string(2000, 'a') + "\r\n")).status, 431);
  EXPECT_EQ(remora.ask(get("/" + std::string(100, 'a'))).status, 414);
}

TEST(RequestId, StandsInTheFieldThatTheFileNames) {
  Origin origin(mirror());
  const Remora named(simple_config({origin.address()}, "", "request_id: X-Trace\n"));
  const Reply r = named.ask(get("/"));
  EXPECT_EQ(field_of(r.body, "X-Trace").size(), 32U);
  EXPECT_EQ(field_of(r.body, "X-Request-Id"), "");
  const Remora off(simple_config({origin.address()}, "", "request_id: off\n"));
  EXPECT_EQ(field_of(off.ask(get("/")).body, "X-Request-Id"), "");
}

TEST(ForwardedFields, AreThoseThatThePoolWants) {
  Origin origin(mirror());
  for (const auto& [mode, x, rfc] : {std::tuple("x", true, false), std::tuple("rfc7239", false, true),
                                     std::tuple("both", true, true), std::tuple("off", false, false)}) {
    const Remora remora(simple_config({origin.address()}, "forwarded: " + std::string(mode) + "\n"));
    const Reply r = remora.ask(get("/"));
    EXPECT_EQ(!field_of(r.body, "X-Forwarded-For").empty(), x) << mode;
    EXPECT_EQ(!field_of(r.body, "Forwarded").empty(), rfc) << mode;
  }
}

TEST(ProbeHost, IsTheOneOfTheFile) {
  std::mutex mutex;
  std::string host;
  Origin origin(answering([&](const std::string& head, const std::string&) {
    const std::lock_guard lock(mutex);
    if (head.find(" /health ") != std::string::npos) host = field_of(head, "Host");
    return ok();
  }));
  const Remora remora(simple_config({origin.address()},
                                    "health: {probe: {path: /health, host: probe.test, interval: 50ms}}\n"));
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return host == "probe.test";
  }));
}

TEST(IdleConnections, NoneAreKeptWhereTheFileSaysSo) {
  Origin origin(mirror());
  for (const auto& [kept, opened] : {std::pair("0", 3), std::pair("1", 1)}) {
    const int before = origin.connections();
    const Remora remora(simple_config({origin.address()}, "idle_connections: " + std::string(kept) + "\n", "",
                                      "log: {access: off}\n"));
    Socket client = remora.connect();
    for (int i = 0; i < 3; ++i) {
      client.send(get("/"));
      EXPECT_EQ(client.receive_reply().status, 200);
    }
    EXPECT_EQ(origin.connections() - before, opened) << kept;
  }
}

/// The pool's `write` is for a backend that does not read.
TEST(BackendThatDoesNotRead, IsGivenUpAfterTheWriteTimeout) {
  std::atomic<bool> over{false};
  Origin origin([&](Socket& s) {
    s.receive_head();
    eventually([&] { return over.load(); });
  });
  const Remora remora(
      simple_config({origin.address()}, "timeouts: {write: 100ms, response: 5m}\nfailover: {attempts: 1}\n"));
  Socket client = remora.connect();
  const std::string body(64 << 20, 'b');
  std::thread sender([&] {
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                body);
  });
  EXPECT_EQ(client.receive_reply().status, 504);
  over = true;
  sender.join();
}

}  // namespace
}  // namespace remora::test
