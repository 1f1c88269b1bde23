// RFC 8441: WebSocket over HTTP/2, to a backend that speaks HTTP/1.1.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

Fields websocket(std::string_view path = "/ws", const Fields& more = {}) {
  Fields fields{{":method", "CONNECT"}, {":protocol", "websocket"},   {":scheme", "http"},
                {":authority", "test"}, {":path", std::string(path)}, {"sec-websocket-version", "13"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

class ExtendedConnect : public Http2 {
 protected:
  /// Opens a tunnel on the next stream.
  std::uint32_t open(const Fields& fields = websocket()) {
    const std::uint32_t id = client.next_stream();
    client.stream(id);
    client.send(headers(id, block(fields), end_headers));
    return id;
  }
  Client::Check opened(std::uint32_t id) {
    if (client.wait([&] { return client.stream(id).status() == 200; })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "status " << client.stream(id).status();
  }
  Client::Check echoes(std::uint32_t id, const std::string& bytes) {
    const std::string wanted = client.stream(id).body + bytes;
    client.send(data(id, bytes));
    if (client.wait([&] { return client.stream(id).body.size() >= wanted.size(); }) &&
        client.stream(id).body == wanted)
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "received " << client.stream(id).body;
  }
};

// 5.1: 200 opens the tunnel; there is no 101 in HTTP/2.
TEST_F(ExtendedConnect, AWebSocketIsOpenedAndPassesBothWays) {
  const std::uint32_t id = open();
  ASSERT_TRUE(opened(id));
  EXPECT_TRUE(echoes(id, "one"));
  EXPECT_TRUE(echoes(id, std::string(10000, 't')));
  EXPECT_EQ(client.stream(id).field("upgrade"), "");
  EXPECT_EQ(client.stream(id).field("sec-websocket-accept"), "");
}

TEST_F(ExtendedConnect, TheBackendGetsAnUpgradeOfHttp11) {
  ASSERT_TRUE(opened(open(websocket("/ws/chat?x=1", {{"sec-websocket-protocol", "chat"}}))));
  const auto r = backend().requests().at(0);
  EXPECT_EQ(r.line(), "GET /ws/chat?x=1 HTTP/1.1");
  EXPECT_EQ(r.field("Upgrade"), "websocket");
  EXPECT_NE(r.field("Connection").find("pgrade"), std::string::npos);
  EXPECT_EQ(r.field("Host"), "test");
  EXPECT_EQ(r.field("Sec-WebSocket-Protocol"), "chat");
  // The key is HTTP/1.1's: the client has none, and the backend needs one (RFC 6455 4.1: 16 bytes in base64).
  EXPECT_EQ(r.field("Sec-WebSocket-Key").size(), 24u);
  EXPECT_EQ(count_of(r.head, "Transfer-Encoding"), 0);
}

TEST_F(ExtendedConnect, ATunnelDoesNotHoldUpRequests) {
  const std::uint32_t id = open();
  ASSERT_TRUE(opened(id));
  EXPECT_TRUE(client.alive());
  EXPECT_TRUE(echoes(id, "still there"));
}

TEST_F(ExtendedConnect, SeveralTunnelsShareTheConnection) {
  const std::uint32_t a = open(), b = open();
  ASSERT_TRUE(opened(a));
  ASSERT_TRUE(opened(b));
  EXPECT_TRUE(echoes(a, "for a"));
  EXPECT_TRUE(echoes(b, "for b"));
}

// 5: END_STREAM is TCP's FIN.
TEST_F(ExtendedConnect, TheClientsEndReachesTheBackendAndComesBack) {
  const std::uint32_t id = open();
  ASSERT_TRUE(opened(id));
  EXPECT_TRUE(echoes(id, "last"));
  client.send(data(id, "", end_stream));
  EXPECT_TRUE(client.wait([&] { return client.stream(id).over(); }));
  EXPECT_TRUE(client.alive());
}

TEST_F(ExtendedConnect, AResetEndsTheTunnelOnly) {
  const std::uint32_t id = open();
  ASSERT_TRUE(opened(id));
  client.send(rst_stream(id));
  EXPECT_TRUE(client.alive());
}

TEST_F(ExtendedConnect, ABackendThatDeclinesIsHeard) {
  const std::uint32_t id = open(websocket("/status/403"));
  EXPECT_TRUE(client.wait([&] { return client.stream(id).status() == 403; }));
  EXPECT_TRUE(client.alive());
}

TEST_F(ExtendedConnect, ABackendThatOnlyAnswersOpensNoTunnel) {
  const std::uint32_t id = open(websocket("/no-websocket-here"));
  EXPECT_TRUE(client.wait([&] { return client.stream(id).over() || client.stream(id).status() > 0; }));
  // A 200 would say that the tunnel is open.
  EXPECT_NE(client.stream(id).status() / 100, 2);
  EXPECT_TRUE(client.alive());
}

TEST_F(ExtendedConnect, TheWindowsHoldInTheTunnel) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 100}}));
  client.updates_windows = false;
  const std::uint32_t id = open();
  ASSERT_TRUE(opened(id));
  client.send(data(id, std::string(1000, 't')));
  EXPECT_TRUE(client.wait([&] { return client.stream(id).body.size() == 100; }));
  client.give_window(id, 900);
  EXPECT_TRUE(client.wait([&] { return client.stream(id).body.size() == 1000; }));
}

// Malformed, or not on offer: never a tunnel, never forwarded
// ------------------------------------------------

struct Refused {
  const char* name;
  Fields fields;
};
void PrintTo(const Refused& r, std::ostream* out) {
  *out << r.name;
}

class AnExtendedConnect : public Http2, public ::testing::WithParamInterface<Refused> {};

TEST_P(AnExtendedConnect, IsRefused) {
  client.send(headers(1, block(GetParam().fields), end_headers));
  EXPECT_TRUE(client.wait([&] { return client.stream(1).over() || client.stream(1).status() >= 400; }));
  EXPECT_FALSE(client.stream(1).status() >= 200 && client.stream(1).status() < 400);
  EXPECT_TRUE(nothing_forwarded());
}

INSTANTIATE_TEST_SUITE_P(
    ExtendedConnect, AnExtendedConnect,
    ::testing::Values(Refused{"WithoutAScheme", replaced(websocket(), ":scheme", {})},
                      Refused{"WithoutAPath", replaced(websocket(), ":path", {})},
                      Refused{"WithoutAnAuthority", replaced(websocket(), ":authority", {})},
                      Refused{"WithTwoProtocols",
                              replaced(websocket(), ":protocol",
                                       {{":protocol", "websocket"}, {":protocol", "websocket"}})},
                      Refused{"WithTheMethodGet", replaced(websocket(), ":method", {{":method", "GET"}})},
                      Refused{"WithALineBreakInTheProtocol",
                              replaced(websocket(), ":protocol", {{":protocol", "websocket\r\nx-evil: 1"}})},
                      Refused{"WithAListOfProtocols",
                              replaced(websocket(), ":protocol", {{":protocol", "websocket, h2c"}})},
                      Refused{"WithAnEmptyProtocol", replaced(websocket(), ":protocol", {{":protocol", ""}})},
                      Refused{"ToH2c", replaced(websocket(), ":protocol", {{":protocol", "h2c"}})},
                      Refused{"ToAProtocolThatTheRouteDoesNotAllow",
                              replaced(websocket(), ":protocol", {{":protocol", "connect-udp"}})},
                      Refused{"WithAnUpgradeField", websocket("/ws", {{"upgrade", "websocket"}})},
                      Refused{"WithAConnectionField", websocket("/ws", {{"connection", "upgrade"}})}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace remora::test::h2
