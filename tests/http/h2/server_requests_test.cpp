// What clients ask, as the server's end of HTTP/2 hands it to an exchange.

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

std::string field(const RequestHead& head, std::string_view name) {
  for (const Field& f : head.fields)
    if (f.name == name) return std::string(f.value);
  return "(none)";
}

TEST(Http2Requests, TheSettingsAreAnnouncedFirst) {
  Http2Settings settings;
  settings.max_concurrent_streams = 7;
  settings.stream_window = 100'000;
  settings.connection_window = 300'000;
  ServerEnd server(settings);
  const auto frames = server.greet();
  ASSERT_GE(frames.size(), 3U);
  EXPECT_EQ(frames[0].type, settings_frame);
  std::map<unsigned, std::uint32_t> said;
  for (std::size_t at = 0; at + 6 <= frames[0].payload.size(); at += 6)
    said[number(std::string(2, '\0') + frames[0].payload.substr(at, 2))] =
        number(frames[0].payload.substr(at + 2));
  EXPECT_EQ(said[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], 7U);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE], 100'000U);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], 8U * 1024);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL], 1U);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES], 1U);
  std::uint32_t more = 0;
  for (const H2Frame& f : frames)
    if (f.type == window_update_frame && f.stream == 0) more = number(f.payload);
  EXPECT_EQ(65'535 + more, 300'000U);
}

TEST(Http2Requests, AHeadIsReadWithItsFields) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/x/y?z=1", {{"accept", "text/plain"}, {"x_odd", "1"}, {"x-empty", ""}});
  const RequestHead head = server.head();
  EXPECT_EQ(head.version, Version::http2);
  EXPECT_EQ(head.method, Method::get);
  EXPECT_EQ(head.target, "/x/y?z=1");
  EXPECT_EQ(head.path, "/x/y");
  EXPECT_EQ(head.query, "z=1");
  EXPECT_EQ(head.host, "a.test");
  EXPECT_EQ(head.body.kind, BodyLength::Kind::none);
  EXPECT_EQ(field(head, "accept"), "text/plain");
  EXPECT_EQ(field(head, "x-empty"), "");
  ASSERT_EQ(head.fields.size(), 3U);
  EXPECT_EQ(head.fields[0].known, Known::accept);
  EXPECT_TRUE(head.fields[1].odd_name);
  EXPECT_FALSE(head.fields[2].odd_name);
  EXPECT_TRUE(server.last().request_complete());
  EXPECT_FALSE(server.last().is_secure());
  EXPECT_FALSE(server.last().closes());
  EXPECT_FALSE(server.last().has_more());
}

TEST(Http2Requests, CrumbsOfCookiesAreJoined) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/", {{"cookie", "a=1"}, {"accept", "x"}, {"cookie", "b=2"}, {"cookie", "c=3"}});
  const RequestHead head = server.head();
  EXPECT_EQ(field(head, "cookie"), "a=1; b=2; c=3");
  EXPECT_EQ(head.fields.size(), 2U);
}

TEST(Http2Requests, AHeadMayComeInPieces) {
  ServerEnd server;
  server.greet();
  const std::string block =
      server.client.pack(request("GET", "/pieces", {{"x-long", std::string(300, 'v')}}));
  server.client.raw(frame(headers_frame, end_stream, 1, block.substr(0, 10)));
  server.run();
  EXPECT_TRUE(server.session->mid_head());
  server.client.raw(frame(continuation_frame, 0, 1, block.substr(10, 5)));
  const std::string rest = frame(continuation_frame, end_headers, 1, block.substr(15));
  server.client.raw(rest.substr(0, 20));
  server.run();
  EXPECT_TRUE(server.session->mid_head());
  EXPECT_EQ(server.opened, 0U);
  server.client.raw(rest.substr(20));
  EXPECT_EQ(server.head().path, "/pieces");
  EXPECT_FALSE(server.session->mid_head());
}

