// RFC 9113 5.2, 6.9: flow control in both directions.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

constexpr std::uint32_t greatest_window = 0x7fffffff;

// What the server may send ------------------------------------------------------------------------------

class Responses : public Http2 {
 protected:
  void SetUp() override {
    Http2::SetUp();
    client.updates_windows = false;
  }
  std::size_t received(std::uint32_t id) { return client.stream(id).body.size(); }
  /// Waits for that many bytes, and makes sure that no more follow.
  void expect_exactly(std::uint32_t id, std::size_t bytes) {
    EXPECT_TRUE(client.wait([&] { return received(id) >= bytes; })) << received(id);
    EXPECT_TRUE(client.sync());
    EXPECT_EQ(received(id), bytes);
  }
};

TEST_F(Responses, AWindowOf1LetsOneByteThrough) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 1}}));
  const std::uint32_t id = client.get("/bytes/10");
  expect_exactly(id, 1);
  client.give_window(id, 1);
  expect_exactly(id, 2);
  client.give_window(id, 8);
  EXPECT_TRUE(client.responds(id));
}

TEST_F(Responses, AWindowOf0LetsTheHeadThrough) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 0}}));
  const std::uint32_t id = client.get("/bytes/10");
  EXPECT_TRUE(client.wait([&] { return client.stream(id).status() == 200; }));
  expect_exactly(id, 0);
}

// An empty body needs no window.
TEST_F(Responses, AnEmptyOneEndsWithAWindowOf0) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 0}}));
  EXPECT_TRUE(client.responds(client.get("/bytes/0")));
  EXPECT_TRUE(client.responds(client.ask(request_of("HEAD", "/"))));
}

// 6.9.2: a new initial window changes those of the streams that are open.
TEST_F(Responses, AGreaterInitialWindowOpensTheStreamsThatWait) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 0}}));
  const std::uint32_t id = client.get("/bytes/1000");
  ASSERT_TRUE(client.wait([&] { return client.stream(id).status() == 200; }));
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 400}}));
  expect_exactly(id, 400);
}

// 6.9.2: a window may become negative.
TEST_F(Responses, ANegativeWindowMustBeFilledFirst) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 3}}));
  const std::uint32_t id = client.get("/bytes/100");
  expect_exactly(id, 3);
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 2}}));  // now -1
  client.give_window(id, 2);
  expect_exactly(id, 4);
}

TEST_F(Responses, TheConnectionsWindowHoldsAllStreams) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 1000000}}));
  const std::uint32_t a = client.get("/bytes/60000"), b = client.get("/bytes/60000");
  ASSERT_TRUE(client.wait([&] { return received(a) + received(b) == 65535; }));
  ASSERT_TRUE(client.sync());
  EXPECT_EQ(received(a) + received(b), 65535u);
  client.give_window(0, 100000);
  EXPECT_TRUE(client.responds(a));
  EXPECT_TRUE(client.responds(b));
}

TEST_F(Responses, AStreamWithoutWindowDoesNotHoldUpOthers) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 10}}));
  const std::uint32_t stuck = client.get("/bytes/1000");
  expect_exactly(stuck, 10);
  EXPECT_TRUE(client.responds(client.get("/bytes/10")));
  EXPECT_FALSE(client.stream(stuck).over());
}

TEST_F(Responses, ALargeOneArrivesWholeInManySmallWindows) {
  client.updates_windows = true;
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 999}}));
  const std::uint32_t id = client.get("/bytes/300000");
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).body, std::string(300000, 'x'));
}

TEST_F(Responses, AChunkedOneArrivesWhole) {
  client.updates_windows = true;
  const std::uint32_t id = client.get("/stream/500000");
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).body, std::string(500000, 'x'));
}

// 6.9.1: the reserved bit of the increment is ignored.
TEST_F(Responses, TheReservedBitOfAnIncrementIsIgnored) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 1}}));
  const std::uint32_t id = client.get("/bytes/2");
  expect_exactly(id, 1);
  client.give_window(id, 0x80000001);
  EXPECT_TRUE(client.responds(id));
}

// 6.9: a stream error; a connection error is allowed in its place.
TEST_F(Responses, AnIncrementOf0OnAStreamIsAProtocolError) {
  const std::uint32_t id = client.get("/hold");
  client.send(window_update(id, 0));
  EXPECT_TRUE(client.resets_or_ends(id, {Error::protocol_error}));
}

// 6.9.1
TEST_F(Responses, AStreamsWindowBeyondTheGreatestIsAFlowControlError) {
  const std::uint32_t id = client.get("/hold");
  client.send(window_update(id, greatest_window));
  EXPECT_TRUE(client.resets_or_ends(id, {Error::flow_control_error}));
}

