// How streams and connections end: resets from either side, GOAWAY, a transport that fails, and parking.

#include "http/h2/server_end.h"

namespace remora::test {
namespace {

TEST(Http2Ends, AStreamAbortedBeforeItsResponseIsCanceled) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  server.last().abort();
  EXPECT_FALSE(server.last().is_open());
  EXPECT_EQ(ServerEnd::send(server.last(), "x", true).io, Io::failed);
  server.done(server.last());
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, rst_stream_frame);
  EXPECT_EQ(frames[0].code(), NGHTTP2_CANCEL);
  EXPECT_TRUE(server.session->is_idle());
}

TEST(Http2Ends, AResponseThatBreaksOffIsAnInternalError) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  ServerEnd::put(server.last(), 200, {BodyLength::Kind::known, 10});
  EXPECT_FALSE(ServerEnd::send(server.last(), "half", false).finished);
  server.last().abort();
  server.last().abort();
  server.done(server.last());
  const auto frames = server.frames();
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames.back().type, rst_stream_frame);
  EXPECT_EQ(frames.back().code(), NGHTTP2_INTERNAL_ERROR);
  EXPECT_EQ(std::count_if(frames.begin(), frames.end(),
                          [](const H2Frame& f) { return f.type == rst_stream_frame; }),
            1);
}

TEST(Http2Ends, AStreamThatItsOwnerDropsIsReset) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  server.done(server.last());
  auto frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].code(), NGHTTP2_INTERNAL_ERROR);
  server.client.get(3, "/never-read");
  server.run();
  server.done(server.last());
  frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].code(), NGHTTP2_REFUSED_STREAM) << "it may be sent again elsewhere";
  EXPECT_TRUE(server.session->is_idle());
}

TEST(Http2Ends, AResetWakesItsExchangeOnly) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.client.get(3, "/");
  server.run();
  EventFlags first(server.loop.wheel), second(server.loop.wheel);
  server.open[0]->attach(first, EventFlags::client);
  server.open[1]->attach(second, EventFlags::client);
  server.client.reset(1);
  server.run();
  EXPECT_NE(first.take(), 0U);
  EXPECT_EQ(second.take(), 0U);
  EXPECT_TRUE(server.open[0]->gone());
  EXPECT_TRUE(server.open[0]->is_broken());
  EXPECT_EQ(server.open[0]->fill(), Io::failed);
  EXPECT_EQ(server.open[0]->failure().kind, StreamFailure::Kind::reset);
  EXPECT_EQ(ServerEnd::send(*server.open[0], "x", true).io, Io::failed);
  EXPECT_EQ(server.open[0]->flush(), Io::failed);
  EXPECT_FALSE(server.open[1]->gone());
  EXPECT_TRUE(ServerEnd::respond(*server.open[1], "still served"));
}

TEST(Http2Ends, ARequestThatIsResetAtOnceReachesNobody) {
  ServerEnd server;
  server.greet();
  server.client.raw(server.client.headers(1, request("GET", "/")) +
                    frame(rst_stream_frame, 0, 1, bytes_of(8)));
  server.run();
  EXPECT_EQ(server.opened, 0U);
  EXPECT_EQ(server.session->running(), 0U);
}

TEST(Http2Ends, AResetAfterTheResponseIsNoFailure) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.head();
  EXPECT_TRUE(ServerEnd::respond(server.last(), "early"));
  server.client.reset(1, NGHTTP2_NO_ERROR);
  server.run();
  EXPECT_FALSE(server.last().gone());
  server.done(server.last());
  EXPECT_TRUE(server.session->is_idle());
}

// nghttp2 dropped the response's head when the reset was submitted before that had been serialized.
TEST(Http2Ends, AnEarlyResponseWithoutABodyArrivesBeforeTheReset) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.head();
  EXPECT_TRUE(ServerEnd::respond(server.last(), "", 403));
  server.done(server.last());
  server.run();
  const auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames.at(0).type, headers_frame);
  EXPECT_EQ(frames.at(1).type, rst_stream_frame);
  EXPECT_EQ(frames.at(1).payload, bytes_of(NGHTTP2_NO_ERROR));
  EXPECT_TRUE(server.session->is_idle());
}

TEST(Http2Ends, AnExchangeMayEndItsStreamWhenItIsWoken) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  Http2ServerStream& stream = server.last();
  bool ended = false;
  server.wake_streams.call([&](unsigned) {
    EXPECT_TRUE(stream.gone());
    server.done(stream);
    ended = true;
  });
  server.client.reset(1);
  server.run();
  EXPECT_TRUE(ended);
  EXPECT_EQ(server.session->running(), 0U);
}

