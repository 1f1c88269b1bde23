// Flow control in both directions, and the order in which streams send.

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

constexpr std::uint32_t initial_window = 65'535;

/// What a client may still send on the connection, by the server's WINDOW_UPDATEs.
class WindowOfClient {
 public:
  explicit WindowOfClient(std::size_t window) : left_(static_cast<std::int64_t>(window)) {}
  void sent(std::size_t n) { left_ -= static_cast<std::int64_t>(n); }
  void read(const std::vector<H2Frame>& frames) {
    for (const H2Frame& f : frames)
      if (f.type == window_update_frame && f.stream == 0) left_ += number(f.payload);
  }
  std::int64_t left() const { return left_; }

 private:
  std::int64_t left_;
};

TEST(Http2Windows, ABodyBeyondTheStreamsWindowWaitsForIt) {
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}});
  server.client.get(1, "/");
  server.head();
  Http2ServerStream& stream = server.last();
  ServerEnd::put(stream, 200, {BodyLength::Kind::known, 25});
  const std::string body = "0123456789abcdefghijklmno";
  WriteResult sent = ServerEnd::send(stream, body, true);
  EXPECT_EQ(sent.bytes, 10U);
  EXPECT_EQ(sent.io, Io::blocked);
  EXPECT_FALSE(sent.finished);
  EXPECT_TRUE(stream.send_blocked());
  server.run();
  static_cast<void>(server.wake_streams.take());
  server.client.open_window(1, 15);
  server.run();
  EXPECT_NE(server.wake_streams.take(), 0U);
  EXPECT_FALSE(stream.send_blocked());
  sent = ServerEnd::send(stream, body.substr(10), true);
  EXPECT_EQ(sent.bytes, 15U);
  EXPECT_TRUE(sent.finished);
  std::string all;
  for (const H2Frame& f : server.frames(data_frame)) all += f.payload;
  EXPECT_EQ(all, body);
}

TEST(Http2Windows, SettingsMayOpenTheWindowsOfAllStreams) {
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}});
  server.client.get(1, "/");
  server.client.get(3, "/");
  server.run();
  for (Http2ServerStream* stream : server.open) {
    EXPECT_FALSE(ServerEnd::respond(*stream, "body"));
    EXPECT_TRUE(stream->send_blocked());
  }
  server.client.raw(H2Peer::settings_of({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100}}));
  server.run();
  for (Http2ServerStream* stream : server.open) {
    EXPECT_FALSE(stream->send_blocked());
    EXPECT_TRUE(ServerEnd::send(*stream, "body", true).finished);
  }
}

TEST(Http2Windows, TheConnectionsWindowHoldsUpEveryStream) {
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20}});
  server.client.get(1, "/");
  server.client.get(3, "/");
  server.run();
  const std::string body(initial_window, 'x');
  EXPECT_TRUE(ServerEnd::respond(*server.open[0], body));
  EXPECT_FALSE(ServerEnd::respond(*server.open[1], "late"));
  server.client.open_window(3, 100);  // of no use
  server.run();
  EXPECT_TRUE(server.open[1]->send_blocked());
  server.client.open_window(0, 100);
  server.run();
  EXPECT_FALSE(server.open[1]->send_blocked());
  EXPECT_TRUE(ServerEnd::send(*server.open[1], "late", true).finished);
}

