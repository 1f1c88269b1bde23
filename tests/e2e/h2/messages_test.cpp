// RFC 9113 8.1 to 8.3: requests that are malformed, and those at the edge that are not.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

struct Malformed {
  const char* name;
  Fields fields;
  std::string body = "";  // DATA, if any
};
void PrintTo(const Malformed& m, std::ostream* out) {
  *out << m.name;
}

// 8.1.1: a malformed request is a stream error PROTOCOL_ERROR, perhaps behind a 400; it is never forwarded.
class AMalformedRequest : public Http2, public ::testing::WithParamInterface<Malformed> {};

TEST_P(AMalformedRequest, IsRefusedAndNotForwarded) {
  const bool has_body = !GetParam().body.empty();
  client.send(headers(1, block(GetParam().fields), has_body ? end_headers : end_headers | end_stream));
  if (has_body) client.send(data(1, GetParam().body, end_stream));
  EXPECT_TRUE(client.refuses(1));
  EXPECT_TRUE(nothing_forwarded());
}

Fields with(const Fields& more) {
  return request("/bad", more);
}
Fields but(std::string_view name, const Fields& by) {
  return replaced(request("/bad"), name, by);
}
Fields post_of(const Fields& more) {
  return request_of("POST", "/bad", more);
}

const std::vector<Malformed> malformed{
    // 8.2.1: names
    {"AnUpperCaseName", with({{"X-Upper", "1"}})},
    {"AMixedCaseName", with({{"accepT", "1"}})},
    {"AnEmptyName", with({{"", "1"}})},
    // 8.2.2: connection-specific fields
    {"Connection", with({{"connection", "keep-alive"}})},
    {"KeepAlive", with({{"keep-alive", "timeout=5"}})},
    {"ProxyConnection", with({{"proxy-connection", "keep-alive"}})},
    {"TransferEncoding", post_of({{"transfer-encoding", "chunked"}})},
    {"TransferEncodingIdentity", post_of({{"transfer-encoding", "identity"}})},
    {"Upgrade", with({{"upgrade", "websocket"}})},
    {"UpgradeToH2c", with({{"upgrade", "h2c"}})},
    {"TeOtherThanTrailers", with({{"te", "gzip"}})},
    {"TeWithMoreThanTrailers", with({{"te", "trailers, deflate"}})},
    // 8.3: pseudo-fields
    {"AnUnknownPseudoField", but(":path", {{":path", "/bad"}, {":x", "1"}})},
    {"APseudoFieldOfResponses", but(":path", {{":path", "/bad"}, {":status", "200"}})},
    {"AnUpperCasePseudoField", but(":path", {{":Path", "/bad"}})},
    {"AnEmptyPseudoName", but(":path", {{":path", "/bad"}, {":", "x"}})},
    {"AMethodBehindFields",
     {{":scheme", "http"}, {":authority", "test"}, {":path", "/bad"}, {"x", "y"}, {":method", "GET"}}},
    {"APathBehindFields",
     {{":method", "GET"}, {":scheme", "http"}, {":authority", "test"}, {"x", "y"}, {":path", "/bad"}}},
    {"AnAuthorityBehindFields",
     {{":method", "GET"}, {":scheme", "http"}, {":path", "/bad"}, {"x", "y"}, {":authority", "test"}}},
    {"NoMethod", but(":method", {})},
    {"NoScheme", but(":scheme", {})},
    {"NoPath", but(":path", {})},
    {"NothingAtAll", {}},
    {"OnlyFields", {{"x", "y"}}},
    {"TwoMethods", but(":method", {{":method", "GET"}, {":method", "GET"}})},
    {"TwoSchemes", but(":scheme", {{":scheme", "http"}, {":scheme", "http"}})},
    {"TwoPaths", but(":path", {{":path", "/bad"}, {":path", "/worse"}})},
    {"TwoAuthorities", but(":authority", {{":authority", "test"}, {":authority", "test"}})},
    {"AnEmptyMethod", but(":method", {{":method", ""}})},
    {"AnEmptyScheme", but(":scheme", {{":scheme", ""}})},
    {"AnEmptyPath", but(":path", {{":path", ""}})},
    // 8.1.1, RFC 9110 8.6
    {"AContentLengthWithoutABody", post_of({{"content-length", "3"}})},
    {"TwoContentLengthsThatDiffer", post_of({{"content-length", "5"}, {"content-length", "6"}}), "hello"},
    {"AListOfContentLengthsThatDiffer", post_of({{"content-length", "5, 6"}}), "hello"},
    {"AContentLengthWithASign", post_of({{"content-length", "+5"}}), "hello"},
    {"ANegativeContentLength", post_of({{"content-length", "-5"}}), "hello"},
    {"AContentLengthThatIsNoNumber", post_of({{"content-length", "five"}}), "hello"},
    {"AHexadecimalContentLength", post_of({{"content-length", "0x5"}}), "hello"},
    {"AnEmptyContentLength", post_of({{"content-length", ""}}), "hello"},
    {"AContentLengthBeyond64Bits", post_of({{"content-length", "18446744073709551621"}}), "hello"},
};