// The connection ------------------------------------------------------------------------------------

TEST(Http2Ends, AConnectionThatTheClientClosesIsLostForAllStreams) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.client.ask(3, request("POST", "/"), false);
  server.run();
  server.client.close();
  server.run();
  EXPECT_TRUE(server.session->is_over());
  for (Http2ServerStream* stream : server.open) {
    EXPECT_TRUE(stream->gone());
    EXPECT_FALSE(stream->is_open());
    EXPECT_EQ(ServerEnd::send(*stream, "x", true).io, Io::failed);
    stream->put_head({});
    stream->put_interim({});
    stream->abort();
  }
  EXPECT_EQ(server.open[1]->fill(), Io::failed);
  EXPECT_EQ(server.session->receive(), Io::failed);
}

TEST(Http2Ends, ASocketThatFailsWhileSendingEndsTheSession) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.client.get(3, "/");
  server.run();
  static_cast<void>(server.wake_streams.take());
  server.client.close();
  const std::string body(50'000, 'x');  // is written at once
  ServerEnd::put(*server.open[0], 200, {BodyLength::Kind::known, body.size()});
  EXPECT_EQ(ServerEnd::send(*server.open[0], body, true).io, Io::failed);
  EXPECT_EQ(server.wake_streams.take(), 0U) << "an operation on one stream resumes no other";
  server.loop.settle();
  EXPECT_NE(server.wake_streams.take(), 0U);
  EXPECT_NE(server.wake.take(), 0U) << "its owner is told";
  EXPECT_TRUE(server.session->is_over());
}

TEST(Http2Ends, ASocketThatFailsInAPostedTurnTellsTheOwner) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.client.close();
  ServerEnd::respond(server.last(), "small");
  server.loop.settle();
  server.run();
  EXPECT_TRUE(server.session->is_over());
}

TEST(Http2Ends, AnEndThatRaisedNoEventIsFoundByAsking) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.client.close();
  server.last().look_for_reset();
  EXPECT_TRUE(server.last().gone());
  server.loop.settle();
  EXPECT_TRUE(server.session->is_over());
}

TEST(Http2Ends, APrefaceThatIsNoneClosesTheConnection) {
  ServerEnd server;
  server.client.raw("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  server.run();
  EXPECT_TRUE(server.session->is_over());
  EXPECT_EQ(server.opened, 0U);
}

TEST(Http2Ends, ShutdownIsInTwoSteps) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.session->shutdown();
  auto frames = server.frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].type, goaway_frame);
  EXPECT_EQ(frames[0].last_stream(), 0x7fffffff);
  EXPECT_EQ(frames[1].type, ping_frame);
  server.client.get(3, "/before-it-heard");
  server.run();
  EXPECT_EQ(server.opened, 2U);
  server.client.raw(frame(ping_frame, ack, 0, frames[1].payload));
  frames = server.frames();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].type, goaway_frame);
  EXPECT_EQ(frames[0].last_stream(), 3);
  EXPECT_EQ(frames[0].code(), NGHTTP2_NO_ERROR);
  server.client.get(5, "/too-late");
  server.run();
  EXPECT_EQ(server.opened, 2U);
  EXPECT_FALSE(server.session->is_over());
  for (Http2ServerStream* stream : std::vector<Http2ServerStream*>(server.open)) {
    EXPECT_TRUE(ServerEnd::respond(*stream, "served"));
    server.done(*stream);
  }
  EXPECT_EQ(server.frames(data_frame).size(), 2U);
  EXPECT_TRUE(server.session->is_over());
}

TEST(Http2Ends, ASilentClientHearsOfTheShutdownToo) {
  ServerEnd server;
  server.greet();
  server.session->shutdown();
  server.session->shutdown();
  EXPECT_EQ(server.frames(goaway_frame).size(), 1U);
  server.advance(std::chrono::milliseconds(900));
  EXPECT_TRUE(server.frames(goaway_frame).empty());
  EXPECT_FALSE(server.session->is_over());
  server.advance(std::chrono::milliseconds(300));
  const auto frames = server.frames(goaway_frame);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].last_stream(), 0);
  EXPECT_TRUE(server.session->is_over());
}

