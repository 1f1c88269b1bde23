// HTTP/1.1 clients and HTTP/2 backends, in process and on a manual clock: which requests share connections,
// and what becomes of them when a connection or a stream ends.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "http/h2/peer.h"
#include "proxy/connection.h"
#include "support/failing_memory.h"
#include "support/trunk.h"
#include "support/unix_listener.h"

namespace remora::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ServerSettings = std::vector<std::pair<std::uint16_t, std::uint32_t>>;

/// A connection that the backend has accepted.
struct Server {
  explicit Server(Accepted socket) : peer(std::move(socket)) {}
  /// Requests received so far; the frames in between are kept in `other`.
  std::size_t read() {
    if (!greeted) greeted = !peer.preface().empty();
    for (H2Frame& f : peer.frames()) {
      if (f.type == headers_frame)
        requests.push_back(std::move(f));
      else if (f.type == data_frame)
        bodies[f.stream] += f.payload;
      else
        other.push_back(std::move(f));
    }
    return requests.size();
  }
  void respond(std::int32_t stream, const std::string& body = "hello", const std::string& status = "200") {
    peer.ask(stream, {{":status", status}, {"content-length", std::to_string(body.size())}}, false);
    peer.data(stream, body, true);
  }
  void goaway(std::int32_t last) {
    peer.raw(frame(goaway_frame, 0, 0, bytes_of(static_cast<std::uint32_t>(last)) + bytes_of(0)));
  }
  std::size_t count(std::uint8_t type) const {
    std::size_t n = 0;
    for (const H2Frame& f : other) n += f.type == type && (f.flags & ack) == 0;
    return n;
  }
  H2Peer peer;
  std::size_t answered = 0;  // requests, by answer_all()
  bool greeted = false;
  std::vector<H2Frame> requests, other;
  std::map<std::int32_t, std::string> bodies;
};

class SharedConnectionsTest : public ::testing::Test {
 protected:
  static std::string configuration(const UnixListener& at, const std::string& pool) {
    return "pools: {app: {protocol: h2, " + pool + "backends: [{id: a, address: \"unix:" + at.address().host +
           "\"}]}}\n";
  }
  explicit SharedConnectionsTest(const std::string& pool = {}) : trunk(configuration(listener, pool)) {}
  ~SharedConnectionsTest() override {
    trunk.worker.stopping = true;
    Connection::stop_all(trunk.worker, true);
    run();
    trunk.worker.idle.clear();
    trunk.worker.shared.clear();
    servers.clear();
    run();
    EXPECT_EQ(trunk.worker.shared.count(trunk.backend_of("a")), 0U);
  }

  Accepted connect() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
    const auto& view = trunk.snapshot().listeners[trunk.snapshot().serving.front()];
    const ListenerState state{view->slot, view->shared};
    Connection::start(trunk.worker, state, TransportRef(new Transport(trunk.worker.loop, fds[0])),
                      *parse_ip("192.0.2.1"));
    return Accepted(fds[1]);
  }
  /// A new client that sends this.
  Accepted& ask(const std::string& request) {
    clients.push_back(connect());
    clients.back().send(request);
    run();
    return clients.back();
  }
  Accepted& get(const std::string& path = "/") { return ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); }
  Accepted& post(const std::string& body) {
    return ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               body);
  }
  /// Lets everything act; connections of the backend are greeted with `settings`.
  void run() {
    for (int round = 0; round < 30; ++round) {
      trunk.settle();
      bool any = false;
      for (Accepted next = listener.accept(); next; next = listener.accept()) {
        servers.push_back(std::make_unique<Server>(std::move(next)));
        if (greets) servers.back()->peer.raw(H2Peer::settings_of(settings));
        any = true;
      }
      for (const auto& s : servers) s->read();
      if (!any && round > 2) break;
    }
  }
  void advance(std::chrono::nanoseconds by) {
    run();
    trunk.advance(by);
    run();
  }
  static std::string status(Accepted& client) { return client.received().substr(9, 3); }
  std::size_t connections() { return trunk.worker.shared.count(trunk.backend_of("a")); }

  UnixListener listener;  // before `trunk`, whose configuration names it
  Trunk trunk;
  ServerSettings settings;
  bool greets = true;
  std::deque<Accepted> clients;
  std::deque<std::unique_ptr<Server>> servers;
};

TEST_F(SharedConnectionsTest, RequestsOfDifferentClientsShareAConnection) {
  Accepted& one = get("/1");
  Accepted& two = get("/2");
  ASSERT_EQ(servers.size(), 1U);
  ASSERT_EQ(servers[0]->requests.size(), 2U);
  servers[0]->respond(3, "two");
  servers[0]->respond(1, "one");
  run();
  EXPECT_NE(one.received().find("\r\n\r\none"), std::string::npos);
  EXPECT_NE(two.received().find("\r\n\r\ntwo"), std::string::npos);
}

