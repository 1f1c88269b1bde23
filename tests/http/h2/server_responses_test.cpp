// What an exchange answers, as the client of an HTTP/2 connection receives it.

#include <numeric>

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

std::string data_of(const std::vector<H2Frame>& frames, std::int32_t stream) {
  std::string out;
  for (const H2Frame& f : frames)
    if (f.type == data_frame && f.stream == stream) out += f.payload;
  return out;
}

TEST(Http2Responses, ASmallResponseIsTwoFrames) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  OutHead head;
  head.status = 200;
  head.body = {BodyLength::Kind::known, 5};
  head.fields = {{"Content-Type", "text/plain", Known::content_type},
                 {"X-Upper", "V"},
                 {"Content-Length", "5", Known::content_length}};
  server.last().put_head(head);
  const WriteResult sent = ServerEnd::send(server.last(), "hello", true);
  EXPECT_TRUE(sent.finished);
  EXPECT_EQ(sent.bytes, 5U);
  server.done(server.last());
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].field(":status"), "200");
  EXPECT_EQ(frames[0].field("content-type"), "text/plain");
  EXPECT_EQ(frames[0].field("x-upper"), "V");
  EXPECT_FALSE(frames[0].ends());
  EXPECT_EQ(frames[1].payload, "hello");
  EXPECT_TRUE(frames[1].ends());
  EXPECT_TRUE(server.session->is_idle());
  EXPECT_EQ(server.session->running(), 0U);
}

TEST(Http2Responses, FieldsAboutTheConnectionAreLeftOut) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  ServerEnd::put(server.last(), 200, {},
                 {{"Connection", "keep-alive", Known::connection},
                  {"Keep-Alive", "timeout=5", Known::keep_alive},
                  {"Transfer-Encoding", "chunked", Known::transfer_encoding},
                  {"Upgrade", "h2c", Known::upgrade},
                  {"Proxy-Connection", "x", Known::proxy_connection},
                  {"Date", "now", Known::date}});
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].fields, (Pairs{{":status", "200"}, {"date", "now"}}));
}

TEST(Http2Responses, AnEmptyResponseIsOneFrame) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  ServerEnd::put(server.last(), 204, {});
  EXPECT_TRUE(ServerEnd::send(server.last(), "", true).finished);
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_TRUE(frames[0].ends());
}

TEST(Http2Responses, AResponseToHeadHasNoBodyWhateverItsLength) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("HEAD", "/"));
  EXPECT_EQ(server.head().method, Method::head);
  ServerEnd::put(server.last(), 200, {BodyLength::Kind::known, 1000},
                 {{"Content-Length", "1000", Known::content_length}});
  EXPECT_TRUE(ServerEnd::send(server.last(), "", true).finished);
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_TRUE(frames[0].ends());
  EXPECT_EQ(frames[0].field("content-length"), "1000");
}

TEST(Http2Responses, ABodyOfUnknownLengthComesAsItIsSent) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  Http2ServerStream& stream = server.last();
  ServerEnd::put(stream, 200, {BodyLength::Kind::unknown});
  EXPECT_EQ(stream.send({}, nullptr).io, Io::ready);  // as the head waits for the body
  auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, headers_frame);
  for (const char* piece : {"one", "two", "three"}) {
    const WriteResult sent = ServerEnd::send(stream, piece, false);
    EXPECT_EQ(sent.io, Io::ready);
    EXPECT_FALSE(sent.finished);
    frames = server.frames();
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].payload, piece);
  }
  EXPECT_TRUE(ServerEnd::send(stream, "", true).finished);
  frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_TRUE(frames[0].ends());
}

