// Whatever way a request ends, what it borrowed and what it counts for goes back: retries, tunnels, memory.

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "support/remora.h"

namespace remora::test {
namespace {

const std::string websocket =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

Origin::Script answers_and_upgrades() {
  return [](Socket& s) {
    for (std::string head = s.receive_head(); !head.empty(); head = s.receive_head()) {
      if (head.find("Upgrade: websocket") == std::string::npos) {
        s.send(ok());
        continue;
      }
      s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      s.receive_all();
      return;
    }
  };
}

/// Everybody is tried, and everything that may be is tried again.
std::string one_worker(const std::vector<std::string>& backends) {
  std::string config = simple_config(
      backends,
      "balance: round_robin\nhealth: {probe: off, eject: off}\ntimeouts: {response: 1500ms, connect: 1s}\n"
      "failover: {budget: 100%}\n");
  return config.replace(config.find("workers: 2"), 10, "workers: 1");
}

/// A retried WebSocket left its count behind; the next request on the recycled Exchange gave it back to a
/// pool that never had it, or to none (a crash).
TEST(Endings, ARetriedTunnelGivesItsRetryBack) {
  Origin refuses([](Socket&) {}), good(answers_and_upgrades());
  const std::string dead = refuses.address();
  refuses.stop();
  Remora remora(one_worker({dead, good.address()}));
  for (int i = 0; i < 6; ++i) {
    Socket tunnel = remora.connect();
    tunnel.send(websocket);
    ASSERT_NE(tunnel.receive_head().find(" 101 "), std::string::npos);
    tunnel.shutdown_send();
    tunnel.receive_all();
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(remora.ask("GARBAGE\r\n\r\n").status, 400);
  // The budget is whole: nothing counts as being retried for ever, nor is anything owed.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
  EXPECT_EQ(remora.stop(), 0);
}

/// The same, seen from another pool: its failover was gone until the next restart.
TEST(Endings, ARetriedTunnelOfOnePoolCostsNoOtherItsFailover) {
  Origin refuses([](Socket&) {}), good(answers_and_upgrades());
  const std::string dead = refuses.address();
  refuses.stop();
  const auto pool = [&](const std::string& name) {
    return "  " + name + ":\n    backends: [" + dead + ", " + good.address() +
           "]\n    balance: round_robin\n    health: {probe: off, eject: off}\n";
  };
  Remora remora(
      "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 1\nlisteners: [127.0.0.1:0]\n"
      "routes: [{path: /chat, pool: a}, {path: /b, pool: b}]\npools:\n" +
      pool("a") + pool("b"));
  for (int i = 0; i < 4; ++i) {
    Socket tunnel = remora.connect();
    tunnel.send(websocket);
    ASSERT_NE(tunnel.receive_head().find(" 101 "), std::string::npos);
    tunnel.close_with_reset();
  }
  for (int i = 0; i < 40; ++i) EXPECT_EQ(remora.ask(get("/b")).status, 200);
}

/// A worker writes all heads in the same memory: the names of one client's trailers were read again, from a
/// buffer that was another's by then, when the next head was an answer of remora's own (seen with
/// AddressSanitizer).
TEST(Endings, AnAnswerOfRemorasOwnKeepsNothingOfTheHeadBefore) {
  Origin a([](Socket& s) {
    while (!s.receive_head().empty())
      s.send(
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n0\r\nX-Checksum: "
          "1\r\n\r\n");
  });
  std::string config = one_worker({a.address()});
  Remora remora(config + "routes: [{path: /here, pool: app}]\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(remora.ask(get("/here", "TE: trailers\r\nConnection: close, TE\r\n")).trailers,
              "X-Checksum: 1\r\n");
    const Reply none = remora.ask(get("/nowhere"));
    EXPECT_EQ(none.status, 404);
    EXPECT_EQ(none.field("Trailer"), "");
  }
  EXPECT_EQ(remora.stop(), 0);
}

}  // namespace
}  // namespace remora::test