TEST_F(SharedConnectionsTest, ThoseWhoWaitShareAConnect) {
  greets = false;
  get();
  get();
  get();
  ASSERT_EQ(servers.size(), 1U);
  servers[0]->peer.raw(H2Peer::settings_of({}));
  run();
  EXPECT_EQ(servers.size(), 1U);
  EXPECT_EQ(servers[0]->requests.size(), 3U);
}

TEST_F(SharedConnectionsTest, AnotherConnectionIsMadeWhenAllAreFull) {
  settings = {{3, 2}};
  for (int i = 0; i < 5; ++i) get();
  ASSERT_EQ(servers.size(), 3U);
  EXPECT_EQ(servers[0]->requests.size(), 2U);
  EXPECT_EQ(servers[1]->requests.size(), 2U);
  EXPECT_EQ(servers[2]->requests.size(), 1U);
}

TEST_F(SharedConnectionsTest, RoomThatOthersLeaveIsUsed) {
  settings = {{3, 1}};
  Accepted& one = get();
  servers[0]->respond(1);
  run();
  EXPECT_EQ(status(one), "200");
  get();
  EXPECT_EQ(servers.size(), 1U);
  EXPECT_EQ(servers[0]->requests.size(), 2U);
}

TEST_F(SharedConnectionsTest, AnIdleConnectionStaysAndIsUsedAgain) {
  get();
  servers[0]->respond(1);
  advance(seconds(30));
  EXPECT_EQ(connections(), 1U);
  get();
  EXPECT_EQ(servers.size(), 1U);
  EXPECT_EQ(servers[0]->requests.size(), 2U);
}

TEST_F(SharedConnectionsTest, AnIdleConnectionThatEndsIsForgotten) {
  get();
  servers[0]->respond(1);
  run();
  servers[0]->peer.close();
  advance(seconds(2));
  EXPECT_EQ(connections(), 0U);
  get();
  EXPECT_EQ(servers.size(), 2U);
}

TEST_F(SharedConnectionsTest, GoawayRetiresAConnectionAndLosesNoRequest) {
  Accepted& one = get("/1");
  Accepted& two = post("body");
  servers[0]->goaway(1);
  run();
  ASSERT_EQ(servers.size(), 2U);  // the POST was not processed: it is sent again
  ASSERT_EQ(servers[1]->requests.size(), 1U);
  EXPECT_EQ(servers[1]->requests[0].field(":method"), "POST");
  EXPECT_EQ(servers[1]->bodies[1], "body");
  servers[0]->respond(1, "one");
  servers[1]->respond(1, "two");
  run();
  EXPECT_NE(one.received().find("one"), std::string::npos);
  EXPECT_NE(two.received().find("two"), std::string::npos);
  EXPECT_EQ(connections(), 1U);
}

// The end came together with GOAWAY and raised no event of its own: requests waited for timeouts.response.
TEST_F(SharedConnectionsTest, AnEndTogetherWithTheLastBytesIsNoticed) {
  get();
  servers[0]->respond(1);
  Accepted& one = get();
  servers[0]->goaway(3);
  servers[0]->peer.close();
  advance(milliseconds(100));
  ASSERT_EQ(servers.size(), 2U);
  ASSERT_EQ(servers[1]->requests.size(), 1U);
  servers[1]->respond(1);
  run();
  EXPECT_EQ(status(one), "200");
}

