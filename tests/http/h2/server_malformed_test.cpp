// Requests that are refused: by nghttp2 with RST_STREAM, so that nobody sees them, or by a local reply.

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

TEST(Http2Malformed, WhatRfc9113ForbidsReachesNobody) {
  Pairs twice = request("GET", "/");
  twice.insert(twice.begin(), {":method", "GET"});
  Pairs late = request("GET", "/", {{"x", "1"}});
  late.emplace_back(":path", "/other");
  Pairs no_path = request("GET", "/");
  no_path.pop_back();
  Pairs no_method = request("GET", "/");
  no_method.erase(no_method.begin());
  Pairs unknown = request("GET", "/");
  unknown.insert(unknown.begin(), {":status", "200"});
  const std::vector<std::pair<const char*, Pairs>> cases{
      {"upper case", request("GET", "/", {{"X-Upper", "1"}})},
      {"connection", request("GET", "/", {{"connection", "close"}})},
      {"transfer-encoding", request("GET", "/", {{"transfer-encoding", "chunked"}})},
      {"upgrade", request("GET", "/", {{"upgrade", "websocket"}})},
      {"keep-alive", request("GET", "/", {{"keep-alive", "1"}})},
      {"proxy-connection", request("GET", "/", {{"proxy-connection", "x"}})},
      {"te", request("GET", "/", {{"te", "gzip"}})},
      {"line feed in a value", request("GET", "/", {{"x", "a\nb"}})},
      {"carriage return in a value", request("GET", "/", {{"x", "a\rb"}})},
      {"nul in a value", request("GET", "/", {{"x", std::string("a\0b", 3)}})},
      {"space around a value", request("GET", "/", {{"x", " a"}})},
      {"space in a name", request("GET", "/", {{"x y", "a"}})},
      {"colon in a name", request("GET", "/", {{"x:y", "a"}})},
      {"empty name", request("GET", "/", {{"", "a"}})},
      {"pseudo-header twice", twice},
      {"pseudo-header after others", late},
      {"no path", no_path},
      {"empty path", request("GET", "")},
      {"no method", no_method},
      {"pseudo-header of responses", unknown},
      {"asterisk with GET", request("GET", "*")},
      {"bad Content-Length", request("GET", "/", {{"content-length", "1x"}})},
      {"two Content-Length", request("GET", "/", {{"content-length", "0"}, {"content-length", "0"}})},
      {"body shorter than Content-Length", request("GET", "/", {{"content-length", "5"}})},
  };
  for (const auto& [name, fields] : cases) {
    ServerEnd server;
    server.greet();
    server.client.ask(1, fields);
    const auto resets = server.frames(rst_stream_frame);
    ASSERT_EQ(resets.size(), 1U) << name;
    EXPECT_EQ(resets[0].code(), NGHTTP2_PROTOCOL_ERROR) << name;
    EXPECT_EQ(server.opened, 0U) << name;
    EXPECT_EQ(server.refused, 1U) << name;
    EXPECT_EQ(server.session->running(), 0U) << name;
    server.client.get(3, "/next");
    EXPECT_EQ(server.head().path, "/next") << name;
  }
}

TEST(Http2Malformed, WhatOnlyRemoraForbidsGetsAReply) {
  struct Case {
    const char* name;
    Pairs fields;
    std::uint16_t code;
  };
  Pairs no_host = request("GET", "/");
  no_host.erase(no_host.begin() + 2);
  no_host.emplace_back("host", "a..test");
  Pairs ftp = request("GET", "/");
  ftp[1].second = "ftp";
  Pairs bad_authority = request("GET", "/");
  bad_authority[2].second = "a@b";
  const std::vector<Case> cases{
      {"another Host", request("GET", "/", {{"host", "b.test"}}), 400},
      {"odd Host", no_host, 400},
      {"odd authority", bad_authority, 400},
      {"another scheme", ftp, 400},
      {"broken escape", request("GET", "/%zz"), 400},
      {"TRACE", request("TRACE", "/"), 501},
      {"long target", request("GET", "/" + std::string(3000, 'a')), 414},
      {"unknown expectation", request("GET", "/", {{"expect", "magic"}}), 417},
      {"CONNECT", {{":method", "CONNECT"}, {":authority", "a.test:443"}}, 501},
  };
  config::ListenerLimits limits = limits_for_tests();
  limits.target_bytes = 2000;
  for (const Case& c : cases) {
    ServerEnd server({}, limits);
    server.greet();
    server.client.ask(1, c.fields);
    RequestHead head;
    EXPECT_EQ(server.last().read_head(head), Io::failed) << c.name;
    EXPECT_EQ(server.last().failure().kind, StreamFailure::Kind::malformed) << c.name;
    EXPECT_EQ(server.last().failure().code, c.code) << c.name;
    EXPECT_EQ(server.last().read_head(head), Io::failed) << c.name;
    EXPECT_TRUE(ServerEnd::respond(server.last(), "no", c.code)) << c.name;
    server.done(server.last());
    EXPECT_EQ(server.frames(data_frame).size(), 1U) << c.name;
    EXPECT_FALSE(server.session->is_over()) << c.name;
  }
}

