// Each flood ends its connection with ENHANCE_YOUR_CALM within a bound; what well-behaved clients send does
// not.

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

constexpr int bound = 3000;  // frames; generous, as time does not pass here

/// Sends until the session is over. How many rounds it took; `bound`: it is not.
int rounds_until_over(ServerEnd& server, const std::function<void(int)>& send, int per_turn = 20) {
  for (int i = 0; i < bound; ++i) {
    send(i);
    if (i % per_turn == 0) server.frames();
    if (server.session->is_over()) return i;
  }
  return bound;
}

void expect_calm_down(ServerEnd& server) {
  EXPECT_TRUE(server.session->is_over());
  EXPECT_FALSE(server.flood.empty());
}

/// Sends once more with the answers at hand, to see the GOAWAY.
std::uint32_t goaway_after(ServerEnd& server, const std::function<void(int)>& send) {
  for (int i = 0; i < bound; ++i) {
    send(i);
    if (i % 20 != 0) continue;
    for (const H2Frame& f : server.frames(goaway_frame)) return f.code();
  }
  return 0;
}

TEST(Http2Floods, Settings) {
  ServerEnd server;
  server.greet();
  EXPECT_EQ(goaway_after(server, [&](int) { server.client.raw(frame(settings_frame, 0, 0, "")); }),
            NGHTTP2_ENHANCE_YOUR_CALM);
  expect_calm_down(server);
}

TEST(Http2Floods, Ping) {  // CVE-2019-9512
  ServerEnd server;
  server.greet();
  EXPECT_EQ(goaway_after(server, [&](int) { server.client.raw(frame(ping_frame, 0, 0, "12345678")); }),
            NGHTTP2_ENHANCE_YOUR_CALM);
  expect_calm_down(server);
}

TEST(Http2Floods, PingsWhoseAnswersAreNotRead) {  // CVE-2019-9512
  ServerEnd server;
  server.small_socket();
  server.greet();
  std::string pings;
  for (int i = 0; i < 900; ++i) pings += frame(ping_frame, 0, 0, "12345678");
  server.client.raw(pings);
  server.run();
  server.client.raw(pings);
  server.run();
  expect_calm_down(server);
}

TEST(Http2Floods, RapidReset) {  // CVE-2023-44487
  ServerEnd server;
  server.greet();
  const int rounds = rounds_until_over(server, [&](int i) {
    server.client.get(2 * i + 1, "/");
    server.run();
    server.client.reset(2 * i + 1);
    server.run();
    for (Http2ServerStream* s : std::vector<Http2ServerStream*>(server.open)) server.done(*s);
  });
  EXPECT_LT(rounds, 1000);
  expect_calm_down(server);
}

TEST(Http2Floods, RapidResetWithinOneWrite) {  // CVE-2023-44487
  ServerEnd server;
  server.greet();
  std::string all;
  for (int i = 0; i < 1000; ++i)
    all += server.client.headers(2 * i + 1, request("GET", "/")) +
           frame(rst_stream_frame, 0, 2 * i + 1, bytes_of(8));
  server.client.raw(all);
  server.run();
  EXPECT_EQ(server.opened, 0U);
  expect_calm_down(server);
}

TEST(Http2Floods, ExchangesThatAreStillEndingCountAsStreams) {  // CVE-2023-44487
  Http2Settings settings;
  settings.max_concurrent_streams = 5;
  ServerEnd server(settings);
  server.greet();
  for (int i = 0; i < 8; ++i) {
    server.client.get(2 * i + 1, "/");
    server.run();
    server.client.reset(2 * i + 1);
    server.run();
  }
  EXPECT_EQ(server.opened, 5U);
  EXPECT_EQ(server.session->running(), 5U);
  server.done(*server.open.front());
  server.client.get(101, "/");
  server.run();
  EXPECT_EQ(server.opened, 6U);
}

TEST(Http2Floods, MoreStreamsThanMayRunAreRefused) {  // CVE-2023-44487
  Http2Settings settings;
  settings.max_concurrent_streams = 1;
  ServerEnd server(settings);
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.client.reset(1);
  server.client.get(3, "/");
  const auto resets = server.frames(rst_stream_frame);
  ASSERT_EQ(resets.size(), 1U);
  EXPECT_EQ(resets[0].stream, 3);
  EXPECT_EQ(resets[0].code(), NGHTTP2_REFUSED_STREAM);
}

