// RFC 9113 6.1 to 6.8: what each type of frame must look like.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

// Frames that are connection errors whatever was sent before -----------------------------------------------

struct Offence {
  const char* name;
  std::string bytes;
  Error code;
};
void PrintTo(const Offence& o, std::ostream* out) {
  *out << o.name;
}

class AConnectionError : public Http2, public ::testing::WithParamInterface<Offence> {};

TEST_P(AConnectionError, EndsTheConnectionWithItsCode) {
  client.send(GetParam().bytes);
  EXPECT_TRUE(client.ends_with(GetParam().code));
  EXPECT_TRUE(nothing_forwarded());
}

std::string post(std::uint32_t id) {
  return headers(id, post_block("/"), end_headers);
}
std::string setting(Setting key, std::uint32_t value) {
  return settings({{key, value}});
}
constexpr unsigned padded_request = end_headers | end_stream | padded;
const Error protocol = Error::protocol_error, size = Error::frame_size_error,
            flow = Error::flow_control_error;

const std::vector<Offence> offences{
    // 6.1
    {"DataOnStream0", data(0, "x"), protocol},
    // 6.2
    {"HeadersOnStream0", headers(0, get_block()), protocol},
    {"HeadersWithAllPayloadAsPadding", headers(1, with_padding("", 1, 0), padded_request), protocol},
    {"HeadersWithMorePaddingThanPayload", headers(1, with_padding(get_block(), 250, 10), padded_request),
     protocol},
    {"HeadersWithoutRoomForThePriority", headers(1, "abcd", end_headers | end_stream | with_priority), size},
    // 6.3
    {"PriorityOnStream0", priority(0, 1), protocol},
    // 6.4
    {"RstStreamOnStream0", rst_stream(0), protocol},
    {"RstStreamOfThreeBytes", post(1) + frame(Type::rst_stream, 0, 1, "abc"), size},
    {"RstStreamOfFiveBytes", post(1) + frame(Type::rst_stream, 0, 1, "abcde"), size},
    // 6.5
    {"SettingsOnAStream", frame(Type::settings, 0, 1), protocol},
    {"SettingsOfFiveBytes", frame(Type::settings, 0, 0, "abcde"), size},
    {"SettingsOfSevenBytes", frame(Type::settings, 0, 0, bytes("\0\3\0\0\0\1\0")), size},
    {"SettingsAcknowledgmentWithAPayload", frame(Type::settings, ack, 0, bytes("\0\3\0\0\0\1")), size},
    // 6.5.2
    {"EnablePushOf2", setting(Setting::enable_push, 2), protocol},
    {"InitialWindowBeyondTheGreatest", setting(Setting::initial_window_size, 0x80000000), flow},
    {"InitialWindowOfAllBits", setting(Setting::initial_window_size, 0xffffffff), flow},
    {"MaxFrameSizeBelowTheLeast", setting(Setting::max_frame_size, 16383), protocol},
    {"MaxFrameSizeOf0", setting(Setting::max_frame_size, 0), protocol},
    {"MaxFrameSizeBeyondTheGreatest", setting(Setting::max_frame_size, 0x1000000), protocol},
    {"EnableConnectProtocolOf2", setting(Setting::enable_connect_protocol, 2), protocol},  // RFC 8441 3
    {"NoRfc7540PrioritiesOf2", setting(Setting::no_rfc7540_priorities, 2), protocol},      // RFC 9218 2.1
    // 6.6, 8.4: a client cannot push.
    {"PushPromise", post(1) + push_promise(1, 2, get_block("/pushed")), protocol},
    {"PushPromiseOnAnIdleStream", push_promise(1, 3, get_block("/pushed")), protocol},
    {"PushPromiseOnStream0", push_promise(0, 2, get_block("/pushed")), protocol},
    // 6.7
    {"PingOnAStream", frame(Type::ping, 0, 1, "12345678"), protocol},
    {"PingOfSevenBytes", ping("1234567"), size},
    {"PingOfNineBytes", ping("123456789"), size},
    {"EmptyPing", ping(""), size},
    {"PingAcknowledgmentOfSevenBytes", ping("1234567", ack), size},
    // 6.8
    {"GoawayOnAStream", frame(Type::goaway, 0, 1, u32(0) + u32(0)), protocol},
    {"GoawayOfSevenBytes", frame(Type::goaway, 0, 0, "1234567"), size},
    // 6.9
    {"WindowUpdateOf0OnTheConnection", window_update(0, 0), protocol},
    {"WindowUpdateOfThreeBytes", frame(Type::window_update, 0, 0, "abc"), size},
    {"WindowUpdateOfFiveBytes", frame(Type::window_update, 0, 0, "abcde"), size},
    {"WindowUpdateOfFiveBytesOnAStream", post(1) + frame(Type::window_update, 0, 1, "abcde"), size},
    // 6.9.1
    {"WindowBeyondTheGreatestOnTheConnection", window_update(0, 0x7fffffff), flow},
    {"WindowBeyondTheGreatestInSteps",
     window_update(0, 0x3fffffff) + window_update(0, 0x3fffffff) + window_update(0, 0x3fffffff), flow},
};

