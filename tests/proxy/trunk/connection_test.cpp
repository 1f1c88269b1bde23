// One client's connection, from its first byte to its end, over a socket pair and on a manual clock:
// keep-alive, pipelining, timeouts, parking and waking, lingering, stopping.

#include "proxy/connection.h"

#include <gtest/gtest.h>

#include "support/real_connection.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

const std::string get = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
std::string get_of(const std::string& path, const std::string& fields = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: app.test\r\n" + fields + "\r\n";
}
std::size_t count(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(Connection, ServesOneRequestAfterAnotherOverOneBackendConnection) {
  RealConnections all;
  Accepted client = all.connect();
  for (int i = 0; i < 5; ++i) {
    const std::string got = all.ask(client, get_of("/" + std::to_string(i)));
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
    EXPECT_TRUE(got.ends_with("GET /" + std::to_string(i))) << got;
  }
  EXPECT_EQ(all.accepted, 1U);
  EXPECT_EQ(all.open(), 1U);
  EXPECT_FALSE(client.ended());
}

TEST(Connection, PipelinedRequestsAreServedInOrder) {
  RealConnections all;
  Accepted client = all.connect();
  std::string many;
  for (int i = 0; i < 30; ++i) many += get_of("/" + std::to_string(i));
  const std::string got = all.ask(client, many);
  EXPECT_EQ(count(got, "HTTP/1.1 200 OK"), 30U);
  std::size_t at = 0;
  for (int i = 0; i < 30; ++i) {
    at = got.find("GET /" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST(Connection, PipelinedLocalRepliesLetOthersRun) {
  RealConnections all(", request_id: off");
  all.no_backend();
  Accepted client = all.connect();
  std::string many;
  for (int i = 0; i < 50; ++i) many += get;
  EXPECT_EQ(count(all.ask(client, many), "HTTP/1.1 503"), 50U);
}

/// A refused head that is read once more has lost its fields: the request would be forwarded without them.
TEST(Connection, ABadHeadBehindAGoodRequestIsRefusedForItsOwnReason) {
  const std::pair<const char*, const char*> heads[] = {
      {"POST /bad HTTP/1.0\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "HTTP/1.1 400"},
      {"POST /bad HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
      {"POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501"}};
  for (const auto& [head, status] : heads) {
    RealConnections all;
    Accepted client = all.connect();
    const std::string got = all.ask(client, get + head);
    EXPECT_EQ(count(got, "HTTP/1.1 200 OK"), 1U) << head;
    EXPECT_EQ(count(got, status), 1U) << head << got;
    EXPECT_EQ(count(got, "/bad"), 0U) << "a backend got it: " << got;
  }
}

TEST(Connection, AHeadMayComeByteByByte) {
  RealConnections all;
  Accepted client = all.connect();
  for (const char c : get.substr(0, get.size() - 1)) EXPECT_TRUE(all.ask(client, {&c, 1}).empty());
  EXPECT_TRUE(all.ask(client, "\n").starts_with("HTTP/1.1 200"));
}

TEST(Connection, ASilentOneIsClosedAfterTheHeaderTimeout) {
  RealConnections all(", timeouts: {header: 3s}");
  Accepted client = all.connect();
  all.advance(2900ms);
  EXPECT_FALSE(client.ended());
  EXPECT_TRUE(all.trunk.worker.spare_actives.empty()) << "it costs no working memory";
  EXPECT_EQ(all.trunk.worker.conversations, 0U);
  all.advance(200ms);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(all.open(), 0U);
}

TEST(Connection, AHeadThatDoesNotEndIs408AndOneThatIsWrongIs400) {
  RealConnections all(", timeouts: {header: 3s}");
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, "GET / HTT").empty());
  all.advance(2900ms);
  EXPECT_TRUE(client.received().empty());
  all.advance(200ms);
  EXPECT_TRUE(client.received().starts_with("HTTP/1.1 408 "));
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 0U);
  Accepted other = all.connect();
  const std::string got = all.ask(other, "GET  / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 400 ")) << got;
  EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(all.refused(Refusal::head), 2U);
}

TEST(Connection, AHeadThatBreaksOffGetsNoReply) {
  RealConnections all;
  Accepted client = all.connect();
  all.ask(client, "GET / HTT");
  ::shutdown(client.descriptor(), SHUT_WR);
  all.run();
  EXPECT_TRUE(client.received().empty());
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(all.open(), 0U);
}

TEST(Connection, BetweenRequestsItIsParkedAndItsMemoryGivenBack) {
  RealConnections all;
  Accepted client = all.connect();
  all.ask(client, get);
  all.advance(400ms);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 0U);
  all.advance(200ms);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 1U);
  EXPECT_EQ(all.open(), 1U);
  EXPECT_FALSE(client.ended());
  const std::uint64_t before = all.trunk.worker.conversations;
  EXPECT_TRUE(all.ask(client, get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(all.trunk.worker.conversations, before + 1);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 0U);
}

TEST(Connection, AParkedOneIsClosedAfterTheIdleTimeoutOrWithItsClient) {
  RealConnections all(", timeouts: {idle: 5s}");
  Accepted client = all.connect(), other = all.connect();
  all.ask(client, get);
  all.ask(other, get);
  all.advance(4800ms);
  EXPECT_FALSE(client.ended());
  EXPECT_EQ(all.open(), 2U);
  other.close();
  all.run();
  EXPECT_EQ(all.open(), 1U);
  all.advance(400ms);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(all.open(), 0U);
}

TEST(Connection, AnIdleTimeoutShorterThanParkingClosesIt) {
  RealConnections all(", timeouts: {idle: 200ms}");
  Accepted client = all.connect();
  all.ask(client, get);
  all.advance(150ms);
  EXPECT_FALSE(client.ended());
  all.advance(100ms);
  EXPECT_TRUE(client.ended());
}

TEST(Connection, MoreThanTheSpareOnesAreGivenBackToTheSystem) {
  RealConnections all;
  std::vector<Accepted> clients;
  for (int i = 0; i < 70; ++i) {
    clients.push_back(all.connect());
    clients.back().send(get);
  }
  all.run();
  for (Accepted& client : clients) EXPECT_TRUE(client.received().starts_with("HTTP/1.1 200"));
  all.advance(600ms);
  EXPECT_EQ(all.trunk.worker.spare_actives.size(), 64U);
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 70U);
}

