// RFC 9113 5: stream states, identifiers, concurrency, priority, and errors.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

// 5.1, idle: anything but HEADERS and PRIORITY is a connection error PROTOCOL_ERROR -----------------------

using IdleStreams = Http2;

TEST_F(IdleStreams, DataIsAProtocolError) {
  client.send(data(1, "x", end_stream));
  EXPECT_TRUE(client.ends_with_one_of({Error::protocol_error, Error::stream_closed}));
}

TEST_F(IdleStreams, AResetIsAProtocolError) {
  client.send(rst_stream(1));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(IdleStreams, AWindowUpdateIsAProtocolError) {
  client.send(window_update(1, 100));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(IdleStreams, PriorityIsTaken) {
  client.send(priority(7, 5) + priority(9, 7));
  EXPECT_TRUE(client.alive());
}

TEST_F(IdleStreams, FramesOnAnIdleStreamAfterOthersAreProtocolErrors) {
  EXPECT_TRUE(client.responds(client.get("/")));
  client.send(rst_stream(5));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

// 5.1, half-closed (remote): the request is whole, its response is not -----------------------------------

class HalfClosedStreams : public Http2 {
 protected:
  void SetUp() override {
    Http2::SetUp();
    stream_ = client.get("/hold");
    ASSERT_TRUE(backend().received(1));
  }
  /// A stream error, or a connection error, STREAM_CLOSED; the backend sees nothing of it.
  void expect_refused() {
    EXPECT_TRUE(client.resets_or_ends(stream_, {Error::stream_closed}));
    EXPECT_TRUE(only_forwarded("GET /hold\n"));
  }
  std::uint32_t stream_ = 0;
};

TEST_F(HalfClosedStreams, DataIsAStreamClosedError) {
  client.send(data(stream_, "x", end_stream));
  expect_refused();
}

TEST_F(HalfClosedStreams, ASecondRequestIsAStreamClosedError) {
  client.send(headers(stream_, get_block("/second")));
  expect_refused();
}

TEST_F(HalfClosedStreams, TrailersAreAStreamClosedError) {
  client.send(headers(stream_, block({{"x-late", "1"}})));
  expect_refused();
}

TEST_F(HalfClosedStreams, AContinuationIsAProtocolError) {
  client.send(continuation(stream_, block({{"x-late", "1"}})));
  EXPECT_TRUE(client.ends_with_one_of({Error::protocol_error, Error::stream_closed}));
}

TEST_F(HalfClosedStreams, AWindowUpdateIsTaken) {
  client.send(window_update(stream_, 1000));
  ASSERT_TRUE(client.sync());
  backend().release();
  EXPECT_TRUE(client.responds(stream_));
}

TEST_F(HalfClosedStreams, PriorityIsTaken) {
  client.send(priority(stream_, 0));
  ASSERT_TRUE(client.sync());
  backend().release();
  EXPECT_TRUE(client.responds(stream_));
}

TEST_F(HalfClosedStreams, AResetEndsTheExchange) {
  client.send(rst_stream(stream_));
  ASSERT_TRUE(client.alive());
  backend().release();
  EXPECT_TRUE(client.alive());
  EXPECT_TRUE(client.stream(stream_).heads.empty());
}

// 5.1, closed --------------------------------------------------------------------------------------------

/// RFC 9113 allows a connection error STREAM_CLOSED, a stream error, or, where the state is forgotten
/// already, to discard the frame. Never may it have an effect.
class ClosedStreams : public Http2 {
 protected:
  std::uint32_t served() {
    const std::uint32_t id = client.get("/closed");
    EXPECT_TRUE(client.responds(id));
    return id;
  }
  std::uint32_t cancelled() {
    const std::uint32_t id = client.get("/closed");
    client.send(rst_stream(id));
    return id;
  }
  std::size_t count(std::string_view line) {
    std::size_t n = 0;
    for (const auto& r : backend().requests()) n += r.line() == line ? 1 : 0;
    return n;
  }
  void expect_no_effect() {
    if (client.sync()) {
      EXPECT_TRUE(client.alive());
    } else {
      EXPECT_TRUE(client.ends_with_one_of({Error::stream_closed, Error::protocol_error}));
    }
    EXPECT_EQ(count("GET /again HTTP/1.1"), 0u);
    EXPECT_LE(count("GET /closed HTTP/1.1"), 1u);
  }
};

TEST_F(ClosedStreams, DataBehindTheEndHasNoEffect) {
  client.send(data(served(), "x", end_stream));
  expect_no_effect();
}

TEST_F(ClosedStreams, ARequestBehindTheEndHasNoEffect) {
  client.send(headers(served(), get_block("/again")));
  expect_no_effect();
}

TEST_F(ClosedStreams, AContinuationBehindTheEndIsAConnectionError) {
  client.send(continuation(served(), block({{"x", "y"}})));
  EXPECT_TRUE(client.ends_with_one_of({Error::protocol_error, Error::stream_closed}));
}

TEST_F(ClosedStreams, DataBehindTheClientsOwnResetHasNoEffect) {
  client.send(data(cancelled(), "x", end_stream));
  expect_no_effect();
}

TEST_F(ClosedStreams, ARequestBehindTheClientsOwnResetHasNoEffect) {
  client.send(headers(cancelled(), get_block("/again")));
  expect_no_effect();
}

// 5.1: WINDOW_UPDATE and RST_STREAM may arrive for a short while after the end.
TEST_F(ClosedStreams, AWindowUpdateBehindTheEndIsIgnored) {
  client.send(window_update(served(), 100));
  EXPECT_TRUE(client.alive());
}

TEST_F(ClosedStreams, AResetBehindTheEndIsIgnored) {
  client.send(rst_stream(served()));
  EXPECT_TRUE(client.alive());
}

TEST_F(ClosedStreams, PriorityBehindTheEndIsTaken) {
  client.send(priority(served(), 0));
  EXPECT_TRUE(client.alive());
}

// 5.1: frames that were under way when the server reset the stream are read and dropped.
TEST_F(ClosedStreams, WhatFollowsOnAStreamThatTheServerHasResetIsDropped) {
  client.send(headers(1, post_block("/bad", {{"Upper", "x"}}), end_headers));
  EXPECT_TRUE(client.refuses(1));
  client.send(data(1, std::string(1000, 'x')) + data(1, "", end_stream) + window_update(1, 10));
  EXPECT_TRUE(nothing_forwarded());
}

// 6.9: dropped DATA counts for the connection's window, or it would leak.
TEST_F(ClosedStreams, DroppedDataIsGivenBackToTheConnectionsWindow) {
  client.send(headers(1, post_block("/bad", {{"Upper", "x"}}), end_headers));
  EXPECT_TRUE(client.refuses(1));
  const std::int64_t granted = client.granted(0);
  constexpr int frames = 300;  // several windows, each sent when the server has given it
  const std::int64_t window = client.send_window();
  const std::string part = data(1, std::string(max_frame_payload, 'x'));
  for (int i = 0; i < frames; ++i) {
    const auto sent = std::int64_t{max_frame_payload} * (i + 1);
    ASSERT_TRUE(client.wait([&] { return window + client.granted(0) - granted >= sent; })) << "after " << i;
    ASSERT_TRUE(client.send(part));
  }
  EXPECT_TRUE(client.alive());
}

// 5.1.1: identifiers --------------------------------------------------------------------------------------

using StreamIdentifiers = Http2;

TEST_F(StreamIdentifiers, AnEvenOneIsAProtocolError) {
  client.send(headers(2, get_block()));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(StreamIdentifiers, ARequestOnStream0IsAProtocolError) {
  client.send(headers(0, get_block()));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(StreamIdentifiers, SomeMayBeSkipped) {
  client.send(headers(1001, get_block()));
  EXPECT_TRUE(client.responds(1001));
}

/// A connection error by the letter; a stream that is closed because a higher one was used may be forgotten.
TEST_F(StreamIdentifiers, ALowerOneIsNeverServed) {
  client.send(headers(7, get_block("/seven")));
  EXPECT_TRUE(client.responds(7));
  client.send(headers(5, get_block("/five")));
  if (!client.sync()) {
    EXPECT_TRUE(client.ends_with_one_of({Error::protocol_error, Error::stream_closed}));
  }
  EXPECT_TRUE(only_forwarded("GET /seven\n"));
}

TEST_F(StreamIdentifiers, TheGreatestIsServed) {
  client.send(headers(0x7fffffff, get_block()));
  EXPECT_TRUE(client.responds(0x7fffffff));
}

// 5.1.2: concurrency --------------------------------------------------------------------------------------

using Concurrency = Http2;

TEST_F(Concurrency, AsManyStreamsAsAnnouncedRunAtOnce) {
  const std::uint32_t limit = client.setting(Setting::max_concurrent_streams).value_or(0);
  ASSERT_EQ(limit, 128u);
  std::vector<std::uint32_t> streams;
  for (std::uint32_t i = 0; i < limit; ++i) streams.push_back(client.get("/hold"));
  ASSERT_TRUE(backend().received(limit));
  ASSERT_TRUE(client.sync());
  backend().release();
  for (const std::uint32_t id : streams) EXPECT_TRUE(client.responds(id));
}

/// 5.1.2: a stream error; 8.7: REFUSED_STREAM says that nothing ran.
TEST_F(Concurrency, OneMoreIsRefused) {
  const std::uint32_t limit = client.setting(Setting::max_concurrent_streams).value_or(0);
  for (std::uint32_t i = 0; i < limit; ++i) client.get("/hold");
  ASSERT_TRUE(backend().received(limit));
  const std::uint32_t more = client.get("/more");
  EXPECT_TRUE(client.resets_or_ends(more, {Error::refused_stream, Error::protocol_error}));
  EXPECT_EQ(backend().lines().find("/more"), std::string::npos);
}

TEST_F(Concurrency, AStreamThatEndedMakesRoom) {
  const std::uint32_t limit = client.setting(Setting::max_concurrent_streams).value_or(0);
  for (std::uint32_t i = 0; i < 3 * limit; ++i) ASSERT_TRUE(client.responds(client.get("/")));
}

TEST_F(Concurrency, ASlowStreamDoesNotHoldUpOthers) {
  const std::uint32_t held = client.get("/hold");
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(client.responds(client.get("/")));
  EXPECT_FALSE(client.stream(held).over());
  backend().release();
  EXPECT_TRUE(client.responds(held));
}

// 5.3: priority signals of RFC 7540 are deprecated, and read --------------------------------------------

using Priorities = Http2;

TEST_F(Priorities, AHeadWithADependencyIsServed) {
  client.send(headers(1, priority_fields(0, 200) + get_block(), end_headers | end_stream | with_priority));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(Priorities, ADependencyOnAStreamThatNeverWasIsTaken) {
  client.send(
      headers(1, priority_fields(1001, 3, true) + get_block(), end_headers | end_stream | with_priority));
  EXPECT_TRUE(client.responds(1));
}

/// RFC 7540 5.3.1: a stream error PROTOCOL_ERROR. RFC 9113 has no such rule.
TEST_F(Priorities, AHeadThatDependsOnItselfHarmsNoOtherStream) {
  client.send(headers(1, priority_fields(1) + get_block(), end_headers | end_stream | with_priority));
  if (client.sync()) {
    EXPECT_TRUE(client.alive());
  } else {
    EXPECT_TRUE(client.ends_with(Error::protocol_error));
  }
}

TEST_F(Priorities, AStreamThatDependsOnItselfHarmsNoOtherStream) {
  client.send(priority(1, 1));
  if (client.sync()) {
    EXPECT_TRUE(client.alive());
  } else {
    EXPECT_TRUE(client.ends_with(Error::protocol_error));
  }
}

TEST_F(Priorities, ACircleOfDependenciesIsTaken) {
  client.send(priority(1, 5) + priority(3, 1) + priority(5, 3));
  EXPECT_TRUE(client.alive());
}

// 5.4: errors ---------------------------------------------------------------------------------------------

using Errors = Http2;

// 5.4.1: GOAWAY with the last stream that might have been acted on, then the connection's end.
TEST_F(Errors, GoawayNamesTheLastStreamThatWasSeen) {
  EXPECT_TRUE(client.responds(client.get("/")));
  EXPECT_TRUE(client.responds(client.get("/")));
  client.send(frame(Type::ping, 0, 0, "short"));
  EXPECT_TRUE(client.ends_with(Error::frame_size_error));
  EXPECT_EQ(client.goaway_last_stream(), 3u);
}

TEST_F(Errors, NothingBehindAConnectionErrorIsServed) {
  client.send(frame(Type::ping, 0, 0, "short") + headers(1, get_block("/late")));
  EXPECT_TRUE(client.ends_with(Error::frame_size_error));
  EXPECT_TRUE(nothing_forwarded());
}

// 5.4.2
TEST_F(Errors, AStreamErrorLeavesTheOthersAlone) {
  const std::uint32_t held = client.get("/hold");
  const std::uint32_t bad = client.ask(request("/bad", {{"Upper", "x"}}));
  EXPECT_TRUE(client.refuses(bad));
  ASSERT_TRUE(client.sync());
  backend().release();
  EXPECT_TRUE(client.responds(held));
}

// 5.4.3: no answer to a reset is a reset.
TEST_F(Errors, AResetIsNotAnsweredWithAReset) {
  const std::uint32_t id = client.get("/hold");
  client.send(rst_stream(id, Error::internal_error));
  ASSERT_TRUE(client.alive());
  EXPECT_FALSE(client.stream(id).reset.has_value());
}

}  // namespace
}  // namespace remora::test::h2
