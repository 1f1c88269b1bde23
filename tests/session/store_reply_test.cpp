// The RESP and meta protocol readers: every split of the input, malformed input, bounds.

#include "session/store_reply.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using Make = std::unique_ptr<ReplyReader> (*)();
using Kind = Reply::Kind;

/// As text, to compare with: kind and content.
std::string shown(const Reply& r) {
  switch (r.kind) {
    case Kind::nothing:
      return "nothing";
    case Kind::status:
    case Kind::text:
    case Kind::error: {
      std::string out = r.is(Kind::status) ? "status " : r.is(Kind::text) ? "text " : "error ";
      out += r.text;
      for (const Reply& value : r.list) out += "|" + value.text;
      return out;
    }
    case Kind::number:
      return "number " + std::to_string(r.number);
    case Kind::list:
      break;
  }
  std::string out = "[";
  for (const Reply& element : r.list) out += shown(element) + ",";
  return out + "]";
}

std::vector<std::string> all(ReplyReader& reader) {
  std::vector<std::string> out;
  while (const auto reply = reader.next()) out.push_back(shown(*reply));
  return out;
}

/// The replies in `bytes`, which arrive in two pieces; and once one by one.
void expect_in_every_split(Make make, const std::string& bytes, const std::vector<std::string>& expected) {
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const auto reader = make();
    reader->feed(bytes.substr(0, cut));
    std::vector<std::string> found = all(*reader);
    reader->feed(bytes.substr(cut));
    for (std::string& reply : all(*reader)) found.push_back(std::move(reply));
    EXPECT_EQ(found, expected) << cut;
    EXPECT_FALSE(reader->broken()) << cut;
  }
  const auto reader = make();
  std::vector<std::string> found;
  for (const char byte : bytes) {
    reader->feed(std::string_view(&byte, 1));
    for (std::string& reply : all(*reader)) found.push_back(std::move(reply));
  }
  EXPECT_EQ(found, expected);
}

/// From there on, it reads nothing more.
void expect_broken(Make make, const std::string& bytes) {
  const auto reader = make();
  reader->feed(bytes);
  EXPECT_FALSE(reader->next()) << bytes.substr(0, 40);
  EXPECT_TRUE(reader->broken()) << bytes.substr(0, 40);
  reader->feed("+OK\r\nMN\r\n");
  EXPECT_FALSE(reader->next()) << bytes.substr(0, 40);
}

TEST(RespReplies, AreReadInEverySplit) {
  expect_in_every_split(make_resp_reader,
                        "+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n*-1\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n*0\r\n"
                        "*3\r\n:1\r\n$3\r\nabc\r\n*2\r\n+x\r\n$-1\r\n:7\r\n",
                        {"status OK", "error ERR no", "number -42", "nothing", "nothing", "text ",
                         "text \r\n\r\n", "[]", "[number 1,text abc,[status x,nothing,],]", "number 7"});
}

TEST(RespReplies, OfBytesThatAreNoneBreakTheReader) {
  for (const char* const bytes : {"HTTP/1.1 200 OK\r\n", "OK\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", ":1x\r\n",
                                  "$99999999999999999999\r\n", "*1\r\n?\r\n", "\r\n"})
    expect_broken(make_resp_reader, bytes);
}

// hiredis since 1.0 reads RESP 3 too, which nobody asks for; its doubles and booleans have no object of ours.
TEST(RespReplies, OfRespThreeAreNotTakenForObjects) {
  for (const char* const bytes : {",3.14\r\n", "#t\r\n", "*1\r\n,3.14\r\n", "*1\r\n#f\r\n", "_\r\n"}) {
    const auto reader = make_resp_reader();
    reader->feed(bytes);
    while (const auto reply = reader->next()) EXPECT_LE(reply->list.size(), 1U);
    reader->feed("+OK\r\n");
    while (reader->next()) {
    }
  }
}

TEST(RespReplies, OfTooManyElementsAreRefusedBeforeTheyArrive) {
  expect_broken(make_resp_reader, "*16385\r\n");
  expect_broken(make_resp_reader, "*1\r\n*2000000000\r\n");
  const auto reader = make_resp_reader();
  std::string many = "*16384\r\n";
  for (int i = 0; i < 16384; ++i) many += ":1\r\n";
  reader->feed(many);
  const auto reply = reader->next();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->list.size(), 16384U);
}

TEST(RespReplies, NestedTooDeepAreRefused) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "*1\r\n";
  expect_broken(make_resp_reader, deep + ":1\r\n");
}

TEST(RespReplies, OfALineWithoutAnEndBreakTheReader) {
  expect_broken(make_resp_reader, "+" + std::string(5000, 'x'));
  const auto reader = make_resp_reader();
  reader->feed("+" + std::string(4000, 'x'));
  EXPECT_FALSE(reader->next());
  EXPECT_FALSE(reader->broken());
  reader->feed("\r\n");
  EXPECT_TRUE(reader->next());
}

TEST(RespReplies, LargerThanTheBoundBreakTheReader) {
  const auto reader = make_resp_reader();
  reader->feed("$8388608\r\n");
  const std::string some(1U << 20, 'x');
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(reader->next());
    reader->feed(some);
  }
  EXPECT_TRUE(reader->broken());
}

TEST(RespReplies, OfAnyNumberPassWhileEachIsRead) {
  const auto reader = make_resp_reader();
  const std::string value = "$1048576\r\n" + std::string(1U << 20, 'x') + "\r\n";
  for (int i = 0; i < 20; ++i) {
    reader->feed(value);
    ASSERT_TRUE(reader->next()) << i;
  }
}

TEST(RespCommands, AreArraysOfBulkStrings) {
  std::string out = "before";
  append_resp(out, {"GET", "", std::string_view("a\r\n\0", 4)});
  EXPECT_EQ(out, std::string("before*3\r\n$3\r\nGET\r\n$0\r\n\r\n$4\r\na\r\n\0\r\n", 35));
}

TEST(MetaReplies, AreReadInEverySplit) {
  expect_in_every_split(make_meta_reader,
                        "MN\r\nEN\r\nHD c5\r\nVA 3 c17\r\nabc\r\nVA 0 c1\r\n\r\nVA 6 c2 s6\r\na\r\nEN\r\r\n"
                        "ERROR\r\nCLIENT_ERROR bad\r\nSERVER_ERROR out of memory\r\nNS\r\n",
                        {"status MN", "status EN", "status HD c5", "status VA 3 c17|abc", "status VA 0 c1|",
                         "status VA 6 c2 s6|a\r\nEN\r", "error ERROR", "error CLIENT_ERROR bad",
                         "error SERVER_ERROR out of memory", "status NS"});
}

TEST(MetaReplies, OfBytesThatAreNoneBreakTheReader) {
  for (const std::string& bytes :
       {std::string("\r\n"), std::string("x\r\n"), std::string("VA x c1\r\n"), std::string("VA -1 c1\r\n"),
        std::string("VA 9000000 c1\r\n"), std::string("VA 3 c1\r\nabcdef\r\n"), std::string(3000, 'x'),
        std::string(3000, 'x') + "\r\n"})
    expect_broken(make_meta_reader, bytes);
}

TEST(MetaReplies, LargerThanTheBoundBreakTheReader) {
  const auto reader = make_meta_reader();
  reader->feed("VA 8388608 c1\r\n");
  const std::string some(1U << 20, 'x');
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(reader->next());
    reader->feed(some);
  }
  EXPECT_TRUE(reader->broken());
}

}  // namespace
}  // namespace remora
