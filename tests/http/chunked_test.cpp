#include "http/h1/chunked.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using Got = ChunkDecoder::Got;

/// Feeds `text` in pieces cut at `cut`; the decoded body, or "bad".
std::string decode(const std::string& text, std::size_t cut, std::size_t* used = nullptr,
                   std::string* trailers = nullptr, bool padded = false) {
  ChunkDecoder d;
  d.reset(padded);
  std::string body;
  std::size_t at = 0;
  for (const std::size_t end : {cut, text.size()}) {
    for (;;) {
      const auto step = d.step(std::string_view(text).substr(at, end - at));
      at += step.skip;
      if (step.got == Got::bad) return "bad";
      if (step.got == Got::done) {
        if (used != nullptr) *used = at;
        if (trailers != nullptr)
          for (const Field& f : d.trailers())
            trailers->append(f.name).append("=").append(f.value).append(";");
        return body;
      }
      if (step.got == Got::need_more) break;
      body.append(text, at, step.size);
      at += step.size;
    }
  }
  return "unfinished";
}

TEST(ChunkDecoder, DecodesWhateverTheCuts) {
  const std::string text =
      "5;a=\"b\\\"c\"\r\nhello\r\n1\r\n \r\n0A\r\n0123456789\r\n000\r\nX-Sum: 1 \r\nY:\r\n\r\nnext";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::size_t used = 0;
    std::string trailers;
    ASSERT_EQ(decode(text, cut, &used, &trailers), "hello 0123456789") << cut;
    ASSERT_EQ(used, text.size() - 4);
    ASSERT_EQ(trailers, "X-Sum=1;Y=;");
  }
}

TEST(ChunkDecoder, RefusesWhateverTheCuts) {
  for (const std::string text :
       {"\r\n", "g\r\n", "5 \r\n", "5\n", "5\rx", "1\r\nab", "1\r\na\n", "0\r\nX\r\n\r\n",
        "0\r\nHost: x\r\n\r\n", "0\r\n x\r\n\r\n", "0\r\nA: b\n\r\n", "1234567890abcdef\r\n"})
    for (std::size_t cut = 0; cut <= text.size(); ++cut) ASSERT_EQ(decode(text, cut), "bad") << text << cut;
}

// iipc/jwarc #33, akka/akka-http #1819, Apache bug 41364: `D61 \r\n` of old Tomcats. Requests stay refused.
TEST(ChunkDecoder, TakesPaddedSizesOnlyWhereItMay) {
  for (const std::string text :
       {"5  \r\nhello\r\n0   \r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n", "5 \t \r\nhello\r\n0 \r\n\r\n",
        "5 ;a=b\r\nhello\r\n0 ;c\r\n\r\n", "5 ; a = \"x;y\" \r\nhello\r\n0;a \r\n\r\n",
        "5;a=b  \r\nhello\r\n0\r\n\r\n", "00005     \r\nhello\r\n0000     \r\nX-Sum: 1\r\n\r\n"})
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      ASSERT_EQ(decode(text, cut, nullptr, nullptr, true), "hello") << text << cut;
      if (text.starts_with("5 ") || text.starts_with("5\t") || text.starts_with("00005 ")) {
        ASSERT_EQ(decode(text, cut), "bad") << text << cut;
      }
    }
  for (const std::string text :
       {" 5\r\nhello\r\n0\r\n\r\n", "\t5\r\n", "5 0\r\n", "5 a\r\n", "5 \n", "5 \rx", "5\v\r\n", "5 \f\r\n",
        " \r\n", "0x5\r\n", "+5\r\n", "5\n", "5\r\nhello \r\n", "5\r\nhello\r\n 0\r\n\r\n"})
    for (std::size_t cut = 0; cut <= text.size(); ++cut)
      ASSERT_EQ(decode(text, cut, nullptr, nullptr, true), "bad") << text << cut;
  const std::string padding(ChunkDecoder::max_extension_bytes + 1, ' ');
  EXPECT_EQ(decode("5" + padding + "\r\nhello\r\n0\r\n\r\n", 1, nullptr, nullptr, true), "bad");
}

// RFC 9110 6.5.1: a field that may not be a trailer is ignored; the answer is complete without it.
TEST(ChunkDecoder, DropsForbiddenTrailers) {
  for (const std::string line :
       {"Set-Cookie: a=b", "Content-Type: a", "Content-Length: 5", "Transfer-Encoding: chunked",
        "Connection: close", "Host: x", "Trailer: x", "Keep-Alive: 1", "Upgrade: x", "TE: x", "Expect: x",
        "Cookie: a", "Proxy-Authorization: x", "Max-Forwards: 1", "Proxy-Connection: x"}) {
    const std::string text = "5\r\nhello\r\n0\r\nX-Sum: 1\r\n" + line + "\r\nY: 2\r\n\r\n";
    const bool framing =
        line.starts_with("Content-L") || line.starts_with("Transfer") || line.starts_with("Host");
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      std::string trailers;
      ASSERT_EQ(decode(text, cut, nullptr, &trailers, true), "hello") << line << cut;
      ASSERT_EQ(trailers, "X-Sum=1;Y=2;") << line;
    }
    std::string trailers;
    ASSERT_EQ(decode(text, 0, nullptr, &trailers), framing ? "bad" : "hello") << line;
    if (!framing) {
      ASSERT_EQ(trailers, "X-Sum=1;Y=2;") << line;
    }
  }
  ASSERT_EQ(decode("0\r\nSet-Cookie: a=b\r\nnonsense\r\n\r\n", 0, nullptr, nullptr, true), "bad");
}

TEST(ChunkDecoder, StaysBad) {
  ChunkDecoder d;
  EXPECT_EQ(d.step("x").got, Got::bad);
  EXPECT_EQ(d.step("5\r\nhello").got, Got::bad);
  EXPECT_EQ(d.step("").got, Got::bad);
}

}  // namespace
}  // namespace remora