TEST(Http2Floods, ResetsThatTheClientProvokes) {  // CVE-2025-8671, MadeYouReset
  for (const char* how : {"window", "length"}) {
    ServerEnd server;
    server.greet();
    const int rounds = rounds_until_over(server, [&](int i) {
      const std::int32_t id = 2 * i + 1;
      server.client.ask(id, request("POST", "/", {{"content-length", "1"}}), false);
      server.run();
      if (std::string_view(how) == "window") {
        server.client.open_window(id, 0x7fffffff);  // overflows
      } else {
        server.client.data(id, "two", false);  // more than Content-Length
      }
      server.run();
      for (Http2ServerStream* s : std::vector<Http2ServerStream*>(server.open)) {
        EXPECT_TRUE(s->gone()) << how;
        server.done(*s);
      }
    });
    EXPECT_LT(rounds, 1000) << how;
    expect_calm_down(server);
  }
}

TEST(Http2Floods, Continuation) {  // CVE-2024-27316
  ServerEnd server;
  server.greet();
  server.client.raw(frame(headers_frame, 0, 1, ""));
  const int rounds =
      rounds_until_over(server, [&](int) { server.client.raw(frame(continuation_frame, 0, 1, "")); }, 1);
  EXPECT_LT(rounds, 12);
  expect_calm_down(server);
}

TEST(Http2Floods, EmptyData) {  // CVE-2019-9518
  for (const bool with_padding : {false, true}) {
    ServerEnd server;
    server.greet();
    server.client.ask(1, request("POST", "/"), false);
    server.run();
    const std::string payload = with_padding ? std::string("\x05\0\0\0\0\0", 6) : "";
    const std::uint8_t flags = with_padding ? padded_flag : std::uint8_t{0};
    EXPECT_LT(
        rounds_until_over(server, [&](int) { server.client.raw(frame(data_frame, flags, 1, payload)); }),
        2100);
    expect_calm_down(server);
  }
}

TEST(Http2Floods, Priority) {  // CVE-2019-9513
  ServerEnd server;
  server.greet();
  EXPECT_LT(rounds_until_over(
                server,
                [&](int i) { server.client.raw(frame(priority_frame, 0, 2 * i + 1, bytes_of(0) + "\x10")); }),
            2100);
  expect_calm_down(server);
}

TEST(Http2Floods, PriorityUpdate) {  // the same by RFC 9218
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  EXPECT_LT(
      rounds_until_over(
          server, [&](int) { server.client.raw(frame(priority_update_frame, 0, 0, bytes_of(1) + "u=1")); }),
      2100);
  expect_calm_down(server);
}

TEST(Http2Floods, WindowUpdatesOfOneByte) {  // CVE-2019-9511
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}});
  server.client.get(1, "/");
  server.run();
  const std::string body(100'000, 'x');
  ServerEnd::respond(server.last(), body);
  const int rounds = rounds_until_over(
      server,
      [&](int) {
        for (int k = 0; k < 5; ++k) server.client.open_window(0, 1);
      },
      1);
  EXPECT_LT(rounds, 500);
  expect_calm_down(server);
}

// A client on a small device may open both windows after each frame that it has read.
TEST(Http2Floods, SmallWindowsAreNone) {
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 256}});
  server.client.get(1, "/");
  server.run();
  const std::string body(256 * 5000, 'x');
  ServerEnd::put(server.last(), 200, {BodyLength::Kind::known, body.size()});
  std::size_t sent = 0;
  for (int i = 0; i < 5000 && !server.session->is_over(); ++i) {
    sent += ServerEnd::send(server.last(), std::string_view(body).substr(sent), true).bytes;
    server.frames();
    server.client.open_window(1, 256);
    server.client.open_window(0, 256);
    server.run();
  }
  EXPECT_EQ(sent, body.size());
  EXPECT_TRUE(server.flood.empty());
}

TEST(Http2Floods, UnknownFrames) {
  ServerEnd server;
  server.greet();
  EXPECT_LT(rounds_until_over(server, [&](int) { server.client.raw(frame(0xfa, 0, 0, "grease")); }), 2100);
  expect_calm_down(server);
}

TEST(Http2Floods, FramesForStreamsThatAreGone) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  ServerEnd::respond(server.last(), "x");
  server.done(server.last());
  server.run();
  EXPECT_LT(rounds_until_over(server, [&](int) { server.client.open_window(1, 1000); }), 2100);
  expect_calm_down(server);
}