// The last number used to be that of a second before it was sent: what came in between was served, and the
// client was told that it had not been.
TEST(Http2Ends, TheLastStreamIsTheLastThatWasBegunHoweverLateTheGoawayLeaves) {
  ServerEnd server;
  server.small_socket();
  server.greet({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30}});
  server.client.open_window(0, 1 << 30);
  server.client.get(1, "/");
  const std::string body(1'000'000, 'x');
  EXPECT_FALSE(ServerEnd::respond(server.last(), body));
  server.session->shutdown();
  server.advance(std::chrono::milliseconds(1100));
  server.client.ask(3, request("POST", "/"));
  server.run();
  EXPECT_EQ(server.opened, 2U);
  std::vector<std::int32_t> last;
  for (int i = 0; i < 100 && last.size() < 2; ++i)
    for (const H2Frame& f : server.frames(goaway_frame)) last.push_back(f.last_stream());
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last.at(1), 3);
  EXPECT_FALSE(server.last().gone());
}

TEST(Http2Ends, AResponseThatClosesShutsTheConnectionDown) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.head();
  OutHead head;
  head.status = 200;
  head.close = true;
  server.last().put_head(head);
  EXPECT_TRUE(ServerEnd::send(server.last(), "", true).finished);
  server.done(server.last());
  EXPECT_EQ(server.frames(goaway_frame).size(), 1U);
  EXPECT_TRUE(server.session->is_shutting_down());
}

TEST(Http2Ends, AnEarlyResponseThatWouldCloseDoesNot) {
  ServerEnd server;
  server.greet();
  server.client.ask(1, request("POST", "/"), false);
  server.head();
  OutHead head;
  head.status = 413;
  head.close = true;
  server.last().put_head(head);
  server.done(server.last());
  EXPECT_TRUE(server.frames(goaway_frame).empty());
  EXPECT_FALSE(server.session->is_shutting_down());
}

TEST(Http2Ends, AClientThatLeavesIsLetGoAfterItsStreams) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.client.raw(frame(goaway_frame, 0, 0, bytes_of(0) + bytes_of(0)));
  server.run();
  EXPECT_FALSE(server.session->is_over());
  EXPECT_TRUE(ServerEnd::respond(server.last(), "last"));
  server.done(server.last());
  EXPECT_EQ(server.frames(data_frame).size(), 1U);
  EXPECT_TRUE(server.session->is_over());
}

TEST(Http2Ends, TerminateSaysWhy) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.session->terminate(Http2Error::no_error);
  EXPECT_TRUE(server.session->is_over());
  const auto frames = server.frames(goaway_frame);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].code(), NGHTTP2_NO_ERROR);
  EXPECT_TRUE(server.last().gone());
}

TEST(Http2Ends, AViolationOfTheProtocolEndsTheConnection) {
  ServerEnd server;
  server.greet();
  server.client.get(1, "/");
  server.run();
  server.client.raw(frame(data_frame, 0, 0, "on no stream"));
  const auto frames = server.frames(goaway_frame);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].code(), NGHTTP2_PROTOCOL_ERROR);
  EXPECT_TRUE(server.session->is_over());
  EXPECT_TRUE(server.last().gone());
}

TEST(Http2Ends, AParkedSessionGoesOnWithAnotherTransport) {
  ServerEnd server;
  server.greet();
  EXPECT_TRUE(server.session->is_idle());
  server.client.get(1, "/a", {{"x-indexed", "by the first"}});
  server.run();
  EXPECT_FALSE(server.session->is_idle());
  Http2ServerStream& stream = server.last();
  EXPECT_TRUE(ServerEnd::respond(stream, "1"));
  server.done(stream);
  EXPECT_FALSE(server.session->is_idle()) << "not sent yet";
  server.run();
  EXPECT_TRUE(server.session->is_idle());
  // The descriptor moves to a new transport, as from the idle sockets.
  TransportRef old = server.session->release();
  EXPECT_FALSE(server.session->release());
  const int fd = ::dup(old->fd());
  old->close();
  server.loop.settle();
  server.transport = TransportRef(new Transport(server.loop, fd));
  server.session->use(server.transport, server.wake, EventFlags::client);
  server.client.frames();
  server.client.get(3, "/b", {{"x-indexed", "by the first"}});  // refers to the HPACK table
  const RequestHead head = server.head();
  EXPECT_EQ(head.path, "/b");
  EXPECT_EQ(head.fields.front().value, "by the first");
  EXPECT_TRUE(ServerEnd::respond(server.last(), "2"));
  EXPECT_EQ(server.frames().size(), 2U);
}

}  // namespace
}  // namespace remora::test
