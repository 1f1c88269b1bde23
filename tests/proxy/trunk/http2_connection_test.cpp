// One client's HTTP/2 connection between its requests and to its end, over a socket pair and on a manual
// clock.

#include "proxy/http2_connection.h"

#include "proxy/trunk/http2.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

using Peer = TrunkPeer;

const std::string h2c = ", h2c: on";

TEST(Http2Connection, IsParkedBetweenRequestsAndItsMemoryGivenBack) {
  RealConnections all(h2c);
  Peer client(all);
  client.get("/");
  client.advance(400ms);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 0U);
  client.advance(200ms);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 1U);
  EXPECT_EQ(all.open(), 1U);
  EXPECT_FALSE(client.ended());
  EXPECT_EQ(client.get("/again").body, "GET /again");
  client.advance(600ms);
  client.ping();
  client.run();
  EXPECT_EQ(client.pongs(), 1U);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 1U) << "a PING alone does not keep it active";
}

// The end raised no event of its own: the request waited for timeouts.body.
TEST(Http2Connection, NoticesAnEndThatComesWithTheLastBytes) {
  RealConnections all(h2c);
  Peer client(all);
  client.get("/");
  client.begin("POST", "/", {{"content-length", "5"}}, false);
  client.socket().send(client.output());
  client.socket().close();
  all.run();
  all.trunk.advance(100ms);
  all.run();
  EXPECT_EQ(all.open(), 0U);
}

TEST(Http2Connection, SaysGoodbyeAfterTheIdleTimeout) {
  RealConnections all(h2c + ", timeouts: {idle: 5s}");
  Peer client(all);
  client.get("/");
  client.advance(4800ms);
  EXPECT_TRUE(client.goaways().empty());
  client.ping();  // is no request
  client.run();
  client.advance(400ms);
  ASSERT_FALSE(client.goaways().empty());
  EXPECT_EQ(client.goaways().back().code, 0U);
  EXPECT_EQ(client.goaways().back().last, 1);
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 0U);
}

TEST(Http2Connection, ThatNeverSendsAWholeHeadIsClosed) {
  RealConnections all(h2c + ", timeouts: {header: 3s}");
  Peer client(all);
  client.get("/");
  // HEADERS on stream 3 without END_HEADERS.
  client.socket().send(std::string("\0\0\1\1\0\0\0\0\3\x82", 10));
  client.advance(2900ms);
  EXPECT_TRUE(client.goaways().empty());
  client.advance(200ms);
  EXPECT_FALSE(client.goaways().empty());
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 0U);
  EXPECT_EQ(all.refused(Refusal::head), 1U);
}

TEST(Http2Connection, WhoseClientDoesNotReadIsClosed) {
  RealConnections all(h2c + ", timeouts: {write: 3s}");
  all.respond = [](const std::string&) {
    return std::string("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n");
  };
  Peer client(all, {.window = 8 << 20});
  client.begin("GET", "/");
  client.socket().send(client.output());
  all.run();
  client.feed(client.socket().received());
  client.socket().send(client.output());
  // More than the client's socket holds, less than all sockets on the way.
  for (int i = 0; i < 7; ++i) all.send_from_backend(std::string(50'000, 'x'));
  all.advance(2900ms);
  EXPECT_EQ(all.open(), 1U);
  all.advance(200ms);
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 0U);
  EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 0U);
}

TEST(Http2Connection, HearsWhenTheWorkerLeavesAlsoWhileItIsParked) {
  RealConnections all(h2c);
  Peer silent(all), busy(all);
  silent.get("/");
  silent.advance(600ms);
  ASSERT_EQ(all.trunk.worker.spare_actives.size(), 1U);
  all.respond = [](const std::string&) { return std::string(); };
  const std::int32_t stream = busy.begin("GET", "/");
  busy.run();

  all.trunk.worker.leaving = true;
  Connection::tell_leaving(all.trunk.worker);
  silent.run();
  busy.run();
  ASSERT_FALSE(silent.goaways().empty());
  EXPECT_EQ(silent.goaways().front().last, 0x7fffffff) << "first a notice";
  ASSERT_FALSE(busy.goaways().empty());
  EXPECT_EQ(busy.goaways().back().last, 1) << "after a round trip the last stream";
  EXPECT_FALSE(busy.ended());
  silent.advance(1100ms);
  EXPECT_EQ(silent.goaways().back().last, 1) << "nghttp2 answers no PING then: after a second";
  EXPECT_TRUE(silent.ended());
  all.send_from_backend("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(busy.finish(stream).status, 204) << "nothing is lost";
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 0U);
}

/// Thousands of parked connections would hold up everybody else's requests, and take memory at once.
TEST(Http2Connection, WhenThereAreManyHearsSomeTurnsLater) {
  for (const bool stops : {false, true}) {
    RealConnections all(h2c);
    constexpr std::size_t count = 300;
    std::vector<std::unique_ptr<Peer>> peers;
    for (std::size_t i = 0; i < count; ++i) {
      peers.push_back(std::make_unique<Peer>(all));
      peers.back()->get("/");
    }
    all.advance(600ms);
    WorkerContext& worker = all.trunk.worker;
    const std::uint64_t before = worker.conversations;
    worker.stopping = stops;
    worker.leaving = !stops;
    if (stops)
      Connection::stop_all(worker, false);
    else
      Connection::tell_leaving(worker);
    std::uint64_t told = 0, most = 0;
    worker.loop.ctx.restart();
    for (int polls = 0; polls < 100'000 && told < count; ++polls) {
      bool others_ran = false;
      asio::post(worker.loop.ctx.get_executor(), [&] { others_ran = true; });
      while (!others_ran) worker.loop.ctx.poll_one();
      const std::uint64_t now = worker.conversations - before;
      most = std::max(most, now - told);
      told = now;
    }
    EXPECT_EQ(told, count) << stops;
    EXPECT_LE(most, 130U) << stops;  // what was posted first runs first, so at most two rounds
    for (const auto& peer : peers) {
      peer->run();
      ASSERT_FALSE(peer->goaways().empty()) << stops;
    }
    all.advance(2100ms);
    EXPECT_EQ(all.open(), 0U) << stops;
  }
}

TEST(Http2Connection, EndsWhenTheWorkerStops) {
  for (const bool hard : {false, true}) {
    RealConnections all(h2c);
    Peer client(all), idle(all);
    idle.get("/");
    all.respond = [](const std::string&) { return std::string(); };
    const std::int32_t stream = client.begin("GET", "/");
    client.run();
    all.trunk.worker.stopping = true;
    Connection::stop_all(all.trunk.worker, hard);
    client.run();
    idle.run();
    all.advance(50ms);
    EXPECT_EQ(client.ended(), hard);
    if (!hard) {
      all.send_from_backend("HTTP/1.1 204 No Content\r\n\r\n");
      EXPECT_EQ(client.finish(stream).status, 204);
    }
    all.advance(2100ms);
    EXPECT_EQ(all.open(), 0U) << hard;
  }
}

TEST(Http2Connection, OfARetiredListenerHears) {
  RealConnections all(h2c);
  Peer client(all);
  client.get("/");
  const auto& listener = all.trunk.snapshot().listeners[all.trunk.snapshot().serving.front()];
  listener->shared->retired = true;
  Connection::tell_leaving(all.trunk.worker);
  client.run();
  EXPECT_FALSE(client.goaways().empty());
  listener->shared->retired = false;
}

}  // namespace
}  // namespace remora::test
