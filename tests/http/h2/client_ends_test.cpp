// How requests of the HTTP/2 client codec end other than by a response: resets, GOAWAY, loss, tunnels.
#include "http/h2/client_end.h"

namespace remora::test {
namespace {

using Kind = StreamFailure::Kind;

std::string goaway(std::int32_t last, std::uint32_t code = 0) {
  return frame(goaway_frame, 0, 0, bytes_of(static_cast<std::uint32_t>(last)) + bytes_of(code));
}

TEST(Http2ClientEnds, ARefusedStreamWasNotProcessed) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.reset(1, NGHTTP2_REFUSED_STREAM);
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_EQ(s.failure().kind, Kind::refused);
  EXPECT_TRUE(c.session->has_room());
}

TEST(Http2ClientEnds, HeadersForHttp1AreToldApart) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.reset(1, NGHTTP2_HTTP_1_1_REQUIRED);
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_EQ(s.failure().kind, Kind::http1_required);
}

TEST(Http2ClientEnds, AnyOtherResetLeavesItOpenWhetherItWasProcessed) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.reset(1, NGHTTP2_INTERNAL_ERROR);
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_EQ(s.failure().kind, Kind::reset);
  EXPECT_TRUE(s.began());
}

TEST(Http2ClientEnds, GoawayFailsTheStreamsAboveItsLastOneAndLetsTheOthersGoOn) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& one = c.get();
  Http2ClientStream& two = c.get();
  c.server.raw(goaway(1));
  EXPECT_EQ(c.read_head(two), Io::failed);
  EXPECT_EQ(two.failure().kind, Kind::refused);
  EXPECT_FALSE(c.session->has_room());
  EXPECT_FALSE(c.session->takes_requests());
  EXPECT_EQ(c.read_head(one), Io::blocked);
  c.server.ask(1, {{":status", "200"}}, false);
  c.server.data(1, "abc", true);
  ASSERT_EQ(c.read_head(one), Io::ready);
  EXPECT_EQ(c.read(one), "abc");
  c.release(one);
  c.release(two);
  c.run();
  EXPECT_TRUE(c.session->is_over());
}

TEST(Http2ClientEnds, ALostConnectionFailsItsStreams) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  static_cast<void>(c.wake_streams.take());
  c.server.close();
  c.run();
  EXPECT_TRUE(c.session->is_over());
  EXPECT_TRUE(c.wake_streams.any_pending());
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_EQ(s.failure().kind, Kind::reset);
}

TEST(Http2ClientEnds, ARequestThatNeverLeftWasNotBegun) {
  ClientEnd c;
  c.greet();
  c.server.close();
  Http2ClientStream& s = c.stream();
  s.put_head(ClientEnd::head("POST", "/"));
  c.run();
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_FALSE(s.began());
}

TEST(Http2ClientEnds, ACompleteResponseSurvivesTheLossOfItsConnection) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.ask(1, {{":status", "200"}}, false);
  c.server.data(1, "abc", true);
  c.server.close();
  c.run();
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_EQ(c.read(s), "abc");
  EXPECT_TRUE(c.whole);
}

TEST(Http2ClientEnds, AnEarlyResponseWithNoErrorIsGood) {
  ClientEnd c;
  c.greet({{4, 10}});
  Http2ClientStream& s = c.stream();
  s.put_head(ClientEnd::head("POST", "/", {}, {BodyLength::Kind::known, 100}));
  ClientEnd::send(s, std::string(100, 'x'), true);
  c.server.ask(1, {{":status", "413"}}, false);
  c.server.data(1, "no", true);
  c.server.reset(1, NGHTTP2_NO_ERROR);
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_EQ(c.response.status, 413);
  EXPECT_EQ(ClientEnd::send(s, std::string(90, 'x'), true).io, Io::failed);
  EXPECT_EQ(c.read(s), "no");
  EXPECT_TRUE(c.whole);
}

// Go's servers do it with each upload that they refuse. Others share the connection.
TEST(Http2ClientEnds, ManyEarlyResponsesAndRefusalsAreNoFlood) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& other = c.get();
  for (std::int32_t id = 3; id < 1003; id += 2) {
    Http2ClientStream& s = c.stream();
    s.put_head(ClientEnd::head("POST", "/", {}, {BodyLength::Kind::unknown, 0}));
    c.run();
    const bool refuses = id % 4 == 1;
    if (!refuses) c.server.ask(id, {{":status", "413"}});
    c.server.reset(id, refuses ? NGHTTP2_REFUSED_STREAM : NGHTTP2_NO_ERROR);
    EXPECT_EQ(c.read_head(s), refuses ? Io::failed : Io::ready) << id;
    c.release(s);
    c.server.frames();  // its socket does not fill up
  }
  EXPECT_FALSE(c.session->is_over());
  EXPECT_EQ(c.read_head(other), Io::blocked);
}

TEST(Http2ClientEnds, AbortResetsTheStreamAndKeepsTheConnection) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  s.abort();
  c.release(s);
  const auto resets = c.frames(rst_stream_frame);
  ASSERT_EQ(resets.size(), 1U);
  EXPECT_EQ(resets[0].code(), static_cast<std::uint32_t>(NGHTTP2_CANCEL));
  EXPECT_EQ(c.silences, 1);
  EXPECT_TRUE(c.session->has_room());
  Http2ClientStream& next = c.get();
  c.server.ask(3, {{":status", "200"}}, true);
  EXPECT_EQ(c.read_head(next), Io::ready);
}