INSTANTIATE_TEST_SUITE_P(FrameTypes, AConnectionError, ::testing::ValuesIn(offences),
                         [](const auto& info) { return info.param.name; });

// 6.1: DATA -----------------------------------------------------------------------------------------------

using Data = Http2;

TEST_F(Data, PaddingIsTakenOff) {
  client.send(post(1) + frame(Type::data, padded | end_stream, 1, with_padding("body", 100, 100)));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "body");
}

TEST_F(Data, PaddingMayBeEmpty) {
  client.send(post(1) + frame(Type::data, padded | end_stream, 1, with_padding("body", 0, 0)));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "body");
}

TEST_F(Data, AFrameMayBeNothingButPadding) {
  client.send(post(1) + frame(Type::data, padded, 1, with_padding("", 255, 255)) + data(1, "b", end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "b");
}

TEST_F(Data, PaddingAsLongAsThePayloadIsAProtocolError) {
  client.send(post(1) + frame(Type::data, padded | end_stream, 1, with_padding("body", 5, 0)));
  EXPECT_TRUE(client.ends_with(protocol));
}

TEST_F(Data, AFrameWithoutRoomForThePadLengthIsAnError) {
  client.send(post(1) + frame(Type::data, padded | end_stream, 1));
  EXPECT_TRUE(client.ends_with_one_of({size, protocol}));
}

TEST_F(Data, AnEmptyOneMayEndTheStream) {
  client.send(post(1) + data(1, "body") + data(1, "", end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "body");
}

// 6.2: HEADERS ----------------------------------------------------------------------------------------------

using Headers = Http2;

TEST_F(Headers, PaddingIsTakenOff) {
  client.send(headers(1, with_padding(get_block("/padded"), 200, 200), padded_request));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(Headers, PaddingAndPriorityTogetherAreTakenOff) {
  client.send(headers(1, with_padding(priority_fields(0) + get_block("/both"), 9, 9),
                      padded_request | with_priority));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(Headers, OneWithoutRoomForThePadLengthIsAnError) {
  client.send(headers(1, "", padded_request));
  EXPECT_TRUE(client.ends_with_one_of({size, protocol}));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(Headers, PaddedOnesMayGoOnInAContinuation) {
  const std::string block = get_block("/padded");
  client.send(headers(1, with_padding(block.substr(0, 10), 7, 7), end_stream | padded) +
              continuation(1, block.substr(10)));
  EXPECT_TRUE(client.responds(1));
}

// 6.3, 6.4
// ----------------------------------------------------------------------------------------------------

TEST_F(Headers, APriorityFrameOfFourBytesIsAFrameSizeError) {
  client.send(headers(1, get_block("/hold")) + frame(Type::priority, 0, 1, "abcd"));
  EXPECT_TRUE(client.resets_or_ends(1, {size}));
}

using Resets = Http2;

TEST_F(Resets, OneInMidBodyEndsTheRequestAtTheBackend) {
  client.send(post(1) + data(1, "part"));
  ASSERT_TRUE(backend().received(1));
  client.send(rst_stream(1));
  EXPECT_TRUE(client.alive());
  EXPECT_FALSE(client.stream(1).over());
}

TEST_F(Resets, OneInMidResponseStopsIt) {
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 1000}}));
  client.updates_windows = false;
  const std::uint32_t id = client.get("/bytes/1000000");
  ASSERT_TRUE(client.wait([&] { return client.stream(id).body.size() == 1000; }));
  client.send(rst_stream(id));
  client.give_window(id, 1000000);
  EXPECT_TRUE(client.alive());
  EXPECT_EQ(client.stream(id).body.size(), 1000u);
}

// 6.5: SETTINGS
// -------------------------------------------------------------------------------------------------

using SettingsFrames = Http2;

TEST_F(SettingsFrames, EachIsAcknowledged) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client.change({{Setting::initial_window_size, 65535}}));
}