// RFC 9113 8.3.1: an empty `:authority` is malformed. Servers reset such requests, which counted against
// them.
TEST_F(SharedConnectionsTest, ARequestWithoutAHostNamesTheBackend) {
  ask("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  ASSERT_EQ(servers.size(), 1U);
  ASSERT_EQ(servers[0]->requests.size(), 1U);
  EXPECT_EQ(servers[0]->requests[0].field(":authority"), "localhost");
}

TEST_F(SharedConnectionsTest, ARefusedStreamIsSentAgain) {
  Accepted& one = post("body");
  servers[0]->peer.reset(1, NGHTTP2_REFUSED_STREAM);
  run();
  ASSERT_EQ(servers.size(), 1U);
  ASSERT_EQ(servers[0]->requests.size(), 2U);
  EXPECT_EQ(servers[0]->bodies[3], "body");
  servers[0]->respond(3);
  run();
  EXPECT_EQ(status(one), "200");
}

TEST_F(SharedConnectionsTest, WhatIsRefusedAgainAndAgainFailsInTheEnd) {
  Accepted& one = get();
  for (std::int32_t id = 1; id < 20; id += 2) {
    servers[0]->peer.reset(id, NGHTTP2_REFUSED_STREAM);
    run();
  }
  EXPECT_EQ(status(one), "502");
  EXPECT_EQ(servers[0]->requests.size(), 3U);  // `attempts`
}

TEST_F(SharedConnectionsTest, ALostConnectionRepeatsOnlyWhatMayBeRepeated) {
  get();
  servers[0]->respond(1);
  Accepted& one = get();
  Accepted& two = post("body");
  servers[0]->peer.close();
  run();
  ASSERT_EQ(servers.size(), 2U);
  ASSERT_EQ(servers[1]->requests.size(), 1U);
  EXPECT_EQ(servers[1]->requests[0].field(":method"), "GET");
  servers[1]->respond(1);
  run();
  EXPECT_EQ(status(one), "200");
  EXPECT_EQ(status(two), "502");
}

TEST_F(SharedConnectionsTest, AClientThatLeavesResetsItsStreamOnly) {
  Accepted& one = get("/1");
  Accepted& two = get("/2");
  one.close();
  run();
  EXPECT_EQ(servers[0]->count(rst_stream_frame), 1U);
  servers[0]->respond(3);
  run();
  EXPECT_EQ(status(two), "200");
  EXPECT_EQ(connections(), 1U);
}

// Each connection that opened without room was followed by the next, without a pause.
TEST_F(SharedConnectionsTest, ABackendThatTakesNoRequestsIsNotConnectedToAgainAndAgain) {
  settings = {{3, 0}};
  Accepted& one = get();
  Accepted& two = get();
  EXPECT_EQ(servers.size(), 1U);
  advance(seconds(30));
  EXPECT_EQ(status(one), "504");
  EXPECT_EQ(status(two), "504");
  EXPECT_EQ(servers.size(), 1U);
  EXPECT_EQ(connections(), 0U);
}

// RFC 9113 6.5.2: a limit of zero is for a short time.
TEST_F(SharedConnectionsTest, ABackendThatTakesRequestsALittleLaterGetsThem) {
  settings = {{3, 0}};
  Accepted& one = get();
  EXPECT_TRUE(servers[0]->requests.empty());
  servers[0]->peer.raw(H2Peer::settings_of({{3, 100}}));
  run();
  servers[0]->respond(1);
  run();
  EXPECT_EQ(status(one), "200");
  EXPECT_EQ(servers.size(), 1U);
}

TEST_F(SharedConnectionsTest, ABackendThatSaysGoawayAtOnceFailsItsRequests) {
  greets = false;
  Accepted& one = get();
  for (const auto& s : servers) {
    s->peer.raw(H2Peer::settings_of({}));
    s->goaway(0);
  }
  run();
  EXPECT_EQ(status(one), "502");
}

TEST_F(SharedConnectionsTest, AServerOfHttp1IsRefused) {
  greets = false;
  Accepted& one = get();
  for (int i = 0; i < 5; ++i) {
    for (const auto& s : servers) s->peer.raw("HTTP/1.1 400 Bad Request\r\n\r\n");
    run();
  }
  EXPECT_EQ(status(one), "502");
}

TEST_F(SharedConnectionsTest, ABackendThatSaysNothingTimesOut) {
  greets = false;
  Accepted& one = get();
  advance(seconds(30));
  EXPECT_EQ(status(one), "504");
  EXPECT_EQ(connections(), 0U);
}

TEST_F(SharedConnectionsTest, ASilentConnectionGetsAPingAndNoRequests) {
  Accepted& one = get();
  advance(seconds(2));
  one.close();
  run();
  EXPECT_EQ(servers[0]->count(ping_frame), 1U);
  get();
  EXPECT_EQ(servers.size(), 2U);
  EXPECT_EQ(servers[0]->requests.size(), 1U);
  advance(seconds(6));
  EXPECT_EQ(connections(), 1U);  // the silent one was closed
}

TEST_F(SharedConnectionsTest, ASignOfLifeEndsTheDoubt) {
  Accepted& one = get();
  advance(seconds(2));
  one.close();
  run();
  for (const H2Frame& f : servers[0]->other)
    if (f.type == ping_frame && (f.flags & ack) == 0)
      servers[0]->peer.raw(frame(ping_frame, ack, 0, f.payload));
  run();
  get();
  EXPECT_EQ(servers.size(), 1U);
  EXPECT_EQ(servers[0]->requests.size(), 2U);
}

TEST_F(SharedConnectionsTest, ABackendThatLeavesTheConfigurationGetsGoaway) {
  Accepted& one = get("/1");
  trunk.worker.shared.retain({});
  run();
  EXPECT_EQ(connections(), 1U);  // a request runs
  servers[0]->respond(1);
  run();
  EXPECT_EQ(status(one), "200");
  EXPECT_EQ(servers[0]->count(goaway_frame), 1U);
  EXPECT_EQ(connections(), 0U);
}

TEST_F(SharedConnectionsTest, InterimResponsesBodiesAndTrailersPass) {
  Accepted& one =
      ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
          "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n");
  ASSERT_EQ(servers[0]->requests.size(), 2U);  // the second is the trailers
  EXPECT_EQ(servers[0]->bodies[1], "abc");
  EXPECT_EQ(servers[0]->requests[1].field("x-sum"), "7");
  servers[0]->peer.ask(1, {{":status", "103"}, {"link", "</a>"}}, false);
  servers[0]->peer.ask(1, {{":status", "200"}, {"trailer", "x-end"}}, false);
  servers[0]->peer.data(1, "hello");
  servers[0]->peer.ask(1, {{"x-end", "9"}}, true);
  run();
  const std::string got = one.received();
  EXPECT_NE(got.find("HTTP/1.1 103"), std::string::npos);
  EXPECT_NE(got.find("HTTP/1.1 200 OK"), std::string::npos);
  EXPECT_NE(got.find("5\r\nhello\r\n"), std::string::npos);
  EXPECT_NE(got.find("x-end: 9"), std::string::npos);
}