TEST(Http2Floods, AnHpackBomb) {  // CVE-2016-1544: a field of the dynamic table, referred to many times
  ServerEnd server;
  server.greet();
  const std::string big(2500, 'b');
  std::string block = server.client.pack(request("GET", "/", {{"x-big", big}}));
  block += std::string(8'000, '\xbe');  // index 62: the newest entry
  server.client.raw(frame(headers_frame, end_headers | end_stream, 1, block));
  server.run();
  expect_calm_down(server);
  EXPECT_EQ(server.opened, 0U);
}

TEST(Http2Floods, SlowReadersOfManyStreamsHoldNoBodies) {
  Http2Settings settings;
  ServerEnd server(settings);
  server.small_socket();
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}});
  server.client.open_window(0, 1 << 30);
  const std::string body(16'000, 'x');
  std::size_t taken = 0;
  for (std::int32_t id = 1; id < 256; id += 2) {
    server.client.get(id, "/");
    server.run();
    ServerEnd::put(server.last(), 200, {BodyLength::Kind::known, body.size()});
    taken += ServerEnd::send(server.last(), body, true).bytes;
  }
  EXPECT_EQ(server.open.size(), 128U);
  EXPECT_LT(taken, 100'000U);
}

/// Opens stream 1, whose response nobody reads: the socket takes no more.
void block(ServerEnd& server) {
  server.small_socket();
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}});
  server.client.open_window(0, 1 << 30);
  server.client.get(1, "/");
  const std::string body(1'000'000, 'x');
  EXPECT_FALSE(ServerEnd::respond(server.last(), body));
  EXPECT_TRUE(server.session->send_blocked());
}

// Their heads wait in nghttp2, and their streams count no more.
TEST(Http2Floods, ResponsesThatAreResetWhileTheSocketTakesNothing) {
  ServerEnd server;
  block(server);
  int rounds = 0;
  for (; rounds < bound && !server.session->is_over(); ++rounds) {
    const std::int32_t id = 2 * rounds + 3;
    server.client.ask(id, request("HEAD", "/"));
    server.run();
    Http2ServerStream& stream = server.last();
    ServerEnd::put(stream, 204, {});
    server.done(stream);
    server.client.reset(id);
    server.run();
    if (rounds % 100 == 99) server.advance(std::chrono::seconds(5));  // slowly, it costs no less
  }
  EXPECT_LT(rounds, 1000);
  expect_calm_down(server);
}

// What is no flood ----------------------------------------------------------------------------------

TEST(Http2Floods, APageThatIsLeftWhileItLoadsIsNone) {
  ServerEnd server;
  server.greet();
  std::int32_t id = 1;
  for (int page = 0; page < 20; ++page) {
    const std::int32_t first = id;
    for (int i = 0; i < 120; ++i, id += 2) server.client.get(id, "/");
    server.run();
    for (std::int32_t k = first; k < id; k += 2) server.client.reset(k);
    server.run();
    for (Http2ServerStream* s : std::vector<Http2ServerStream*>(server.open)) server.done(*s);
    server.advance(std::chrono::seconds(10));
    server.frames();
    ASSERT_FALSE(server.session->is_over()) << page;
  }
}

TEST(Http2Floods, AClientThatResetsSomeOfManyRequestsIsNone) {
  ServerEnd server;
  server.greet();
  for (std::int32_t id = 1; id < 10'000; id += 2) {
    server.client.get(id, "/");
    server.run();
    if (id % 20 == 1) {
      server.client.reset(id);
      server.run();
    } else {
      ServerEnd::respond(server.last(), "response");
    }
    server.done(server.last());
    if (id % 100 == 1) server.frames();
  }
  EXPECT_FALSE(server.session->is_over());
}

TEST(Http2Floods, AClientThatAcknowledgesEachDataFrameIsNone) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  Http2ServerStream& stream = server.last();
  ServerEnd::put(stream, 200, {BodyLength::Kind::unknown});
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(ServerEnd::send(stream, "event", false).bytes, 5U);
    server.frames();
    server.client.open_window(0, 5);
    server.client.open_window(1, 5);
    server.run();
  }
  EXPECT_FALSE(server.session->is_over());
}

TEST(Http2Floods, PingsOfAnIdleClientAreNone) {
  ServerEnd server;
  server.greet();
  for (int i = 0; i < 2000; ++i) {
    server.client.raw(frame(ping_frame, 0, 0, "12345678"));
    server.run();
    server.loop.jump(std::chrono::milliseconds(50));
    server.frames();
  }
  EXPECT_FALSE(server.session->is_over());
}

}  // namespace
}  // namespace remora::test
