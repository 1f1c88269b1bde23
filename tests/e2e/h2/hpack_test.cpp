// RFC 7541: header compression, right in every form, and wrong.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

using hpack::incremental, hpack::indexed, hpack::integer, hpack::literal, hpack::newest, hpack::size_update;

// Indexes of the static table (appendix A).
constexpr std::uint64_t authority = 1, get = 2, root = 4, http = 6;

/// A GET request of the shortest form; `more` behind it.
std::string shortest(const std::string& more = "") {
  return indexed(get) + indexed(http) + indexed(root) + literal(authority, "test") + more;
}

class Compression : public Http2 {
 protected:
  /// Sends the block as a request and returns the value of x-test that the backend received.
  std::string seen(const std::string& block) {
    const std::uint32_t id = client.next_stream();
    client.send(headers(id, block));
    EXPECT_TRUE(client.responds(id));
    const auto requests = backend().requests();
    return requests.empty() ? "(no request)" : requests.back().field("x-test");
  }
};

// 6.1
TEST_F(Compression, IndexedFieldsOfTheStaticTableAreUnderstood) {
  seen(shortest());
  EXPECT_EQ(backend().lines(), "GET /\n");
}

// 6.2.1
TEST_F(Compression, AnIndexedLiteralMayBeReferredToLater) {
  EXPECT_EQ(seen(shortest(incremental("x-test", "one"))), "one");
  EXPECT_EQ(seen(shortest(indexed(newest))), "one");
  EXPECT_EQ(seen(shortest(literal(newest, "two"))), "two");
  EXPECT_EQ(seen(shortest(incremental(newest, "three"))), "three");
  EXPECT_EQ(seen(shortest(indexed(newest + 1))), "one");
}

// 6.2.2, 6.2.3
TEST_F(Compression, LiteralsWithoutIndexingAreNotKept) {
  EXPECT_EQ(seen(shortest(literal("x-test", "one"))), "one");
  EXPECT_EQ(seen(shortest(hpack::never_indexed("x-test", "two"))), "two");
  client.send(headers(client.next_stream(), shortest(indexed(newest))));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
}

// 5.2
TEST_F(Compression, HuffmanStringsAreUnderstood) {
  EXPECT_EQ(seen(shortest(std::string(1, '\0') + hpack::huffman("x-test") + hpack::huffman("a=1 9:z_%"))),
            "a=1 9:z_%");
  EXPECT_EQ(seen(shortest("\x40" + hpack::huffman("x-test") + hpack::text("plain"))), "plain");
  EXPECT_EQ(seen(shortest(indexed(newest))), "plain");
}

TEST_F(Compression, AnEmptyValueIsUnderstood) {
  EXPECT_EQ(seen(shortest(literal("x-test", ""))), "");
  EXPECT_EQ(count_of(backend().requests().at(0).head, "x-test"), 1);
}

// 4.3, 4.4
TEST_F(Compression, AnEntryGreaterThanTheTableEmptiesIt) {
  EXPECT_EQ(seen(shortest(incremental("x-test", "one"))), "one");
  EXPECT_EQ(seen(shortest(incremental("x-big", std::string(5000, 'b')) + literal("x-test", "two"))), "two");
  client.send(headers(client.next_stream(), shortest(indexed(newest))));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
}

TEST_F(Compression, OldEntriesMakeRoomForNewOnes) {
  std::string block = shortest();
  for (int i = 0; i < 50; ++i) block += incremental("x-fill-" + std::to_string(i), std::string(100, 'f'));
  seen(block);
  EXPECT_EQ(seen(shortest(incremental("x-test", "kept"))), "kept");
  // An entry has 32 bytes besides its name and value: 28 of these fit.
  client.send(headers(client.next_stream(), shortest(indexed(newest + 40))));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
}

// 4.2
TEST_F(Compression, ASizeUpdateOf0EmptiesTheTable) {
  EXPECT_EQ(seen(shortest(incremental("x-test", "one"))), "one");
  seen(size_update(0) + shortest());
  client.send(headers(client.next_stream(), shortest(indexed(newest))));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
}

TEST_F(Compression, TwoSizeUpdatesMayStandAtTheBeginning) {
  EXPECT_EQ(seen(size_update(0) + size_update(4096) + shortest(incremental("x-test", "one"))), "one");
  EXPECT_EQ(seen(shortest(indexed(newest))), "one");
}

// 5.1: a value may have leading zeros, as far as the limit of the implementation.
TEST_F(Compression, AnIntegerInMoreBytesThanItNeedsIsUnderstood) {
  const std::string length = "\x7f\x81" + bytes("\0");  // 127 + 1 + 0 * 128
  EXPECT_EQ(seen(shortest(bytes("\0") + hpack::text("x-test") + length + std::string(128, 'v'))),
            std::string(128, 'v'));
}

// The table is the connection's: a stream that is refused has changed it all the same.
TEST_F(Compression, ARefusedRequestHasItsPartInTheTable) {
  const std::uint32_t bad = client.next_stream();
  client.send(headers(bad, shortest(literal("Upper", "x") + incremental("x-test", "one"))));
  EXPECT_TRUE(client.refuses(bad));
  EXPECT_EQ(seen(shortest(indexed(newest))), "one");
}