TEST_F(Responses, AWindowOfExactlyTheGreatestIsTaken) {
  const std::uint32_t id = client.get("/hold");
  client.send(window_update(id, greatest_window - 65535) + window_update(0, greatest_window - 65535));
  ASSERT_TRUE(client.sync());
  backend().release();
  EXPECT_TRUE(client.responds(id));
}

// 6.9.2: a connection error.
TEST_F(Responses, AnInitialWindowThatOverflowsAStreamsIsAFlowControlError) {
  const std::uint32_t id = client.get("/hold");
  client.send(window_update(id, 100000) + settings({{Setting::initial_window_size, greatest_window}}));
  EXPECT_TRUE(client.resets_or_ends(id, {Error::flow_control_error}));
}

// 6.9.2: SETTINGS do not change the connection's window.
TEST_F(Responses, TheInitialWindowIsNotTheConnections) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 10}}));
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 1000000}}));
  const std::uint32_t id = client.get("/bytes/100000");
  expect_exactly(id, 65535);
}

// What the client may send ------------------------------------------------------------------------------

using Uploads = Http2;

TEST_F(Uploads, TheServerAnnouncesItsWindows) {
  EXPECT_EQ(client.setting(Setting::initial_window_size), 256u * 1024);
  EXPECT_TRUE(client.wait([&] { return client.send_window() == 1024 * 1024; })) << client.send_window();
}

TEST_F(Uploads, OneOfManyWindowsArrivesWhole) {
  const std::uint32_t id = client.next_stream();
  const std::string body(5000000, 'u');
  client.send(headers(id, post_block("/upload"), end_headers));
  ASSERT_TRUE(client.send_body(id, body));
  EXPECT_TRUE(client.responds(id));
  EXPECT_TRUE(backend().requests().at(0).body == body);
}

TEST_F(Uploads, ManyAtOnceArriveWhole) {
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(client.next_stream());
    client.send(headers(ids.back(), post_block("/upload" + std::to_string(i)), end_headers));
  }
  for (const std::uint32_t id : ids) ASSERT_TRUE(client.send_body(id, std::string(400000, 'u')));
  for (const std::uint32_t id : ids) EXPECT_TRUE(client.responds(id));
  for (const auto& r : backend().requests()) EXPECT_EQ(r.body.size(), 400000u);
}

// 6.1: padding counts; so that it must be given back like the rest.
TEST_F(Uploads, PaddingIsGivenBackToTheWindows) {
  const std::uint32_t id = client.next_stream();
  client.send(headers(id, post_block("/upload"), end_headers));
  const std::string part = frame(Type::data, padded, id, with_padding("x", 255, 255));
  const std::int64_t window = client.send_window(), granted = client.granted(0);
  for (std::int64_t sent = 0; sent < 3'000'000; sent += 257) {
    const std::int64_t next = sent + 257;
    ASSERT_TRUE(client.wait([&] {
      return next <= window + client.granted(0) - granted && next <= 256 * 1024 + client.granted(id);
    })) << sent;
    ASSERT_TRUE(client.send(part));
  }
  client.send(data(id, "", end_stream));
  EXPECT_TRUE(client.responds(id));
}

// 5.2.2: a stream whose backend does not read must not use up the memory, or the connection.
TEST_F(Uploads, ABackendThatDoesNotReadStopsItsStreamOnly) {
  const std::uint32_t stuck = client.next_stream();
  client.send(headers(stuck, post_block("/deaf"), end_headers));
  const std::string part(max_frame_payload, 'd');
  // Until no window comes back for a while: the buffers of both connections are full.
  const auto room = [&] { return client.stream(stuck).send_window >= std::int64_t{max_frame_payload}; };
  for (int i = 0; i < 10000 && client.wait(room, 500ms); ++i) ASSERT_TRUE(client.send_data(stuck, part));
  EXPECT_FALSE(room());
  const std::uint32_t other = client.next_stream();
  client.send(headers(other, post_block("/upload"), end_headers));
  EXPECT_TRUE(client.send_body(other, std::string(3000000, 'u')));
  EXPECT_TRUE(client.responds(other));
}

// 6.9.1
TEST_F(Uploads, DataBeyondTheWindowsIsAFlowControlError) {
  const std::uint32_t id = client.next_stream();
  client.send(headers(id, post_block("/deaf"), end_headers));
  const std::string part = data(id, std::string(max_frame_payload, 'd'));
  for (int i = 0; i < 4000 && !client.went_away() && !client.stream(id).over(); ++i)  // 64 MB
    if (!client.send(part)) break;
  EXPECT_TRUE(client.resets_or_ends(id, {Error::flow_control_error}));
}

}  // namespace
}  // namespace remora::test::h2