TEST(Http2Windows, AReaderThatStopsStopsTheClient) {
  Http2Settings settings;
  settings.stream_window = 100'000;
  ServerEnd server(settings);
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.head();
  std::size_t sent = 0;
  for (; sent + 10'000 <= 100'000; sent += 10'000) {
    server.client.data(1, std::string(10'000, 'x'));
    EXPECT_TRUE(server.frames(window_update_frame).empty());
  }
  EXPECT_EQ(server.last().body().size(), 100'000U);
  server.last().consume(60'000);
  std::uint32_t opened = 0;
  for (const H2Frame& f : server.frames(window_update_frame))
    if (f.stream == 1) opened += number(f.payload);
  EXPECT_EQ(opened, 60'000U);
  EXPECT_EQ(ServerEnd::read(server.last()).size(), 40'000U);
}

TEST(Http2Windows, ADataFrameBeyondTheWindowEndsTheStreamOrTheConnection) {
  Http2Settings settings;
  settings.stream_window = 1000;
  ServerEnd server(settings);
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.head();
  server.client.data(1, std::string(1001, 'x'));
  server.run();
  EXPECT_TRUE(server.session->is_over() || server.last().gone());
}

/// Bytes that nobody reads must not be lost to the connection's window, or it would close for good.
TEST(Http2Windows, NoEndOfAStreamLeaksTheConnectionsWindow) {
  using Ending = std::function<void(ServerEnd&, Http2ServerStream&)>;
  const std::vector<std::pair<const char*, Ending>> endings{
      {"read whole",
       [](ServerEnd& s, Http2ServerStream& stream) {
         ServerEnd::read(stream);
         ServerEnd::respond(stream, "ok");
         s.done(stream);
       }},
      {"response before the body",
       [](ServerEnd& s, Http2ServerStream& stream) {
         ServerEnd::respond(stream, "no", 401);
         s.done(stream);
       }},
      {"read in part",
       [](ServerEnd& s, Http2ServerStream& stream) {
         stream.consume(1000);
         ServerEnd::respond(stream, "no", 401);
         s.done(stream);
       }},
      {"aborted",
       [](ServerEnd& s, Http2ServerStream& stream) {
         stream.abort();
         s.run();
         s.done(stream);
       }},
      {"done without a response", [](ServerEnd& s, Http2ServerStream& stream) { s.done(stream); }},
      {"reset by the client",
       [](ServerEnd& s, Http2ServerStream& stream) {
         s.client.reset(stream.id());
         s.run();
         EXPECT_TRUE(stream.gone());
         s.done(stream);
       }},
      {"reset by the client, read afterwards",
       [](ServerEnd& s, Http2ServerStream& stream) {
         s.client.reset(stream.id());
         s.run();
         stream.consume(20'000);
         s.done(stream);
       }},
  };
  for (const auto& [name, end] : endings) {
    Http2Settings settings;
    settings.connection_window = 200'000;
    ServerEnd server(settings);
    WindowOfClient window(initial_window);
    window.read(server.greet());
    ASSERT_EQ(window.left(), 200'000);
    for (std::int32_t id = 1; id < 60; id += 2) {
      server.client.ask(id, request("POST", "/"), false);
      server.client.data(id, std::string(20'000, 'x'));
      window.sent(20'000);
      end(server, server.last());
      server.client.data(id, std::string(5'000, 'y'));  // on its way, for a stream that is gone
      window.sent(5'000);
      window.read(server.frames());
      ASSERT_GT(window.left(), 50'000) << name << ", stream " << id;
      ASSERT_FALSE(server.session->is_over()) << name;
    }
  }
}

TEST(Http2Windows, ABodyOverTheLimitIsRefusedAndConsumed) {
  config::ListenerLimits limits = limits_for_tests();
  limits.body_bytes = 30'000;
  Http2Settings settings;
  settings.connection_window = 100'000;
  ServerEnd server(settings, limits);
  WindowOfClient window(initial_window);
  window.read(server.greet());
  for (std::int32_t id = 1; id < 40; id += 2) {
    server.client.ask(id, request("POST", "/"), false);
    server.client.data(id, std::string(40'000, 'x'));
    window.sent(40'000);
    Http2ServerStream& stream = server.last();
    EXPECT_EQ(stream.fill(), Io::failed);
    EXPECT_EQ(stream.failure().kind, StreamFailure::Kind::too_large);
    EXPECT_EQ(stream.failure().code, 413);
    EXPECT_TRUE(ServerEnd::respond(stream, "too large", 413));
    server.done(stream);
    window.read(server.frames());
    ASSERT_GE(window.left(), 40'000);
  }
}

TEST(Http2Windows, PaddingIsGivenBackToo) {
  Http2Settings settings;
  settings.connection_window = 100'000;
  ServerEnd server(settings);
  WindowOfClient window(initial_window);
  window.read(server.greet());
  server.client.ask(1, request("POST", "/"), false);
  server.head();
  for (int i = 0; i < 500; ++i) {
    const std::string payload = std::string(1, '\xff') + std::string(1000, 'x') + std::string(255, '\0');
    server.client.raw(frame(data_frame, padded_flag, 1, payload));
    window.sent(payload.size());
    window.read(server.frames());
    EXPECT_EQ(ServerEnd::read(server.last()).size(), 1000U);
    window.read(server.frames());
    ASSERT_GT(window.left(), 0);
  }
}

// Order ---------------------------------------------------------------------------------------------

/// Opens streams with these priorities while the connection's window is closed; then, as it opens by `step`
/// bytes at a time, which streams send.
std::vector<std::int32_t> order_of(const std::vector<std::string>& priorities, std::size_t body_size,
                                   std::uint32_t step, const std::function<void(ServerEnd&)>& then = {}) {
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20}});
  server.client.get(1, "/fills-the-window");
  server.run();
  EXPECT_TRUE(ServerEnd::respond(server.last(), std::string(initial_window, 'x')));
  server.done(server.last());
  std::int32_t id = 3;
  for (const std::string& p : priorities) {
    server.client.get(id, "/", p.empty() ? Pairs{} : Pairs{{"priority", p}});
    id += 2;
  }
  server.run();
  const std::string body(body_size, 'y');
  // Each stream has its own flags, and is served from within its wake, as an exchange is.
  struct Exchange {
    Exchange(DeadlineWheel& wheel, Http2ServerStream* s) : wake(wheel), stream(s) {}
    EventFlags wake;
    Http2ServerStream* stream;
    std::size_t at = 0;
  };
  std::vector<std::unique_ptr<Exchange>> exchanges;
  std::function<void(Exchange&)> go = [&](Exchange& e) {
    const WriteResult sent = ServerEnd::send(*e.stream, std::string_view(body).substr(e.at), true);
    e.at += sent.bytes;
    if (!sent.finished) e.wake.call([&, p = &e](unsigned) { go(*p); });
  };
  for (Http2ServerStream* stream : server.open) {
    exchanges.push_back(std::make_unique<Exchange>(server.loop.wheel, stream));
    stream->attach(exchanges.back()->wake, EventFlags::client);
    ServerEnd::put(*stream, 200, {BodyLength::Kind::known, body.size()});
    go(*exchanges.back());
  }
  server.frames();
  if (then) then(server);
  std::vector<std::int32_t> order;
  for (std::size_t i = 0; i < priorities.size() * (body_size / step + 2); ++i) {
    server.client.open_window(0, step);
    for (const H2Frame& f : server.frames(data_frame))
      if (order.empty() || order.back() != f.stream) order.push_back(f.stream);
  }
  return order;
}

using Ids = std::vector<std::int32_t>;

TEST(Http2Order, UrgencyGoesFirst) {
  EXPECT_EQ(order_of({"u=5", "", "u=0", "u=3", "u=1"}, 1000, 1000), (Ids{7, 11, 9, 5, 3}));
}

TEST(Http2Order, ResponsesThatAreNotIncrementalComeOneAfterTheOther) {
  EXPECT_EQ(order_of({"u=3", "u=3", "u=3"}, 3000, 1000), (Ids{3, 5, 7}));
}

TEST(Http2Order, IncrementalResponsesTakeTurns) {
  EXPECT_EQ(order_of({"i", "i", "i"}, 2000, 1000), (Ids{3, 5, 7, 3, 5, 7}));
}

/// A client that states no priorities does not let small responses wait for a large one.
TEST(Http2Order, ResponsesWithoutAPriorityTakeTurns) {
  EXPECT_EQ(order_of({"", "", ""}, 2000, 1000), (Ids{3, 5, 7, 3, 5, 7}));
}

TEST(Http2Order, IncrementalResponsesFollowThoseThatAreNot) {
  EXPECT_EQ(order_of({"i", "u=3", "i"}, 2000, 1000), (Ids{5, 3, 7, 3, 7}));
}

TEST(Http2Order, APriorityUpdateChangesIt) {
  const auto update = [](ServerEnd& server) {
    server.client.raw(frame(priority_update_frame, 0, 0, bytes_of(7) + "u=0"));
  };
  EXPECT_EQ(order_of({"", "", ""}, 1000, 1000, update), (Ids{7, 3, 5}));
}

}  // namespace
}  // namespace remora::test