TEST(Http2Malformed, HostMayRepeatTheAuthority) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/", {{"host", "a.test"}});
  EXPECT_EQ(server.head().host, "a.test");
}

TEST(Http2Malformed, AHeadOverTheLimitsGetsAReply) {
  Pairs many = request("GET", "/");
  for (int i = 0; i < 21; ++i) many.emplace_back("x-" + std::to_string(i), "v");
  for (const Pairs& fields : {many, request("GET", "/", {{"x", std::string(8 * 1024, 'v')}})}) {
    ServerEnd server;
    server.greet();
    server.client.ask(1, fields);
    RequestHead head;
    EXPECT_EQ(server.last().read_head(head), Io::failed);
    EXPECT_EQ(server.last().failure().code, 431);
    EXPECT_TRUE(ServerEnd::respond(server.last(), "no", 431));
    server.done(server.last());
    server.client.get(3, "/next");
    EXPECT_EQ(server.head().path, "/next") << "the HPACK table went on";
  }
}

TEST(Http2Malformed, AHeadOverTheLimitsThatAsksByHeadGetsNoBody) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("HEAD", "/", {{"x", std::string(8 * 1024, 'v')}}));
  RequestHead head;
  EXPECT_EQ(server.last().read_head(head), Io::failed);
  EXPECT_EQ(head.method_text, "HEAD");
  EXPECT_TRUE(ServerEnd::respond(server.last(), "no", 431));
  server.done(server.last());
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, headers_frame);
  EXPECT_TRUE(frames[0].ends());
}

TEST(Http2Malformed, ACookieInManyCrumbsIsOneField) {
  ServerEnd server;
  server.greet();
  Pairs fields = request("GET", "/");
  for (int i = 0; i < 60; ++i) fields.emplace_back("cookie", "c" + std::to_string(i) + "=1");
  server.client.ask(1, fields);
  EXPECT_EQ(server.head().fields.size(), 1U);
}

TEST(Http2Malformed, AnEmptyCrumbIsLeftOut) {
  ServerEnd server;
  server.greet();
  server.client.ask(
      1, request("GET", "/",
                 {{"cookie", ""}, {"cookie", "a=1"}, {"cookie", ""}, {"cookie", "b=2"}, {"cookie", ""}}));
  const RequestHead head = server.head();
  ASSERT_EQ(head.fields.size(), 1U);
  EXPECT_EQ(head.fields[0].value, "a=1; b=2");
}

TEST(Http2Malformed, AKnownLengthOverTheLimitIsRefusedAtOnce) {
  config::ListenerLimits limits = limits_for_tests();
  limits.body_bytes = 10;
  ServerEnd server({}, limits);
  server.greet();
  server.client.ask(1, request("POST", "/", {{"content-length", "11"}}), false);
  RequestHead head;
  EXPECT_EQ(server.last().read_head(head), Io::failed);
  EXPECT_EQ(server.last().failure().kind, StreamFailure::Kind::too_large);
  EXPECT_EQ(server.last().failure().code, 413);
}

TEST(Http2Malformed, ABodyThatIsNotAsLongAsAnnouncedFails) {
  for (const char* body : {"short", "too long a body"}) {
    ServerEnd server;
    server.greet();
    server.client.ask(1, request("POST", "/", {{"content-length", "10"}}), false);
    server.head();
    server.client.data(1, body, true);
    const auto resets = server.frames(rst_stream_frame);
    ASSERT_EQ(resets.size(), 1U);
    EXPECT_EQ(resets[0].code(), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(server.last().fill(), Io::failed);
    EXPECT_TRUE(server.last().gone());
  }
}

}  // namespace
}  // namespace remora::test
