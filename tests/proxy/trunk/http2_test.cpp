// The requests of one client's HTTP/2 connection, over a socket pair and on a manual clock.

#include "proxy/trunk/http2.h"

#include "proxy/websocket_key.h"
#include "util/text.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

using Peer = TrunkPeer;
using Pairs = Http2Peer::Pairs;
using Response = Http2Peer::Response;

const std::string h2c = ", h2c: on";

TEST(Http2Requests, AreServedOneAfterAnotherAndTogether) {
  RealConnections all(h2c);
  Peer client(all);
  for (int i = 0; i < 3; ++i) {
    const Response& got = client.get("/" + std::to_string(i));
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, "GET /" + std::to_string(i));
    EXPECT_TRUE(got.ended);
  }
  EXPECT_EQ(all.accepted, 1U) << "they share a connection to the backend";
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 20; ++i) streams.push_back(client.begin("GET", "/many/" + std::to_string(i)));
  client.run();
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(client.of(streams.at(static_cast<std::size_t>(i))).body, "GET /many/" + std::to_string(i));
  EXPECT_EQ(all.open(), 1U);
}

TEST(Http2Requests, OfHttp1AreServedOnTheSameListener) {
  RealConnections all(h2c);
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
  Accepted slow = all.connect();
  EXPECT_EQ(all.ask(slow, "P"), "");
  EXPECT_EQ(all.ask(slow, "RI"), "");
  EXPECT_TRUE(all.ask(slow, "NT / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
}

TEST(Http2Requests, ByPriorKnowledgeAreRefusedWhereH2cIsOff) {
  RealConnections all;
  Accepted client = all.connect();
  const std::string got = all.ask(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_TRUE(got.starts_with("HTTP/1.1 ")) << got;
  EXPECT_EQ(got.find("HTTP/1.1 200"), std::string::npos);
}

TEST(Http2Requests, APrefaceMayComeByteByByte) {
  RealConnections all(h2c);
  Peer client(all);
  const std::int32_t stream = client.begin("GET", "/");
  for (const char c : client.output()) client.feed(all.ask(client.socket(), {&c, 1}));
  EXPECT_EQ(client.finish(stream).status, 200);
}

TEST(Http2Requests, AreForwardedWithTheirVersion) {
  RealConnections all(h2c);
  Peer client(all);
  client.get("/", {{"cookie", "a=1"}, {"cookie", "b=2"}, {"x-a", "b"}});
  const std::string& head = all.requests.at(0);
  EXPECT_TRUE(head.starts_with("GET / HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("\r\nVia: 2.0 remora\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("a=1; b=2\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("ost: app.test\r\n"), std::string::npos) << head;
}

TEST(Http2Requests, ExpensiveOrManyLetOthersRun) {
  RealConnections all(h2c + ", request_id: off");
  all.no_backend();
  Peer client(all);
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(client.begin("GET", "/"));
  client.run();
  for (const std::int32_t s : streams) EXPECT_EQ(client.of(s).status, 503);
}

TEST(Http2Requests, UploadsAndTheirTrailersPass) {
  RealConnections all(h2c);
  all.respond = [](const std::string&) { return std::string(); };
  Peer client(all);
  const std::int32_t stream = client.begin("POST", "/", {{"trailer", "x-sum"}}, false);
  client.send_data(stream, "hello", false);
  client.run();
  client.send_trailers(stream, {{"x-sum", "5"}});
  client.run();
  std::string got;
  for (const std::string& part : all.requests) got += part;
  EXPECT_NE(got.find("hello"), std::string::npos) << got;
  EXPECT_NE(got.find("x-sum: 5\r\n"), std::string::npos) << got;
  all.send_from_backend("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(client.finish(stream).status, 204);
}

TEST(Http2Requests, ThatAreResetFreeTheBackend) {
  RealConnections all(h2c);
  all.respond = [](const std::string&) { return std::string(); };
  Peer client(all);
  const std::int32_t stream = client.begin("GET", "/");
  client.run();
  EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 1U);
  client.reset(stream);
  client.run();
  EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 0U);
  EXPECT_TRUE(all.trunk.holds_nothing());
  all.respond = [](const std::string&) { return std::string("HTTP/1.1 204 No Content\r\n\r\n"); };
  EXPECT_EQ(client.get("/").status, 204) << "the connection goes on";
}

/// More than one receive takes, so that the resets come when the first of them wait for their turn.
TEST(Http2Requests, ThatAreResetWhileTheyWaitAreNotServed) {
  RealConnections all(h2c);
  Peer client(all);
  for (int i = 0; i < 40; ++i) client.begin("GET", "/");
  client.run();
  const std::size_t served = all.requests.size();
  EXPECT_EQ(served, 40U);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::int32_t> streams;
    for (int i = 0; i < 40; ++i) {
      const auto letter = static_cast<char>('a' + i % 26);
      streams.push_back(client.begin("GET", "/", {{"x", std::string(2000 + i, letter)}}));
    }
    std::string bytes = client.output();
    for (const std::int32_t stream : streams) client.reset(stream);
    bytes += client.output();
    client.socket().send(bytes);
    client.run();
  }
  EXPECT_EQ(all.requests.size(), served);
  EXPECT_EQ(client.get("/after").body, "GET /after");
}

TEST(Http2Requests, OfALostConnectionEnd) {
  RealConnections all(h2c);
  all.respond = [](const std::string&) { return std::string(); };
  {
    Peer client(all);
    for (int i = 0; i < 5; ++i) client.begin("GET", "/");
    client.run();
    EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 5U);
  }
  all.run();
  all.advance(50ms);
  EXPECT_EQ(all.trunk.backend_of("a").in_flight.load(), 0U);
  EXPECT_EQ(all.open(), 0U);
}

TEST(Http2Requests, ThatAuthenticateTheConnectionAreToComeByHttp1) {
  constexpr std::uint32_t http11_required = 13;
  RealConnections all(h2c);
  Peer client(all);
  const Response& with = client.get("/", {{"authorization", "Negotiate YII="}});
  EXPECT_EQ(with.status, 0);
  EXPECT_EQ(with.reset, http11_required);
  EXPECT_TRUE(all.requests.empty());
  all.respond = [](const std::string&) {
    return std::string("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n");
  };
  const Response& asked = client.get("/");
  EXPECT_EQ(asked.status, 0);
  EXPECT_EQ(asked.reset, http11_required);
  all.respond = [](const std::string&) {
    return std::string("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
  };
  EXPECT_EQ(client.get("/").status, 401);
  EXPECT_TRUE(all.trunk.holds_nothing());
}

TEST(Http2Requests, CountByThemselves) {
  RealConnections all(h2c);
  Peer client(all);
  client.get("/");
  client.get("/");
  const auto& shared = *all.trunk.snapshot().listeners[all.trunk.snapshot().serving.front()]->shared;
  EXPECT_EQ(shared.http2.at(0).requests.value(), 2U);
  EXPECT_EQ(shared.http2.at(0).connections.value(), 1U);
}

/// The Sec-WebSocket-Accept that belongs to the key in this request.
std::string accept_for(const std::string& head) {
  const std::string name = "Sec-WebSocket-Key: ";
  const std::size_t at = head.find(name) + name.size();
  std::vector<Field> fields;
  TextArena arena;
  const std::string key = head.substr(at, head.find("\r\n", at) - at);
  const std::string raw = *base64_decode(key);
  std::uint64_t high = 0, low = 0;
  std::memcpy(&high, raw.data(), 8);
  std::memcpy(&low, raw.data() + 8, 8);
  return std::string(give_websocket_key(fields, high, low, arena));
}

const Pairs websocket = {{":method", "CONNECT"}, {":protocol", "websocket"}, {"sec-websocket-version", "13"}};

TEST(Http2WebSocket, PassesBothWaysThroughAnHttp1Backend) {
  RealConnections all(h2c);
  all.respond = [](const std::string& head) {
    if (head.starts_with("GET /plain")) return std::string("HTTP/1.1 204 No Content\r\n\r\n");
    return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Accept: " +
           accept_for(head) + "\r\n\r\nfirst";
  };
  Peer client(all);
  const std::int32_t stream = client.begin("GET", "/chat", websocket, false);
  client.run();
  const std::string& head = all.requests.at(0);
  EXPECT_TRUE(head.starts_with("GET /chat HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos) << head;
  EXPECT_EQ(client.of(stream).status, 200);
  EXPECT_EQ(client.of(stream).field("sec-websocket-accept"), "");
  EXPECT_EQ(client.of(stream).body, "first");
  client.send_data(stream, "to the app", false);
  client.run();
  EXPECT_EQ(all.backend_received(), "to the app");
  all.send_from_backend("to the client");
  client.run();
  EXPECT_EQ(client.of(stream).body, "firstto the client");
  EXPECT_EQ(client.get("/plain").status, 204) << "other requests go on";
  client.send_data(stream, {}, true);
  client.run();
  all.close_backends();
  client.run();
  EXPECT_TRUE(client.of(stream).closed);
  EXPECT_TRUE(all.trunk.holds_nothing());
}

TEST(Http2WebSocket, IsGrantedOnlyByABackendThatUnderstood) {
  const std::pair<const char*, int> rows[] = {
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
       "Sec-WebSocket-Accept: d3Jvbmc=\r\n\r\n",
       502},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403}};
  for (const auto& [response, status] : rows) {
    RealConnections all(h2c);
    all.respond = [&](const std::string&) { return std::string(response); };
    Peer client(all);
    const std::int32_t stream = client.begin("GET", "/", websocket, false);
    EXPECT_EQ(client.finish(stream).status, status) << response;
  }
}

TEST(Http2WebSocket, OfAnotherProtocolIsNotImplemented) {
  RealConnections all(h2c);
  Peer client(all);
  Pairs fields = websocket;
  fields.at(1).second = "something";
  EXPECT_EQ(client.finish(client.begin("GET", "/", fields, false)).status, 501);
  EXPECT_TRUE(all.requests.empty());
}

}  // namespace
}  // namespace remora::test