INSTANTIATE_TEST_SUITE_P(Messages, AMalformedRequest, ::testing::ValuesIn(malformed),
                         [](const auto& info) { return info.param.name; });

// 8.1.1: DATA beyond the Content-Length. The request is under way already: it must not end well.
using ContentLengths = Http2;

TEST_F(ContentLengths, DataBeyondItIsMalformed) {
  client.send(headers(1, post_block("/bad", {{"content-length", "3"}}), end_headers) +
              data(1, "hello", end_stream));
  EXPECT_TRUE(client.refuses(1));
  EXPECT_TRUE(client.alive());
  for (const auto& r : backend().requests()) EXPECT_EQ(r.body.find("hello"), std::string::npos);
}

TEST_F(ContentLengths, DataShortOfItIsMalformed) {
  client.send(headers(1, post_block("/bad", {{"content-length", "6"}}), end_headers) +
              data(1, "hello", end_stream));
  EXPECT_TRUE(client.refuses(1));
  EXPECT_TRUE(client.alive());
  for (const auto& r : backend().requests()) EXPECT_EQ(r.body, "");
}

TEST_F(ContentLengths, DataBeyondItInSeveralFramesIsMalformed) {
  client.send(headers(1, post_block("/bad", {{"content-length", "5"}}), end_headers) + data(1, "hel"));
  client.send(data(1, "lo again", end_stream));
  EXPECT_TRUE(client.refuses(1));
  EXPECT_TRUE(client.alive());
}

TEST_F(ContentLengths, TrailersBeforeItIsReachedAreMalformed) {
  client.send(headers(1, post_block("/bad", {{"content-length", "9"}}), end_headers) + data(1, "hello") +
              headers(1, block({{"x-sum", "1"}})));
  EXPECT_TRUE(client.refuses(1));
  EXPECT_TRUE(client.alive());
}

TEST_F(ContentLengths, OneThatFitsIsForwarded) {
  client.send(headers(1, post_block("/good", {{"content-length", "5"}}), end_headers) + data(1, "hel") +
              data(1, "lo", end_stream));
  EXPECT_TRUE(client.responds(1));
  const auto r = backend().requests().at(0);
  EXPECT_EQ(r.body, "hello");
  EXPECT_EQ(r.field("content-length"), "5");
  EXPECT_EQ(r.field("transfer-encoding"), "");
}