TEST(Connection, CloseIsObeyedAndTheEndIsClean) {
  RealConnections all;
  Accepted client = all.connect();
  const std::string got = all.ask(client, get_of("/", "Connection: close\r\n"));
  EXPECT_TRUE(got.ends_with("GET /"));
  EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(all.open(), 0U);
}

TEST(Connection, AnHttp10ClientGetsNoChunksAndNoInterims) {
  RealConnections all;
  all.respond = [](const std::string&) {
    return std::string(
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n0\r\n\r\n");
  };
  Accepted client = all.connect();
  const std::string got = all.ask(client, "GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << got;
  EXPECT_TRUE(got.ends_with("\r\n\r\nhello"));
  EXPECT_TRUE(client.ended());
}

// Lingering -----------------------------------------------------------------------------------------

const std::string refused_post =
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\nsome of it";

TEST(Linger, ReadsWhatStillComesForASecondSoThatTheReplyArrives) {
  RealConnections all;
  all.no_backend();
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, refused_post).starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(client.ended()) << "our side has ended";
  EXPECT_EQ(all.open(), 1U);
  for (int i = 0; i < 3; ++i) all.ask(client, std::string(10'000, 'x'));
  EXPECT_EQ(all.open(), 1U);
  all.advance(1100ms);
  EXPECT_EQ(all.open(), 0U);
}

TEST(Linger, EndsWithTheClientOrWithTooMuchOrAtAStop) {
  for (const int way : {0, 1, 2}) {
    RealConnections all;
    all.no_backend();
    Accepted client = all.connect();
    all.ask(client, refused_post);
    EXPECT_EQ(all.open(), 1U);
    if (way == 0) client.close();
    for (int i = 0; way == 1 && i < 30 && all.open() == 1; ++i) all.ask(client, std::string(10'000, 'x'));
    if (way == 2) {
      all.trunk.worker.stopping = true;
      Connection::stop_all(all.trunk.worker, false);
    }
    all.run();
    EXPECT_EQ(all.open(), 0U) << way;
  }
}

// Stopping ------------------------------------------------------------------------------------------

TEST(Stop, ClosesIdleOnesAtOnceAndOthersAfterTheirResponse) {
  RealConnections all;
  Accepted fresh = all.connect(), parked = all.connect(), idle = all.connect(), busy = all.connect();
  all.ask(parked, get);
  all.advance(600ms);
  all.ask(idle, get);
  all.respond = [](const std::string&) { return std::string(); };
  all.ask(busy, get);
  EXPECT_EQ(all.open(), 4U);
  all.trunk.worker.stopping = true;
  Connection::stop_all(all.trunk.worker, false);
  all.run();
  EXPECT_TRUE(fresh.ended());
  EXPECT_TRUE(parked.ended());
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(busy.ended());
  EXPECT_EQ(all.open(), 1U);
  all.send_from_backend("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const std::string got = busy.received();
  EXPECT_TRUE(got.ends_with("ok")) << got;
  EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(busy.ended());
  EXPECT_EQ(all.open(), 0U);
}

TEST(Stop, HardClosesAllNow) {
  RealConnections all;
  all.respond = [](const std::string&) { return std::string(); };
  Accepted busy = all.connect();
  all.ask(busy, get);
  all.trunk.worker.stopping = true;
  Connection::stop_all(all.trunk.worker, true);
  all.run();
  EXPECT_EQ(all.open(), 0U);
  EXPECT_TRUE(busy.received().empty());
  EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 0U);
}

TEST(Connection, AnExceptionEndsOnlyItsOwnConnection) {
  RealConnections all;
  Accepted other = all.connect(), fails = all.connect();
  all.ask(other, get);
  all.trunk.worker.idle.clear();
  all.server.close();
  const auto as_before = all.trunk.worker.report_lost;
  all.trunk.worker.report_lost = [](const auto&) { throw std::bad_alloc(); };
  EXPECT_TRUE(all.ask(fails, get).empty());
  EXPECT_TRUE(fails.gone());
  EXPECT_EQ(all.open(), 1U);
  EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 0U);
  all.trunk.worker.report_lost = as_before;
  all.server.open();
  EXPECT_TRUE(all.ask(other, get).starts_with("HTTP/1.1 200"));
}

TEST(Connection, OfAListenerThatAReloadRemovedClosesWithItsNextResponse) {
  RealConnections all;
  Accepted client = all.connect();
  all.ask(client, get);
  all.trunk.snapshot().listeners.front()->shared->retired = true;
  const std::string got = all.ask(client, get);
  EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(client.ended());
}

// Over sockets --------------------------------------------------------------------------------------

TEST(Sockets, LongBodiesPassBothWaysWhole) {
  RealConnections all("", "failover: {replay_body: 1KiB}, ");
  const std::string body(300'000, 'b');
  std::string to_send;
  all.respond = [&](const std::string&) { return std::string(); };
  Accepted client = all.connect();
  std::string got;
  client.send("PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 300000\r\n\r\n");
  std::string arrived;
  for (std::size_t at = 0; at < body.size(); at += 50'000) {
    client.send(body.substr(at, 50'000));
    arrived += all.backend_received();
  }
  EXPECT_EQ(arrived, body);
  all.send_from_backend("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
  got += client.received();
  for (std::size_t at = 0; at < body.size(); at += 50'000) {
    all.send_from_backend(body.substr(at, 50'000));
    got += client.received();
  }
  ASSERT_GE(got.size(), body.size());
  EXPECT_EQ(got.substr(got.size() - body.size()), body);
  EXPECT_TRUE(all.ask(client, "").empty());
}

TEST(Sockets, AResponseCutShortIsNotMadeToLookWhole) {
  RealConnections all;
  all.respond = [](const std::string&) {
    return std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  };
  Accepted client = all.connect();
  std::string got = all.ask(client, get);
  EXPECT_TRUE(got.ends_with("5\r\nhello\r\n"));
  all.close_backends();
  got = client.received();
  EXPECT_EQ(got.find("0\r\n\r\n"), std::string::npos);
  EXPECT_EQ(all.open(), 0U);
}

TEST(Sockets, ABackendThatDoesNotListenIs502) {
  RealConnections all;
  all.server.close();
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, get).starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(all.trunk.reported_lost.size(), 1U);
}

TEST(Sockets, ADeadIdleConnectionIsReplacedByANewOne) {
  RealConnections all;
  Accepted client = all.connect();
  all.ask(client, get);
  all.close_backends();
  EXPECT_TRUE(all.ask(client, get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(all.accepted, 2U);
}

TEST(Sockets, AnAuthenticatedConnectionServesItsClientAloneAndEndsWithIt) {
  RealConnections all;
  all.respond = [](const std::string& request) {
    const bool leg = request.find("TlRMTVNTUAAB") != std::string::npos;
    return std::string(leg ? "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM TlRMTVNTUAAC\r\n"
                           : "HTTP/1.1 200 OK\r\n") +
           "Content-Length: 0\r\n\r\n";
  };
  Accepted client = all.connect(), other = all.connect("192.0.2.2");
  EXPECT_TRUE(
      all.ask(client, get_of("/", "Authorization: NTLM TlRMTVNTUAAB\r\n")).starts_with("HTTP/1.1 401"));
  EXPECT_TRUE(all.ask(other, get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(all.accepted, 2U) << "the first is reserved";
  EXPECT_TRUE(
      all.ask(client, get_of("/", "Authorization: NTLM TlRMTVNTUAAD\r\n")).starts_with("HTTP/1.1 200"));
  all.advance(2s);
  EXPECT_TRUE(all.ask(client, get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(all.accepted, 2U);
  client.close();
  all.run();
  EXPECT_TRUE(all.ask(other, get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(all.accepted, 2U);
}

TEST(Sockets, ATunnelCarriesBytesBothWays) {
  RealConnections all;
  all.respond = [](const std::string&) {
    return std::string(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  };
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, get_of("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"))
                  .starts_with("HTTP/1.1 101 "));
  all.ask(client, "ping");
  EXPECT_EQ(all.backend_received(), "ping");
  all.send_from_backend("pong");
  EXPECT_EQ(client.received(), "pong");
  ::shutdown(client.descriptor(), SHUT_WR);
  all.run();
  all.close_backends();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(all.open(), 0U);
}

}  // namespace
}  // namespace remora::test
