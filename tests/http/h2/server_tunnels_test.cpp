// WebSocket over HTTP/2 (RFC 8441).

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

void ask_for_tunnel(ServerEnd& server, std::int32_t id) {
  Pairs fields = request("CONNECT", "/chat");
  fields.insert(fields.begin() + 1, {":protocol", "websocket"});
  server.client.ask(id, fields, false);
}

OutHead granted() {
  OutHead head;
  head.status = 101;
  head.tunnel = "websocket";
  head.fields = {{"Upgrade", "websocket", Known::upgrade},
                 {"Sec-WebSocket-Accept", "x"},
                 {"Sec-WebSocket-Protocol", "chat"}};
  return head;
}

TEST(Http2Tunnels, AGrantedTunnelCarriesBytesBothWays) {
  ServerEnd server;
  server.greet();
  ask_for_tunnel(server, 1);
  EXPECT_TRUE(server.head().tunnel);
  Http2ServerStream& stream = server.last();
  server.client.data(1, "early");
  server.run();
  EXPECT_EQ(stream.body().size(), 0U) << "not before the tunnel is granted";
  stream.put_head(granted());
  stream.tunnel();
  EXPECT_EQ(ServerEnd::send(stream, "from the server", false).bytes, 15U);
  EXPECT_FALSE(stream.request_complete());
  auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].field(":status"), "200");
  EXPECT_EQ(frames[0].field("sec-websocket-protocol"), "chat");
  EXPECT_EQ(frames[0].field("upgrade"), "(none)");
  EXPECT_EQ(frames[0].field("sec-websocket-accept"), "(none)");
  EXPECT_FALSE(frames[0].ends());
  EXPECT_EQ(frames[1].payload, "from the server");
  EXPECT_EQ(ServerEnd::read(stream), "early");
  server.client.data(1, "more");
  server.run();
  EXPECT_EQ(ServerEnd::read(stream), "more");
  // The server ends its side, then the client.
  EXPECT_TRUE(ServerEnd::send(stream, "", true).finished);
  stream.end_sending();
  server.client.data(1, "last", true);
  frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_TRUE(frames[0].ends());
  EXPECT_TRUE(stream.body().last);
  EXPECT_EQ(ServerEnd::read(stream), "last");
  EXPECT_FALSE(stream.gone());
  server.done(stream);
  server.run();
  EXPECT_TRUE(server.session->is_idle());
}

TEST(Http2Tunnels, ATunnelThatBreaksIsReset) {
  ServerEnd server;
  server.greet();
  ask_for_tunnel(server, 1);
  server.head();
  server.last().put_head(granted());
  server.last().tunnel();
  server.last().send({}, nullptr);
  server.run();
  server.done(server.last());
  const auto resets = server.frames(rst_stream_frame);
  ASSERT_EQ(resets.size(), 1U);
  EXPECT_EQ(resets[0].code(), NGHTTP2_INTERNAL_ERROR);
}

TEST(Http2Tunnels, AResetEndsATunnelWhoseOtherSideHasEnded) {
  ServerEnd server;
  server.greet();
  ask_for_tunnel(server, 1);
  server.head();
  Http2ServerStream& stream = server.last();
  stream.put_head(granted());
  stream.tunnel();
  EXPECT_TRUE(ServerEnd::send(stream, "", true).finished);
  server.client.reset(1);
  server.run();
  EXPECT_EQ(stream.fill(), Io::failed);
}

TEST(Http2Tunnels, ARefusalPassesAndASuccessDoesNot) {
  for (const auto& [status, seen] : {std::pair<std::uint16_t, const char*>{403, "403"}, {200, "502"}}) {
    ServerEnd server;
    server.greet();
    ask_for_tunnel(server, 1);
    server.head();
    EXPECT_TRUE(ServerEnd::respond(server.last(), "no tunnel", status));
    server.done(server.last());
    const auto frames = server.frames();
    ASSERT_EQ(frames.size(), 3U);
    EXPECT_EQ(frames[0].field(":status"), seen);
    EXPECT_TRUE(frames[1].ends());
    EXPECT_EQ(frames[2].code(), NGHTTP2_NO_ERROR);
  }
}

}  // namespace
}  // namespace remora::test