TEST(Http2Responses, TrailersFollowABodyOfKnownLengthToo) {
  for (const BodyLength length :
       {BodyLength{BodyLength::Kind::known, 2}, BodyLength{BodyLength::Kind::unknown}}) {
    ServerEnd server;
    server.greet();
    server.client.get(1, "/");
    server.head();
    OutHead head;
    head.status = 200;
    head.body = length;
    head.trailers = "x-announced";
    server.last().put_head(head);
    const std::vector<Field> trailers{{"grpc-status", "0"}, {"X-Announced", "a"}, {"x-other", "b"}};
    EXPECT_TRUE(ServerEnd::send(server.last(), "ok", true, &trailers).finished);
    const auto frames = server.frames();
    ASSERT_EQ(frames.size(), 3U);
    EXPECT_EQ(frames[1].payload, "ok");
    EXPECT_FALSE(frames[1].ends());
    EXPECT_EQ(frames[2].type, headers_frame);
    EXPECT_EQ(frames[2].fields, (Pairs{{"grpc-status", "0"}, {"x-announced", "a"}}));
    EXPECT_TRUE(frames[2].ends());
  }
}

TEST(Http2Responses, TrailersOfWhichNoneMayBeSentEndTheBodyPlainly) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  ServerEnd::put(server.last(), 200, {BodyLength::Kind::unknown});
  const std::vector<Field> trailers{{"x-other", "b"}};
  EXPECT_TRUE(ServerEnd::send(server.last(), "ok", true, &trailers).finished);
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_TRUE(frames[1].ends());
}

TEST(Http2Responses, TrailersOfGrpcNeedNoAnnouncement) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  OutHead head;
  head.status = 200;
  head.body = {BodyLength::Kind::unknown};
  head.grpc_trailers = true;
  server.last().put_head(head);
  const std::vector<Field> trailers{{"x-other", "b"}, {"cookie", "c", Known::cookie}};
  EXPECT_TRUE(ServerEnd::send(server.last(), "ok", true, &trailers).finished);
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(frames[2].fields, (Pairs{{"x-other", "b"}}));
  EXPECT_TRUE(frames[2].ends());
}

TEST(Http2Responses, InterimResponsesComeFirst) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/", {{"expect", "100-continue"}}), false);
  EXPECT_TRUE(server.head().expect_continue);
  OutHead interim;
  for (const std::uint16_t status : {std::uint16_t{100}, std::uint16_t{101}, std::uint16_t{103}}) {
    interim.status = status;
    server.last().put_interim(interim);
    EXPECT_EQ(server.last().flush(), Io::ready);
  }
  auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U) << "a 101 is never sent";
  EXPECT_EQ(frames[0].field(":status"), "100");
  EXPECT_FALSE(frames[0].ends());
  EXPECT_EQ(frames[1].field(":status"), "103");
  server.client.data(1, "body", true);
  server.run();
  EXPECT_EQ(ServerEnd::read(server.last()), "body");
  EXPECT_TRUE(ServerEnd::respond(server.last(), "done"));
  frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].field(":status"), "200");
}

TEST(Http2Responses, AnEarlyResponseEndsTheUploadWithoutAnError) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.client.data(1, "some of it");
  server.head();
  EXPECT_TRUE(ServerEnd::respond(server.last(), "no", 401));
  server.done(server.last());
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_TRUE(frames[1].ends());
  EXPECT_EQ(frames[2].type, rst_stream_frame);
  EXPECT_EQ(frames[2].code(), NGHTTP2_NO_ERROR);
  server.client.data(1, "more of it", true);  // it was on its way
  server.client.get(3, "/next");
  EXPECT_EQ(server.head().path, "/next");
}