TEST(Http2ClientEnds, WhatNobodyReadsOpensTheConnectionsWindowAgain) {
  Http2Settings settings;
  settings.stream_window = settings.connection_window = 70000;
  ClientEnd c(settings);
  c.greet();
  for (int i = 0; i < 20; ++i) {
    Http2ClientStream& s = c.get();
    const std::int32_t id = s.id();
    c.server.ask(id, {{":status", "200"}}, false);
    c.server.data(id, std::string(60000, 'x'));
    c.run();
    s.abort();
    c.release(s);
    c.run();
  }
  EXPECT_FALSE(c.session->is_over());
}

TEST(Http2ClientEnds, ATunnelIsAnExtendedConnect) {
  ClientEnd c;
  c.greet({{8, 1}});
  EXPECT_TRUE(c.session->allows_tunnels());
  Http2ClientStream& s = c.stream();
  OutHead head = ClientEnd::head(
      "GET", "/chat", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"Sec-WebSocket-Version", "13"}});
  head.tunnel = "websocket";
  s.put_head(head);
  EXPECT_TRUE(s.request_sent());
  const auto sent = c.frames(headers_frame);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_FALSE(sent[0].ends());
  EXPECT_EQ(sent[0].fields, (Pairs{{":method", "CONNECT"},
                                   {":scheme", "http"},
                                   {":authority", "a.test"},
                                   {":path", "/chat"},
                                   {":protocol", "websocket"},
                                   {"sec-websocket-version", "13"}}));
  c.server.ask(1, {{":status", "200"}}, false);
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_EQ(c.response.status, 101);
  EXPECT_TRUE(c.response.tunnel);
  EXPECT_EQ(c.field("Upgrade"), "websocket");
  EXPECT_EQ(c.field("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 1.3
  s.tunnel();
  EXPECT_FALSE(s.request_sent());
  EXPECT_EQ(ClientEnd::send(s, "ping", false).bytes, 4U);
  c.server.data(1, "pong");
  EXPECT_EQ(c.read(s), "pong");
  EXPECT_FALSE(c.whole);
  EXPECT_TRUE(ClientEnd::send(s, "", true).finished);
  c.run();
  const auto last = c.server.frames(data_frame);
  ASSERT_FALSE(last.empty());
  EXPECT_TRUE(last.back().ends());
  c.server.data(1, "", true);
  EXPECT_EQ(c.read(s), "");
  EXPECT_TRUE(c.whole);
}

TEST(Http2ClientEnds, ATunnelThatIsNotGrantedIsAnOrdinaryResponse) {
  ClientEnd c;
  c.greet({{8, 1}});
  Http2ClientStream& s = c.stream();
  OutHead head = ClientEnd::head("GET", "/chat");
  head.tunnel = "websocket";
  s.put_head(head);
  c.run();
  c.server.ask(1, {{":status", "403"}}, false);
  c.server.data(1, "no", true);
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_EQ(c.response.status, 403);
  EXPECT_FALSE(c.response.tunnel);
  EXPECT_EQ(c.read(s), "no");
  EXPECT_TRUE(c.whole);
}

TEST(Http2ClientEnds, WithoutTheServersConsentThereIsNoTunnel) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.stream();
  OutHead head = ClientEnd::head("GET", "/chat", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}});
  head.tunnel = "websocket";
  s.put_head(head);
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_TRUE(c.frames(headers_frame).empty());
}

// The body of such a request became the first bytes of the tunnel. RFC 9110 7.8: Upgrade may be ignored.
TEST(Http2ClientEnds, AnUpgradeThatIsNoHandshakeOfAWebSocketIsIgnored) {
  const Field key{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="};
  const BodyLength body{BodyLength::Kind::known, 5};
  struct Case {
    const char* method;
    std::vector<Field> fields;
    BodyLength body;
  };
  for (const Case& a : {Case{"GET", {key}, body}, Case{"POST", {key}, {}}, Case{"GET", {}, {}},
                        Case{"GET", {key, key}, {}}, Case{"GET", {{"Sec-WebSocket-Key", "short"}}, {}}}) {
    ClientEnd c;
    c.greet({{8, 1}});
    OutHead head = ClientEnd::head(a.method, "/chat", a.fields, a.body);
    head.tunnel = "websocket";
    c.stream().put_head(head);
    const auto sent = c.frames(headers_frame);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].field(":method"), a.method);
    EXPECT_EQ(sent[0].field(":protocol"), "(none)");
  }
}

TEST(Http2ClientEnds, TheProtocolOfATunnelIsWrittenAsItIsRegistered) {
  ClientEnd c;
  c.greet({{8, 1}});
  OutHead head = ClientEnd::head("GET", "/chat", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}});
  head.tunnel = "WebSocket";
  c.stream().put_head(head);
  const auto sent = c.frames(headers_frame);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].field(":protocol"), "websocket");
}

TEST(Http2ClientEnds, ARequestThatWasGivenUpInSilenceIsTold) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.release(s);
  EXPECT_EQ(c.silences, 1);
}

}  // namespace
}  // namespace remora::test
