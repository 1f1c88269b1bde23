// RFC 9113 4 and 5.5: the format and the size of frames, and frames that nobody knows.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

using Frames = Http2;
constexpr auto unknown_type = static_cast<Type>(0xfe);

// 4.1
TEST_F(Frames, OneOfAnUnknownTypeIsIgnored) {
  client.send(frame(unknown_type, 0, 0, "whatever"));
  EXPECT_TRUE(client.alive());
}

TEST_F(Frames, OneOfAnUnknownTypeOnAnIdleStreamIsIgnored) {
  client.send(frame(unknown_type, 0xff, 99, "whatever"));
  EXPECT_TRUE(client.alive());
}

TEST_F(Frames, OneOfAnUnknownTypeAmongABodysIsIgnored) {
  client.send(headers(1, post_block("/p"), end_headers) + data(1, "a") + frame(unknown_type, 0, 1, "x") +
              data(1, "b", end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "ab");
}

// 4.1: unused flags are ignored.
TEST_F(Frames, UndefinedFlagsOfAPingAreIgnored) {
  client.send(ping("flagged!", 0xfe));
  EXPECT_TRUE(client.wait([&] { return !client.pongs().empty(); }));
  EXPECT_EQ(client.pongs().at(0), "flagged!");
}

TEST_F(Frames, UndefinedFlagsOfARequestAreIgnored) {
  client.send(headers(1, get_block(), end_headers | end_stream | 0xc2));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(Frames, UndefinedFlagsOfDataAreIgnored) {
  client.send(headers(1, post_block("/p"), end_headers) + data(1, "ab", end_stream | 0xf6));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "ab");
}

// 4.1: the reserved bit is ignored.
TEST_F(Frames, TheReservedBitOfAPingIsIgnored) {
  client.send(frame(Type::ping, 0, 0x80000000, "12345678"));
  EXPECT_TRUE(client.wait([&] { return !client.pongs().empty(); }));
}

TEST_F(Frames, TheReservedBitOfARequestIsIgnored) {
  client.send(headers(0x80000001, get_block()));
  EXPECT_TRUE(client.responds(1));
}

// 4.2: 2^14 bytes are the least that an endpoint must take.
TEST_F(Frames, DataOfTheGreatestSizeIsTaken) {
  client.send(headers(1, post_block("/p"), end_headers) +
              data(1, std::string(max_frame_payload, 'd'), end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body.size(), max_frame_payload);
}

TEST_F(Frames, AHeadOfTheGreatestSizeIsTaken) {
  std::string block = get_block("/p");
  // The name and the lengths of the field take 7 bytes.
  block += hpack::literal("x-a", std::string(max_frame_payload - block.size() - 8, 'v'));
  ASSERT_EQ(block.size(), max_frame_payload);
  client.send(headers(1, block));
  EXPECT_TRUE(client.responds(1));
}

// 4.2: FRAME_SIZE_ERROR; for a frame that changes the state of the whole connection a connection error.
TEST_F(Frames, TooLargeDataIsAFrameSizeError) {
  client.send(headers(1, post_block("/p"), end_headers) + data(1, std::string(max_frame_payload + 1, 'd')));
  EXPECT_TRUE(client.resets_or_ends(1, {Error::frame_size_error}));
}

TEST_F(Frames, TooLargeAHeadIsAFrameSizeError) {
  client.send(headers(1, std::string(max_frame_payload + 1, '\x82')));
  EXPECT_TRUE(client.ends_with(Error::frame_size_error));
  EXPECT_TRUE(nothing_forwarded());
}

/// nghttp2 takes CONTINUATION frames of any size as long as the head is in its limits; this one is malformed.
TEST_F(Frames, TooLargeAContinuationIsRefused) {
  client.send(headers(1, get_block(), end_stream) +
              continuation(1, std::string(max_frame_payload + 1, '\x82')));
  EXPECT_TRUE(client.resets_or_ends(1, {Error::protocol_error, Error::frame_size_error}));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(Frames, TooLargeAnUnknownFrameIsAFrameSizeError) {
  client.send(frame_of_length(0xffffff, unknown_type, 0, 0));
  EXPECT_TRUE(client.ends_with(Error::frame_size_error));
}

TEST_F(Frames, TheClientsOwnGreatestSizeIsObeyed) {
  // Our settings are about what we receive: 2^14 is the least, and the client blames anything longer.
  EXPECT_TRUE(client.responds(client.get("/bytes/100000")));
  EXPECT_EQ(client.violation(), "");
}

TEST_F(Frames, AFrameInPiecesIsUnderstood) {
  for (const char c : headers(1, get_block("/pieces"))) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(Frames, ManyInOneWriteAreAllTaken) {
  std::string all;
  for (std::uint32_t id = 1; id < 100; id += 2) all += headers(id, get_block("/many"));
  client.send(all);
  for (std::uint32_t id = 1; id < 100; id += 2) EXPECT_TRUE(client.responds(id));
}

// 5.5: extension frames in the middle of a head are not exempt from the rules of header blocks.
TEST_F(Frames, OneOfAnUnknownTypeInsideAHeadIsAProtocolError) {
  client.send(headers(1, get_block(), end_stream) + frame(unknown_type, 0, 1, "x") + continuation(1, ""));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
  EXPECT_TRUE(nothing_forwarded());
}

// 7: unknown codes must not trigger any special behavior.
TEST_F(Frames, AnUnknownErrorCodeIsTakenAsAny) {
  client.send(headers(1, get_block("/hold")) + rst_stream(1, static_cast<Error>(0xff)));
  EXPECT_TRUE(client.alive());
  EXPECT_FALSE(client.stream(1).over());
}

// Header blocks: 4.3 and 6.10 ---------------------------------------------------------------------------

using HeaderBlocks = Http2;

TEST_F(HeaderBlocks, AHeadMayBeCutAtAnyByte) {
  const std::string block = get_block("/cut");
  for (std::size_t at = 0; at <= block.size(); ++at) {
    const std::uint32_t id = client.next_stream();
    client.send(headers(id, block.substr(0, at), end_stream) + continuation(id, block.substr(at)));
    ASSERT_TRUE(client.responds(id)) << "cut at " << at;
  }
}

TEST_F(HeaderBlocks, AHeadMayHaveAFewContinuations) {
  const std::string block = get_block("/parts");
  client.send(headers_in_parts(1, block, block.size() / 4));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(HeaderBlocks, AContinuationMayBeEmpty) {
  client.send(headers(1, get_block(), end_stream) + continuation(1, ""));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(HeaderBlocks, AContinuationEndsTheHeadAndNotTheStream) {
  const std::string block = post_block("/p");
  client.send(headers(1, block.substr(0, 9), 0) + continuation(1, block.substr(9), end_headers | end_stream));
  EXPECT_TRUE(client.sync());  // END_STREAM is no flag of CONTINUATION
  EXPECT_FALSE(client.stream(1).over());
  client.send(data(1, "body", end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "body");
}

TEST_F(HeaderBlocks, TrailersMayBeCutToo) {
  const std::string trailers = block({{"x-sum", "1"}});
  client.send(headers(1, post_block("/p"), end_headers) + data(1, "a") +
              headers(1, trailers.substr(0, 4), end_stream) + continuation(1, trailers.substr(4)));
  EXPECT_TRUE(client.responds(1));
}

struct Interruption {
  const char* name;
  std::string frame;
};
void PrintTo(const Interruption& i, std::ostream* out) {
  *out << i.name;
}

// 6.10: any frame but a CONTINUATION of the same stream is a connection error PROTOCOL_ERROR.
class AHeadInterruptedBy : public Http2, public ::testing::WithParamInterface<Interruption> {};

TEST_P(AHeadInterruptedBy, IsAProtocolError) {
  client.send(headers(1, post_block("/first"), end_headers) +
              headers(3, get_block().substr(0, 5), end_stream) + GetParam().frame +
              continuation(3, get_block().substr(5)));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
  EXPECT_EQ(backend().lines().find("GET / "), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    HeaderBlocks, AHeadInterruptedBy,
    ::testing::Values(Interruption{"Data", data(1, "x")}, Interruption{"DataOfItsOwn", data(3, "x")},
                      Interruption{"AnotherHead", headers(5, get_block())},
                      Interruption{"AnotherHeadOfItsOwn", headers(3, get_block())},
                      Interruption{"AContinuationOfAnother", continuation(1, get_block().substr(5))},
                      Interruption{"AContinuationOfStream0", continuation(0, get_block().substr(5))},
                      Interruption{"Priority", priority(1, 0)},
                      Interruption{"PriorityOfItsOwn", priority(3, 0)},
                      Interruption{"RstStream", rst_stream(1)},
                      Interruption{"RstStreamOfItsOwn", rst_stream(3)}, Interruption{"Settings", settings()},
                      Interruption{"Ping", ping()}, Interruption{"Goaway", goaway(0)},
                      Interruption{"WindowUpdate", window_update(0, 1)},
                      Interruption{"PriorityUpdate", priority_update(3, "u=1")}),
    [](const auto& info) { return info.param.name; });

// 6.10
TEST_F(HeaderBlocks, AContinuationBehindAWholeHeadIsAProtocolError) {
  client.send(headers(1, post_block("/p"), end_headers) + continuation(1, block({{"x", "y"}})));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(HeaderBlocks, AContinuationBehindAContinuationThatEndedIsAProtocolError) {
  client.send(headers(1, post_block("/p"), 0) + continuation(1, "") + continuation(1, block({{"x", "y"}})));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(HeaderBlocks, AContinuationBehindDataIsAProtocolError) {
  client.send(headers(1, post_block("/p"), end_headers) + data(1, "x") +
              continuation(1, block({{"x", "y"}})));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(HeaderBlocks, AContinuationOfStream0IsAProtocolError) {
  client.send(continuation(0, get_block()));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(HeaderBlocks, AContinuationOfAnIdleStreamIsAProtocolError) {
  client.send(continuation(1, get_block()));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
  EXPECT_TRUE(nothing_forwarded());
}

}  // namespace
}  // namespace remora::test::h2