TEST(Http2Responses, ALargeBodyIsWhole) {
  ServerEnd server;
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}});
  server.client.open_window(0, 1 << 30);
  server.client.get(1, "/");
  server.head();
  std::string body(900'000, 0);
  std::iota(body.begin(), body.end(), 0);
  Http2ServerStream& stream = server.last();
  ServerEnd::put(stream, 200, {BodyLength::Kind::known, body.size()});
  std::size_t at = 0;
  bool finished = false;
  std::string received;
  for (int i = 0; i < 1000 && !finished; ++i) {
    const std::string_view rest = std::string_view(body).substr(at, 70'000);
    const WriteResult sent = ServerEnd::send(stream, rest, at + rest.size() == body.size());
    ASSERT_NE(sent.io, Io::failed);
    at += sent.bytes;
    finished = sent.finished;
    if (sent.io == Io::blocked) {
      EXPECT_TRUE(stream.send_blocked());
      received += data_of(server.frames(), 1);
    }
  }
  EXPECT_TRUE(finished);
  received += data_of(server.frames(), 1);
  EXPECT_TRUE(received == body);
}

TEST(Http2Responses, AReaderThatStopsHoldsUpNoMemory) {
  ServerEnd server;
  server.small_socket();
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}});
  server.client.open_window(0, 1 << 30);
  for (std::int32_t id = 1; id < 100; id += 2) server.client.get(id, "/");
  server.run();
  ASSERT_EQ(server.open.size(), 50U);
  const std::string body(60'000, 'x');
  std::size_t taken = 0, blocked = 0;
  for (Http2ServerStream* stream : server.open) {
    ServerEnd::put(*stream, 200, {BodyLength::Kind::known, body.size()});
    const WriteResult sent = ServerEnd::send(*stream, body, true);
    taken += sent.bytes;
    if (sent.io == Io::blocked) ++blocked;
  }
  EXPECT_GE(blocked, 49U);
  EXPECT_LT(taken, 300'000U);  // what the socket holds, and one gathered write
  EXPECT_TRUE(server.session->send_blocked());
  // When it reads on, everything comes.
  std::map<std::int32_t, std::size_t> at;
  server.serve = nullptr;
  for (int i = 0; i < 3000 && server.client.received_data < 50 * body.size(); ++i) {
    server.frames();
    for (Http2ServerStream* stream : server.open) {
      if (stream->send_blocked() || at[stream->id()] == body.size()) continue;
      const WriteResult sent = ServerEnd::send(*stream, body, true);
      if (sent.finished) at[stream->id()] = body.size();
    }
  }
  EXPECT_GE(server.client.received_data, 50 * body.size());
}

TEST(Http2Responses, ManySmallResponsesLeaveInOneWrite) {
  ServerEnd server;
  server.greet();
  server.serve = [&](Http2ServerStream& stream) {
    RequestHead head;
    ASSERT_EQ(stream.read_head(head), Io::ready);
    EXPECT_TRUE(ServerEnd::respond(stream, "small"));
    server.done(stream);
  };
  std::string requests;
  for (std::int32_t id = 1; id < 100; id += 2) requests += server.client.headers(id, request("GET", "/"));
  server.client.raw(requests);
  const std::uint64_t before = server.session->bytes_sent();
  server.loop.settle();
  ASSERT_EQ(server.session->receive(), Io::ready);
  server.session->flush();
  EXPECT_GT(server.session->bytes_sent(), before);
  // One more turn sends nothing: all went with the first.
  const std::uint64_t after = server.session->bytes_sent();
  const auto frames = server.frames();
  EXPECT_EQ(server.session->bytes_sent(), after);
  EXPECT_EQ(
      std::count_if(frames.begin(), frames.end(), [](const H2Frame& f) { return f.type == data_frame; }), 50);
}

TEST(Http2Responses, FramesOfAnExchangeThatWasWokenElsewhereLeaveInAPostedTurn) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.client.get(3, "/");
  server.run();
  for (Http2ServerStream* stream : server.open) EXPECT_TRUE(ServerEnd::respond(*stream, "x"));
  EXPECT_TRUE(server.client.frames().empty());
  server.loop.settle();
  EXPECT_EQ(server.client.frames().size(), 4U);
}

TEST(Http2Responses, ANewHeadDoesNotOvertakeARefusedOne) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  ServerEnd::put(server.last(), 200, {BodyLength::Kind::known, 3});
  ServerEnd::put(server.last(), 500, {});  // ignored: the response has begun
  EXPECT_TRUE(ServerEnd::send(server.last(), "abc", true).finished);
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].field(":status"), "200");
}

}  // namespace
}  // namespace remora::test