TEST_F(Compression, ACancelledRequestHasItsPartInTheTable) {
  const std::uint32_t id = client.next_stream();
  client.send(headers(id, shortest(incremental("x-test", "one"))) + rst_stream(id));
  EXPECT_EQ(seen(shortest(indexed(newest))), "one");
}

TEST_F(Compression, TrailersHaveTheirPartInTheTable) {
  client.send(headers(client.next_stream(), post_block("/"), end_headers) +
              headers(1, incremental("x-test", "one")));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(seen(shortest(indexed(newest))), "one");
}

TEST_F(Compression, AHeadOverTheLimitHasItsPartInTheTable) {
  const std::uint32_t large = client.next_stream();
  std::string block = shortest(incremental("x-test", "one"));
  for (int i = 0; i < 10; ++i) block += literal("x-fill", std::string(4000, 'f'));  // beyond header_bytes
  client.send(headers_in_parts(large, block, max_frame_payload));
  EXPECT_TRUE(client.responds(large, 431));
  EXPECT_EQ(seen(shortest(indexed(newest))), "one");
}

// 4.2, 6.5.2: with a table of 0 our own decoder refuses whatever refers to it.
TEST_F(Compression, AClientWithoutATableIsServed) {
  ASSERT_TRUE(client.change({{Setting::header_table_size, 0}}));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client.responds(client.get("/")));
  EXPECT_EQ(client.violation(), "");
}

TEST_F(Compression, AClientWithAGreatTableIsServed) {
  ASSERT_TRUE(client.change({{Setting::header_table_size, 0xffffffff}}));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client.responds(client.get("/")));
  EXPECT_EQ(client.violation(), "");
}

// Errors: all are COMPRESSION_ERROR, of the connection ------------------------------------------------------

struct BadBlock {
  const char* name;
  std::string block;
};
void PrintTo(const BadBlock& b, std::ostream* out) {
  *out << b.name;
}

class ABlockWith : public Http2, public ::testing::WithParamInterface<BadBlock> {};

TEST_P(ABlockWith, IsACompressionError) {
  client.send(headers(1, GetParam().block));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
  EXPECT_TRUE(nothing_forwarded());
}

const std::string x_test = "\x85\xf2\xb2\x4a\x84\xff";  // "x-test" in Huffman code

const std::vector<BadBlock> bad_blocks{
    // 2.3.3
    {"Index0", shortest("\x80")},
    {"AnIndexBeyondTheStaticTable", shortest(indexed(newest))},
    {"AnIndexFarBeyondTheTables", shortest(indexed(100000))},
    {"ANameIndexBeyondTheTables", shortest(literal(70, "v"))},
    {"AnIncrementalNameIndexBeyondTheTables", shortest(incremental(70, "v"))},
    // 4.2: size updates stand at the beginning, and obey SETTINGS_HEADER_TABLE_SIZE.
    {"ASizeUpdateAtTheEnd", shortest(size_update(100))},
    {"ASizeUpdateInTheMiddle", indexed(get) + size_update(100) + indexed(http) + indexed(root)},
    {"ASizeUpdateBeyondTheSetting", size_update(4097) + shortest()},
    {"AHugeSizeUpdate", size_update(0xffffffff) + shortest()},
    // 5.1
    {"AnIntegerThatOverflows", shortest("\xff" + std::string(10, '\xff') + "\x7f")},
    {"AnIntegerWithoutEnd", shortest("\xff" + std::string(100, '\x80') + bytes("\0"))},
    {"AnIntegerCutShort", shortest("\xff\x80")},
    {"ALengthThatOverflows", shortest(bytes("\0\x7f") + std::string(10, '\xff') + "\x01")},
    // 5.2
    {"HuffmanPaddingOfMoreThanSevenBits", shortest(bytes("\0") + x_test + "\x84\x49\x50\x9f\xff")},
    {"HuffmanPaddingOfZeros", shortest(bytes("\0") + x_test + "\x83\x49\x50\x90")},
    {"TheHuffmanEndOfString", shortest(bytes("\0") + x_test + "\x84\xff\xff\xff\xff")},
    {"AHuffmanEndOfStringBetweenLetters",
     shortest(bytes("\0") + x_test + "\x87\x49\x50\x9f\xff\xff\xff\xf2")},
    // Blocks that end too early
    {"ANameCutShort", shortest(bytes("\0\x09") + "x-")},
    {"AValueCutShort", shortest(bytes("\0") + hpack::text("x-test") + "\x09" + "v")},
    {"AFieldWithoutAValue", shortest(bytes("\0") + hpack::text("x-test"))},
    {"ALiteralOfOneByte", shortest("\x40")},
};

INSTANTIATE_TEST_SUITE_P(Compression, ABlockWith, ::testing::ValuesIn(bad_blocks),
                         [](const auto& info) { return info.param.name; });

// 4.3: trailers are blocks like any.
TEST_F(Compression, ABadBlockInTrailersIsACompressionError) {
  client.send(headers(1, post_block("/"), end_headers) + headers(1, indexed(newest + 8)));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
}

TEST_F(Compression, ABadBlockInARefusedRequestIsACompressionErrorToo) {
  client.send(headers(1, shortest(literal("Upper", "x") + "\x80")));
  EXPECT_TRUE(client.ends_with(Error::compression_error));
  EXPECT_TRUE(nothing_forwarded());
}

}  // namespace
}  // namespace remora::test::h2