TEST_F(SettingsFrames, UnknownOnesAreIgnored) {
  EXPECT_TRUE(client.change({{static_cast<Setting>(0xff), 1}, {static_cast<Setting>(0), 7}}));
  EXPECT_TRUE(client.alive());
}

// 6.5.3: values are processed in the order in which they appear.
TEST_F(SettingsFrames, TheLastOfARepeatedOneCounts) {
  client.updates_windows = false;
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 100}, {Setting::initial_window_size, 1}}));
  const std::uint32_t id = client.get("/bytes/100");
  ASSERT_TRUE(client.wait([&] { return !client.stream(id).body.empty(); }));
  ASSERT_TRUE(client.sync());
  EXPECT_EQ(client.stream(id).body.size(), 1u);
}

TEST_F(SettingsFrames, TheEdgesOfEveryRangeAreTaken) {
  EXPECT_TRUE(client.change({{Setting::enable_push, 0}, {Setting::enable_push, 1}}));
  EXPECT_TRUE(client.change({{Setting::initial_window_size, 0}, {Setting::initial_window_size, 0x7fffffff}}));
  EXPECT_TRUE(client.change({{Setting::max_frame_size, 0xffffff}, {Setting::max_frame_size, 16384}}));
  EXPECT_TRUE(
      client.change({{Setting::max_concurrent_streams, 0}, {Setting::max_header_list_size, 0xffffffff}}));
  EXPECT_TRUE(client.alive());
}

TEST_F(SettingsFrames, AnAcknowledgmentThatNobodyWaitsForHarmsNobodyElse) {
  client.send(settings_ack() + settings_ack());
  if (client.sync()) {
    EXPECT_TRUE(client.alive());
  } else {
    EXPECT_TRUE(client.ends_with(protocol));
  }
}

TEST_F(SettingsFrames, TheServerAllowsExtendedConnectAndNoPush) {
  EXPECT_EQ(client.setting(Setting::enable_connect_protocol), 1u);
  EXPECT_EQ(client.setting(Setting::no_rfc7540_priorities), 1u);
  EXPECT_EQ(client.setting(Setting::enable_push).value_or(0), 0u);
}

// 6.7: PING
// -------------------------------------------------------------------------------------------------------

using Pings = Http2;

TEST_F(Pings, TheAcknowledgmentHasTheSamePayload) {
  client.send(ping(bytes("\0\1\2\xff\xfe\r\n\t")));
  ASSERT_TRUE(client.wait([&] { return !client.pongs().empty(); }));
  EXPECT_EQ(client.pongs().at(0), bytes("\0\1\2\xff\xfe\r\n\t"));
}

TEST_F(Pings, AnAcknowledgmentIsNotAnswered) {
  client.send(ping("unasked!", ack));
  ASSERT_TRUE(client.sync());
  EXPECT_EQ(client.pongs().size(), 1u);
}

TEST_F(Pings, OneIsAnsweredWhileAStreamWaits) {
  client.get("/hold");
  ASSERT_TRUE(backend().received(1));
  EXPECT_TRUE(client.sync());
}

// 6.8: GOAWAY
// -----------------------------------------------------------------------------------------------------

using Goaways = Http2;

TEST_F(Goaways, StreamsThatRunAreFinishedAfterTheClientsGoaway) {
  const std::uint32_t id = client.get("/hold");
  ASSERT_TRUE(backend().received(1));
  client.send(goaway(0));
  backend().release();
  EXPECT_TRUE(client.responds(id));
  EXPECT_TRUE(client.closes());
}

TEST_F(Goaways, TheConnectionEndsWhenNothingRuns) {
  client.send(goaway(0));
  EXPECT_TRUE(client.closes());
}

TEST_F(Goaways, OneWithDebugDataIsTaken) {
  client.send(frame(Type::goaway, 0, 0, u32(0) + u32(0) + "why we leave"));
  EXPECT_TRUE(client.closes());
}

}  // namespace
}  // namespace remora::test::h2