TEST(Http2Requests, ABodyArrivesAsItIsSent) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/", {{"content-length", "11"}}), false);
  const RequestHead head = server.head();
  EXPECT_EQ(head.body.kind, BodyLength::Kind::known);
  EXPECT_EQ(head.body.bytes, 11U);
  Http2ServerStream& stream = server.last();
  EXPECT_EQ(stream.fill(), Io::blocked);
  EXPECT_FALSE(stream.request_complete());
  server.client.data(1, "hello ");
  server.run();
  EXPECT_TRUE(server.wake_streams.take() != 0);
  EXPECT_EQ(stream.fill(), Io::ready);
  EXPECT_FALSE(stream.body().last);
  EXPECT_EQ(ServerEnd::read(stream), "hello ");
  server.client.data(1, "world", true);
  server.run();
  EXPECT_EQ(stream.fill(), Io::ready);
  EXPECT_TRUE(stream.body().last);
  EXPECT_FALSE(stream.request_complete());
  EXPECT_EQ(ServerEnd::read(stream), "world");
  EXPECT_TRUE(stream.request_complete());
  EXPECT_EQ(stream.trailers(), nullptr);
}

TEST(Http2Requests, ABodyOfUnknownLengthMayEndWithAnEmptyFrame) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  EXPECT_EQ(server.head().body.kind, BodyLength::Kind::unknown);
  server.client.data(1, "x");
  server.client.data(1, "", true);
  server.run();
  EXPECT_EQ(ServerEnd::read(server.last()), "x");
  EXPECT_EQ(server.last().fill(), Io::ready);
  EXPECT_TRUE(server.last().body().last);
  EXPECT_TRUE(server.last().request_complete());
}

TEST(Http2Requests, ABodyThatCameWithItsHeadIsNotTakenForNone) {
  ServerEnd server;
  server.greet();
  server.client.raw(server.client.headers(1, request("POST", "/"), false) +
                    frame(data_frame, end_stream, 1, "all"));
  EXPECT_EQ(server.head().body.kind, BodyLength::Kind::unknown);
  EXPECT_EQ(ServerEnd::read(server.last()), "all");
}

TEST(Http2Requests, TrailersAreReadAfterTheBody) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.client.data(1, "x");
  server.client.ask(1, {{"grpc-status", "0"}, {"connection-id", "7"}, {"content-type", "x"}});
  Http2ServerStream& stream = server.last();
  EXPECT_EQ(ServerEnd::read(stream), "x");
  EXPECT_TRUE(stream.request_complete());
  ASSERT_NE(stream.trailers(), nullptr);
  EXPECT_EQ(stream.trailers()->front().name, "grpc-status");
}

TEST(Http2Requests, TrailersThatWouldFrameOrRouteAreMalformed) {
  for (const char* name : {"host", "content-length"}) {
    ServerEnd server;
    server.greet();
    server.client.ask(1, request("POST", "/"), false);
    server.head();
    server.client.ask(1, {{name, "1"}});
    const auto resets = server.frames(rst_stream_frame);
    ASSERT_EQ(resets.size(), 1U) << name;
    EXPECT_EQ(resets[0].code(), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_TRUE(server.last().gone());
    EXPECT_EQ(server.last().fill(), Io::failed);
  }
}

TEST(Http2Requests, TwoStreamsMayAlternate) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/1"), false);
  server.client.ask(3, request("POST", "/3"), false);
  server.run();
  ASSERT_EQ(server.open.size(), 2U);
  for (int i = 0; i < 3; ++i) {
    server.client.data(1, "a");
    server.client.data(3, "b");
    server.run();
  }
  server.client.data(3, "", true);
  server.client.data(1, "A", true);
  server.run();
  EXPECT_EQ(ServerEnd::read(*server.open[0]), "aaaA");
  EXPECT_EQ(ServerEnd::read(*server.open[1]), "bbb");
}

TEST(Http2Requests, AnExtendedConnectReadsAsAnUpgrade) {
  ServerEnd server;
  server.greet();
  Pairs fields = request("CONNECT", "/chat", {{"sec-websocket-version", "13"}});
  fields.insert(fields.begin() + 1, {":protocol", "websocket"});
  server.client.ask(1, fields, false);
  const RequestHead head = server.head();
  EXPECT_EQ(head.method, Method::get);
  EXPECT_EQ(head.method_text, "GET");
  EXPECT_TRUE(head.tunnel);
  EXPECT_EQ(field(head, "Upgrade"), "websocket");
  EXPECT_EQ(field(head, "Sec-WebSocket-Key").size(), 24U);
  EXPECT_TRUE(head.body.is_empty());
  EXPECT_TRUE(server.last().request_complete());
  EXPECT_EQ(server.last().fill(), Io::ready);
  EXPECT_TRUE(server.last().body().last);
}

}  // namespace
}  // namespace remora::test
