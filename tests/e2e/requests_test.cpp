// Raw requests against the real binary: what is refused (with which status, and never forwarded), and what
// passes. Sources: RFC 9110, RFC 9112; request smuggling as in PortSwigger "HTTP desync attacks" (2019) and
// the list in the description of the head parser (src/http/h1/head.h, src/http/validate.h).

#include <gtest/gtest.h>

#include <mutex>

#include "support/remora.h"

namespace remora::test {
namespace {

struct Case {
  const char* name;
  std::string bytes;
  int status;  // 0: closed without an answer
  bool forwarded = false;
};

std::string repeat(std::string_view s, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += s;
  return out;
}

const std::string host = "Host: a\r\n";

std::vector<Case> cases() {
  const auto with = [](const std::string& fields, const std::string& body = "") {
    return "POST / HTTP/1.1\r\n" + host + fields + "\r\n" + body;
  };
  return {
      // Lines
      {"PlainGet", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"LeadingEmptyLineIsIgnored", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"ThreeLeadingEmptyLines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"ManyLeadingEmptyLines", repeat("\r\n", 9) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"BareLfInHead", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"BareLfAfterField", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
      {"BareLfEndsHead", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"BareCrInValue", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
      {"BareCrInRequestLine", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"CrCrLf", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
      {"FoldedFieldWithSpace", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400},
      {"FoldedFieldWithTab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", 400},
      {"FoldedFirstField", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {"NulInValue", bytes("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), 400},
      {"NulInName", bytes("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"), 400},
      {"ControlInValue", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400},
      {"DelInValue", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n", 400},
      {"TabInValuePasses", "GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n", 200, true},
      {"HighBytesInValuePass", "GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\r\n\r\n", 200, true},
      {"SpaceBeforeColon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"SpaceBeforeColonOfFraming", with("Content-Length : 5\r\n", "hello"), 400},
      {"SpaceInName", "GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400},
      {"EmptyName", "GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", 400},
      {"NoColon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400},
      {"HighByteInName", "GET / HTTP/1.1\r\nHost: a\r\nX\xe9: z\r\n\r\n", 400},
      {"EmptyValuePasses", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", 200, true},
      {"NoSpaceAfterColonPasses", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", 200, true},
      {"OnlyEmptyLinesThenNothing", "\r\n\r\n", 0},

      // Request line
      {"LowerCaseMethodIsAnotherMethod", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"UnknownMethodPasses", "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"LongMethod", repeat("M", 40) + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"MethodWithSlash", "GE/T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"EmptyMethod", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TwoSpaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TwoSpacesBeforeVersion", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TabAsSeparator", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"NoVersion", "GET /\r\nHost: a\r\n\r\n", 400},
      {"NoTarget", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TrailingSpaceAfterVersion", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"Http09", "GET /\r\n\r\n", 400},
      {"Http20Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"Http20", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"Http12", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"Http09Version", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
      {"VersionInLowerCase", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"VersionWithTwoDigits", "GET / HTTP/1.11\r\nHost: a\r\n\r\n", 400},
      {"VersionWithoutDot", "GET / HTTP/11\r\nHost: a\r\n\r\n", 400},
      {"Connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"TlsHelloOnPlainPort", bytes("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400},

      // Targets
      {"TargetWithoutSlash", "GET foo HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"AsteriskForGet", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"AsteriskForOptions", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"AbsoluteTarget", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"AbsoluteTargetOfOtherHost", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"AbsoluteTargetWithDefaultPort", "GET http://a:80/x HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"AbsoluteTargetWithQueryAlone", "GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"AbsoluteTargetInHttp10", "GET http://a/x HTTP/1.0\r\n\r\n", 200, true},
      {"AbsoluteTargetWithUser", "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"AbsoluteTargetOfOtherScheme", "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"AbsoluteTargetWithoutPath", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"FragmentInTarget", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"BrokenEscape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"LonePercent", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"ShortEscape", "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"EscapedNul", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"ControlInTarget", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"HighBytesInTargetPass", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"BrowsersPipesPass", "GET /?a=|&b={} HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"DotSegmentsPass", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"LongTargetPasses", "GET /" + repeat("a", 8000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 200, true},
      {"TargetTooLong", "GET /" + repeat("a", 17000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"TargetTooLongWithoutEnd", "GET /" + repeat("a", 20000), 414},

      // Host
      {"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
      {"NoHostInHttp10Passes", "GET / HTTP/1.0\r\n\r\n", 200, true},
      {"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"TwoHostsInHttp10", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"HostWithSpace", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"HostWithUser", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
      {"HostWithPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"HostWithBadPort", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
      {"HostWithHugePort", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
      {"HostListOfTwo", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
      {"HostWithPortPasses", "GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", 200, true},
      {"HostIpv6Passes", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, true},
      {"HostIpv6Open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
      {"EmptyHostPasses", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 200, true},

      // Content-Length
      {"ContentLength", with("Content-Length: 5\r\n", "hello"), 200, true},
      {"ContentLengthZero", with("Content-Length: 0\r\n"), 200, true},
      {"ContentLengthWithZeros", with("Content-Length: 005\r\n", "hello"), 200, true},
      {"ContentLengthTwiceEqual", with("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
      {"ContentLengthTwiceDiffering", with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400},
      {"ContentLengthList", with("Content-Length: 5, 5\r\n", "hello"), 400},
      {"ContentLengthNegative", with("Content-Length: -5\r\n", "hello"), 400},
      {"ContentLengthPlus", with("Content-Length: +5\r\n", "hello"), 400},
      {"ContentLengthHex", with("Content-Length: 0x5\r\n", "hello"), 400},
      {"ContentLengthDecimal", with("Content-Length: 5.0\r\n", "hello"), 400},
      {"ContentLengthEmpty", with("Content-Length:\r\n"), 400},
      {"ContentLengthOverflow", with("Content-Length: 18446744073709551616\r\n"), 400},
      {"ContentLengthAbsurd", with("Content-Length: 9223372036854775807\r\n"), 400},
      {"ContentLengthWithSpaceInside", with("Content-Length: 5 5\r\n", "hello"), 400},
      {"ContentLengthWithWords", with("Content-Length: five\r\n"), 400},
      {"GetWithBodyPasses", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 200, true},

      // Transfer-Encoding
      {"Chunked", with("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), 200, true},
      {"ChunkedInOtherCase", with("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), 200, true},
      {"ContentLengthThenChunked", with("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"),
       400},
      {"ChunkedThenContentLength", with("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nX"),
       400},
      {"ChunkedTwice", with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400},
      {"ChunkedInTwoFields",
       with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"ChunkedThenIdentity",
       with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400},
      {"GzipChunked", with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400},
      {"ChunkedGzip", with("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400},
      {"Gzip", with("Transfer-Encoding: gzip\r\n", "0\r\n\r\n"), 501},
      {"Identity", with("Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 501},
      {"XChunked", with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
      {"ChunkedWithParameter", with("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 400},
      {"ChunkedBehindComma", with("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 400},
      {"ChunkedBeforeComma", with("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"), 400},
      {"ChunkedQuoted", with("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400},
      {"EmptyTransferEncoding", with("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400},
      {"ChunkedWithVerticalTab",
       with("Transfer-Encoding: \x0b"
            "chunked\r\n",
            "0\r\n\r\n"),
       400},
      {"ChunkedInHttp10", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"SpaceBeforeColonOfTransferEncoding", with("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {"TransferEncodingWithUnderscoreIsAnOrdinaryField",
       with("Transfer_Encoding: chunked\r\nContent-Length: 0\r\n"), 200, true},

      // Chunks
      {"SeveralChunks", with("Transfer-Encoding: chunked\r\n", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), 200,
       true},
      {"ChunkSizeInUpperCase", with("Transfer-Encoding: chunked\r\n", "A\r\n0123456789\r\n0\r\n\r\n"), 200,
       true},
      {"ChunkExtensionPasses", with("Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n"), 200,
       true},
      {"QuotedChunkExtensionPasses",
       with("Transfer-Encoding: chunked\r\n", "5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n"), 200, true},
      {"TrailersPass", with("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), 200,
       true},
      {"ChunkSizeWithZeros", with("Transfer-Encoding: chunked\r\n", "0005\r\nhello\r\n0\r\n\r\n"), 200, true},

      // Limits
      {"HeadTooLarge", "GET / HTTP/1.1\r\nHost: a\r\nX: " + repeat("a", 40000) + "\r\n\r\n", 431},
      {"HeadTooLargeInManyFields",
       "GET / HTTP/1.1\r\nHost: a\r\n" + repeat("X: " + repeat("a", 500) + "\r\n", 90) + "\r\n", 431},
      {"HeadWithoutEnd", "GET / HTTP/1.1\r\nHost: a\r\nX: " + repeat("a", 70000), 431},
      {"TooManyFields", "GET / HTTP/1.1\r\nHost: a\r\n" + repeat("X: a\r\n", 200) + "\r\n", 431},
      {"HundredFieldsPass", "GET / HTTP/1.1\r\nHost: a\r\n" + repeat("X: a\r\n", 99) + "\r\n", 200, true},
      {"LargeFieldPasses", "GET / HTTP/1.1\r\nHost: a\r\nX: " + repeat("a", 30000) + "\r\n\r\n", 200, true},
      {"BodyTooLarge", with("Content-Length: 2000000\r\n"), 413},

      // Expectations
      {"UnknownExpectation", with("Expect: the-impossible\r\nContent-Length: 0\r\n"), 417},
      {"ExpectContinueWithoutBody", with("Expect: 100-continue\r\nContent-Length: 0\r\n"), 200, true},
  };
}

/// One remora and one origin for all cases; the origin answers with the head that it saw.
class RawRequest : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    origin_ = new Origin(answering([](const std::string& head, const std::string& body) {
      const std::lock_guard lock(mutex_);
      seen_.push_back(head + body);
      return ok(head);
    }));
    remora_ = new Remora(simple_config({origin_->address()}, "", "limits: {body_bytes: 1MiB}\n"));
  }
  static void TearDownTestSuite() {
    delete remora_;
    delete origin_;
  }
  static std::vector<std::string> take_seen() {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }
  static inline Origin* origin_;
  static inline Remora* remora_;
  static inline std::mutex mutex_;
  static inline std::vector<std::string> seen_;
};

TEST_P(RawRequest, IsAnsweredAsTheRfcSays) {
  take_seen();
  const Case& c = GetParam();
  Socket s = remora_->connect();
  ASSERT_TRUE(s.send(c.bytes));
  if (c.status == 0) {
    s.shutdown_send();
    EXPECT_EQ(s.receive_all(), "");
  } else {
    const Reply r = s.receive_reply();
    EXPECT_EQ(r.status, c.status);
    EXPECT_TRUE(r.complete);
    if (c.status >= 400) {
      EXPECT_EQ(r.field("Connection"), "close");
      s.shutdown_send();
      EXPECT_TRUE(s.closed_by_peer());  // what follows ambiguous bytes is not read as a request
    }
  }
  EXPECT_EQ(take_seen().size(), c.forwarded ? 1U : 0U);
}

INSTANTIATE_TEST_SUITE_P(Table, RawRequest, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

/// The head is forwarded before the body is known to be good: the backend sees a cut body, never a complete
/// one.
struct BodyCase {
  const char* name;
  std::string body;
};

class BrokenBody : public ::testing::TestWithParam<BodyCase> {};

std::vector<BodyCase> broken_bodies() {
  return {
      {"NoSize", "\r\nhello\r\n0\r\n\r\n"},
      {"SizeIsNoNumber", "x\r\nhello\r\n0\r\n\r\n"},
      {"NegativeSize", "-5\r\nhello\r\n0\r\n\r\n"},
      {"PlusSize", "+5\r\nhello\r\n0\r\n\r\n"},
      {"HexPrefix", "0x5\r\nhello\r\n0\r\n\r\n"},
      {"SpaceBeforeSize", " 5\r\nhello\r\n0\r\n\r\n"},
      {"SpaceAfterSize", "5 \r\nhello\r\n0\r\n\r\n"},
      {"TabAfterSize", "5\t\r\nhello\r\n0\r\n\r\n"},
      {"HugeSize", "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"},
      {"SizeThatOverflows", "10000000000000005\r\nhello\r\n0\r\n\r\n"},
      {"EndlessZeros", repeat("0", 100) + "5\r\nhello\r\n0\r\n\r\n"},
      {"BareLfAfterSize", "5\nhello\r\n0\r\n\r\n"},
      {"BareCrAfterSize", "5\rhello\r\n0\r\n\r\n"},
      {"NoCrLfAfterData", "5\r\nhello0\r\n\r\n"},
      {"LfAfterData", "5\r\nhello\n0\r\n\r\n"},
      {"DataLongerThanSize", "3\r\nhello\r\n0\r\n\r\n"},
      {"ControlInExtension", "5;a=\x01\r\nhello\r\n0\r\n\r\n"},
      {"LfInQuotedExtension", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"},
      {"CrInQuotedExtension", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"},
      {"EndlessExtension", "5;" + repeat("a", 5000) + "\r\nhello\r\n0\r\n\r\n"},
      {"TrailerWithContentLength", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"},
      {"TrailerWithTransferEncoding", "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"TrailerWithHost", "5\r\nhello\r\n0\r\nHost: b\r\n\r\n"},
      {"FoldedTrailer", "5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"},
      {"TrailerWithoutColon", "5\r\nhello\r\n0\r\nnonsense\r\n\r\n"},
      {"TrailerWithBareLf", "5\r\nhello\r\n0\r\nX: a\n\r\n"},
      {"EndlessTrailers", "5\r\nhello\r\n0\r\n" + repeat("X: a\r\n", 3000) + "\r\n"},
      {"ControlInTrailer", "5\r\nhello\r\n0\r\nX: a\x01\r\n\r\n"},
  };
}

TEST_P(BrokenBody, IsRefusedAndTheBackendNeverSeesItsEnd) {
  std::mutex mutex;
  std::string seen;
  Origin origin([&](Socket& s) {
    const std::string all = s.receive_all();
    const std::lock_guard lock(mutex);
    seen += all;
  });
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + GetParam().body);
  const Reply r = s.receive_reply();
  EXPECT_EQ(r.status, 400);
  s.shutdown_send();
  EXPECT_TRUE(s.closed_by_peer());
  s.close();
  remora.stop();
  origin.stop();
  EXPECT_EQ(seen.find("\r\n0\r\n"), std::string::npos) << seen;
}

INSTANTIATE_TEST_SUITE_P(Table, BrokenBody, ::testing::ValuesIn(broken_bodies()),
                         [](const auto& info) { return std::string(info.param.name); });

// Several requests on one connection ------------------------------------------------------------------

TEST_F(RawRequest, PipelinedRequestsAreAnsweredInOrder) {
  Socket s = remora_->connect();
  std::string all;
  for (int i = 0; i < 20; ++i) all += get("/" + std::to_string(i));
  s.send(all);
  for (int i = 0; i < 20; ++i) {
    const Reply r = s.receive_reply();
    ASSERT_EQ(r.status, 200);
    EXPECT_EQ(r.body.substr(0, r.body.find(" HTTP")), "GET /" + std::to_string(i));
  }
}

TEST_F(RawRequest, ARequestComesByteByByte) {
  Socket s = remora_->connect();
  for (const char c : std::string(
           "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    ASSERT_TRUE(s.send(std::string_view(&c, 1)));
  EXPECT_EQ(s.receive_reply().status, 200);
}

TEST_F(RawRequest, BytesBehindABodyAreTheNextRequest) {
  Socket s = remora_->connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(s.receive_reply().status, 200);
  EXPECT_EQ(s.receive_reply().body.substr(0, 9), "GET /next");
}

TEST_F(RawRequest, Http10ClosesUnlessAskedNotTo) {
  Socket s = remora_->connect();
  s.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(s.receive_reply().field("Connection"), "close");
  EXPECT_TRUE(s.closed_by_peer());
  Socket k = remora_->connect();
  k.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(k.receive_reply().field("Connection"), "keep-alive");
  k.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(k.receive_reply().status, 200);
}

TEST_F(RawRequest, ConnectionCloseIsObeyed) {
  Socket s = remora_->connect();
  s.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(s.receive_reply().field("Connection"), "close");
  EXPECT_TRUE(s.closed_by_peer());
}

TEST_F(RawRequest, AChunkedBodyOverTheLimitIsCut) {
  Socket s = remora_->connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + repeat("x", 65536) + "\r\n";
  for (int i = 0; i < 20; ++i)
    if (!s.send(chunk)) break;
  EXPECT_EQ(s.receive_reply().status, 413);
}

TEST_F(RawRequest, ErrorsSpeakHtmlOrJson) {
  const Reply html = remora_->ask("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(html.field("Content-Type"), "text/html; charset=utf-8");
  Origin dead([](Socket&) {});
  const std::string address = dead.address();
  dead.stop();
  Remora alone(simple_config({address}));
  const Reply json = alone.ask(get("/", "Accept: application/json\r\n"));
  EXPECT_EQ(json.status, 502);
  EXPECT_EQ(json.field("Content-Type"), "application/json");
  EXPECT_EQ(json.body, "{\"status\":502,\"error\":\"Bad Gateway\"}\n");
  EXPECT_EQ(alone.ask(get("/", "Accept: text/html, application/json\r\n")).field("Content-Type"),
            "text/html; charset=utf-8");
}

}  // namespace
}  // namespace remora::test