TEST_F(ContentLengths, OneOf0WithoutDataIsServed) {
  client.send(headers(1, post_block("/good", {{"content-length", "0"}})));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(ContentLengths, AGetMayHaveABody) {
  client.send(headers(1, get_block("/good", {{"content-length", "2"}}), end_headers) +
              data(1, "ab", end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, "ab");
}

// Well-formed, if unusual ---------------------------------------------------------------------------------

using WellFormed = Http2;

TEST_F(WellFormed, TheOrderOfPseudoFieldsIsFree) {
  EXPECT_TRUE(client.responds(client.ask(
      {{":path", "/"}, {":authority", "test"}, {":scheme", "http"}, {":method", "GET"}, {"x", "y"}})));
}

TEST_F(WellFormed, TeTrailersIsAllowed) {
  EXPECT_TRUE(client.responds(client.get("/", {{"te", "trailers"}})));
}

TEST_F(WellFormed, AFieldWithoutAValueIsForwarded) {
  EXPECT_TRUE(client.responds(client.get("/", {{"x-empty", ""}})));
  EXPECT_EQ(count_of(backend().requests().at(0).head, "x-empty"), 1);
}

TEST_F(WellFormed, HostMayStandInForTheAuthority) {
  EXPECT_TRUE(client.responds(client.ask(replaced(request("/", {{"host", "from-host"}}), ":authority", {}))));
  EXPECT_EQ(backend().requests().at(0).field("Host"), "from-host");
}

TEST_F(WellFormed, OptionsOfTheServerIsForwarded) {
  EXPECT_TRUE(client.responds(client.ask(request_of("OPTIONS", "*"))));
  EXPECT_TRUE(only_forwarded("OPTIONS *\n"));
}

TEST_F(WellFormed, AMethodOfOnesOwnIsForwarded) {
  EXPECT_TRUE(client.responds(client.ask(request_of("PROPFIND", "/"))));
  EXPECT_TRUE(only_forwarded("PROPFIND /\n"));
}

// 8.1: trailers --------------------------------------------------------------------------------------------

class Trailers : public Http2 {
 protected:
  /// A request with a body and this block behind it.
  void send_with_trailers(const std::string& trailers, unsigned flags = end_headers | end_stream) {
    client.send(headers(1, post_block("/p", {{"te", "trailers"}, {"trailer", "x-sum"}}), end_headers) +
                data(1, "body") + headers(1, trailers, flags));
  }
  void expect_refused() {
    EXPECT_TRUE(client.refuses(1));
    EXPECT_TRUE(client.alive());
    for (const auto& r : backend().requests()) EXPECT_EQ(r.trailers, "");
  }
};

TEST_F(Trailers, TheyReachTheBackend) {
  send_with_trailers(block({{"x-sum", "42"}}));
  EXPECT_TRUE(client.responds(1));
  const auto r = backend().requests().at(0);
  EXPECT_EQ(r.body, "body");
  EXPECT_NE(r.trailers.find("42"), std::string::npos) << r.trailers;
}

TEST_F(Trailers, TheyMayFollowTheHeadAtOnce) {
  client.send(headers(1, post_block("/p"), end_headers) + headers(1, block({{"x-sum", "42"}})));
  EXPECT_TRUE(client.responds(1));
}

TEST_F(Trailers, WithoutTheEndOfTheStreamTheyAreMalformed) {
  send_with_trailers(block({{"x-sum", "42"}}), end_headers);
  EXPECT_TRUE(client.resets_or_ends(1, {Error::protocol_error}));
  EXPECT_TRUE(Client(port()).start());
}

TEST_F(Trailers, PseudoFieldsInThemAreMalformed) {
  send_with_trailers(block({{":path", "/evil"}}));
  expect_refused();
}

TEST_F(Trailers, PseudoFieldsOfResponsesInThemAreMalformed) {
  send_with_trailers(block({{"x-sum", "1"}, {":status", "200"}}));
  expect_refused();
}

TEST_F(Trailers, UpperCaseNamesInThemAreMalformed) {
  send_with_trailers(block({{"X-Sum", "1"}}));
  expect_refused();
}

TEST_F(Trailers, ConnectionFieldsInThemAreMalformed) {
  send_with_trailers(block({{"connection", "close"}}));
  expect_refused();
}

TEST_F(Trailers, LineBreaksInThemAreMalformed) {
  send_with_trailers(block({{"x-sum", "1\r\nx-evil: 2"}}));
  expect_refused();
}

TEST_F(Trailers, FramingFieldsInThemNeverReachTheBackend) {
  send_with_trailers(block({{"content-length", "3"}, {"x-sum", "1"}}));
  client.wait([&] { return client.stream(1).over(); });
  EXPECT_TRUE(client.alive());
  for (const auto& r : backend().requests())
    EXPECT_EQ(r.trailers.find("ontent"), std::string::npos) << r.trailers;
}

TEST_F(Trailers, DataBehindThemIsAStreamClosedError) {
  send_with_trailers(block({{"x-sum", "1"}}));
  client.send(data(1, "more", end_stream));
  if (client.sync()) {
    EXPECT_TRUE(client.alive());
  } else {
    EXPECT_TRUE(client.ends_with(Error::stream_closed));
  }
  for (const auto& r : backend().requests()) EXPECT_NE(r.body, "bodymore");
}

}  // namespace
}  // namespace remora::test::h2