TEST_F(SharedConnectionsTest, AWebSocketFromHttp1BecomesAnExtendedConnect) {
  settings = {{8, 1}};
  Accepted& one =
      ask("GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_EQ(servers[0]->requests.size(), 1U);
  EXPECT_EQ(servers[0]->requests[0].field(":protocol"), "websocket");
  servers[0]->peer.ask(1, {{":status", "200"}}, false);
  run();
  const std::string head = one.received();
  EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 101");
  EXPECT_NE(head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
  one.send("ping");
  run();
  EXPECT_EQ(servers[0]->bodies[1], "ping");
  servers[0]->peer.data(1, "pong");
  run();
  EXPECT_EQ(one.received(), "pong");
}

// Out of memory -------------------------------------------------------------------------------------

class StarvedConnections : public SharedConnectionsTest, public ::testing::WithParamInterface<std::size_t> {
 protected:
  void SetUp() override {
    if (!FailingMemory::works) GTEST_SKIP();
  }
  /// Lets everything act while allocations fail, except the first `spared`. True: one failed.
  bool run_starved(std::size_t spared) {
    const FailingMemory memory(spared);
    for (int handlers = 0; handlers < 1000; ++handlers) {
      try {
        if (trunk.worker.loop.ctx.poll_one() == 0) break;
      } catch (const std::bad_alloc&) {
        ++escaped;
      }
    }
    return memory.failures() > 0;
  }
  /// The backend answers everything, until nothing is left to answer.
  void answer_all() {
    for (int round = 0; round < 5; ++round) {
      for (const auto& s : servers) {
        for (; s->answered < s->requests.size(); ++s->answered) s->respond(s->requests[s->answered].stream);
      }
      advance(milliseconds(20));
    }
  }
  int escaped = 0;
};

/// Events of a connection threw at the event loop; those who waited were forgotten, and the connection dead.
TEST_P(StarvedConnections, WhereverMemoryRunsOutThoseWhoWaitAreServedOrFailAtOnce) {
  settings = {{3, 1}};  // one stream each: the others need connections of their own
  greets = false;
  std::vector<Accepted*> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(&get());
  ASSERT_EQ(servers.size(), 1U);
  servers[0]->peer.raw(H2Peer::settings_of(settings));
  trunk.worker.loop.ctx.restart();
  run_starved(GetParam());
  EXPECT_EQ(escaped, 0);
  greets = true;
  answer_all();
  for (Accepted* client : waiting) {
    const std::string got = client->received();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200") || got.starts_with("HTTP/1.1 50") || client->gone()) << got;
    EXPECT_FALSE(got.starts_with("HTTP/1.1 504")) << "waited in vain";
  }
  Accepted& next = get();
  answer_all();
  EXPECT_EQ(status(next), "200");
}
INSTANTIATE_TEST_SUITE_P(Spared, StarvedConnections, ::testing::Range<std::size_t>(0, 60));

/// Connections that are idle are kept up to `idle_connections`.
class FewIdleConnections : public SharedConnectionsTest {
 protected:
  FewIdleConnections() : SharedConnectionsTest("idle_connections: 1, ") {}
};

TEST_F(FewIdleConnections, TheOthersAreClosed) {
  settings = {{3, 1}};
  for (int i = 0; i < 3; ++i) get();
  ASSERT_EQ(servers.size(), 3U);
  for (const auto& s : servers) s->respond(1);
  run();
  EXPECT_EQ(connections(), 1U);
}

}  // namespace
}  // namespace remora::test
