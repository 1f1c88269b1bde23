// The rules for heads, named by RFC section, on heads that no parser made: those of HTTP/1 and HTTP/2.

#include "http/validate.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "http/h1/grammar.h"

namespace remora {
namespace {

using Length = BodyLength::Kind;
using Fields = std::vector<std::pair<std::string, std::string>>;

/// What a codec would have made of a request.
struct Request {
  Version version = Version::http11;
  std::string method = "GET", target = "/";
  Fields fields{};
  std::string authority{};  // HTTP/2
  Length body = Length::none;
};

class Rules : public ::testing::Test {
 protected:
  Verdict request(Request r) {
    given_ = std::move(r);
    head_ = {};
    head_.version = given_.version;
    head_.method_text = given_.method;
    head_.target = given_.target;
    head_.host = given_.authority;
    head_.body.kind = given_.body;
    fill(given_.fields, head_);
    return validate_request(head_, max_target, facts_);
  }
  std::uint16_t http11(Fields fields, const char* method = "GET", const char* target = "/") {
    return request({Version::http11, method, target, std::move(fields)}).code;
  }
  std::uint16_t http2(Fields fields, std::string authority = "a", Length body = Length::none) {
    return request({Version::http2, "POST", "/", std::move(fields), std::move(authority), body}).code;
  }
  Verdict response(Version version, std::uint16_t status, Fields fields, Method asked = Method::get,
                   Length body = Length::unknown) {
    given_.fields = std::move(fields);
    answer_ = {};
    answer_.version = version;
    answer_.status = status;
    answer_.body.kind = body;
    fill(given_.fields, answer_);
    return validate_response(answer_, asked, facts_);
  }

  static constexpr std::size_t max_target = 100;
  Request given_;
  RequestHead head_;
  ResponseHead answer_;
  ConnectionTraits facts_;

 private:
  static void fill(const Fields& fields, Head& head) {
    head.fields.clear();
    for (const auto& [name, value] : fields) head.fields.push_back({name, value, known_field(name)});
  }
};

TEST_F(Rules, Rfc9112Section3_2AnHttp11RequestHasExactlyOneHost) {
  EXPECT_EQ(http11({}), 400);
  EXPECT_EQ(http11({{"Host", "a"}, {"Host", "a"}}), 400);
  EXPECT_EQ(http11({{"Host", "a"}}), 0);
  EXPECT_EQ(head_.host, "a");
  EXPECT_EQ(http11({{"Host", ""}}), 0);  // a target without an authority
  for (const char* bad :
       {"a/b", "a@b", "a,b", "a:x", "a:65536", "[::1", "[::1]x", "a..b", ".a", "a%41", "a b"})
    EXPECT_EQ(http11({{"Host", bad}}), 400) << bad;
  EXPECT_EQ(request({Version::http10}).code, 0);
}

TEST_F(Rules, Rfc9112Section3_2_2AnAbsoluteTargetNamesTheHost) {
  EXPECT_EQ(http11({{"Host", "a"}}, "GET", "http://a:80/x?y"), 0);
  EXPECT_EQ(head_.path, "/x");
  EXPECT_EQ(head_.query, "y");
  EXPECT_EQ(http11({{"Host", "b"}}, "GET", "http://a/x"), 400);
  EXPECT_EQ(request({Version::http10, "GET", "http://a/x"}).code, 0);
  EXPECT_EQ(head_.host, "a");
  EXPECT_EQ(request({Version::http10, "GET", "http://a,b/x"}).code, 400);
}

TEST_F(Rules, Rfc9112Section6_1TransferEncodingIsOneChunkedAndAlone) {
  EXPECT_EQ(http11({{"Host", "a"}, {"Transfer-Encoding", "chunked"}}), 0);
  EXPECT_EQ(head_.body.kind, Length::unknown);
  EXPECT_TRUE(facts_.chunked);
  EXPECT_EQ(http11({{"Host", "a"}, {"Transfer-Encoding", "gzip"}}), 501);
  EXPECT_EQ(http11({{"Host", "a"}, {"Transfer-Encoding", "gzip, chunked"}}), 400);
  EXPECT_EQ(http11({{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}), 400);
  EXPECT_EQ(http11({{"Host", "a"}, {"Transfer-Encoding", "gzip"}, {"Content-Length", "1"}}), 400);
  EXPECT_EQ(http11({{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Content-Length", "1"}}), 400);
  EXPECT_EQ(request({Version::http10, "GET", "/", {{"Transfer-Encoding", "chunked"}}}).code, 400);
}

TEST_F(Rules, Rfc9110Section8_6ContentLengthIsOneNumber) {
  EXPECT_EQ(http11({{"Host", "a"}, {"Content-Length", "7"}}), 0);
  EXPECT_EQ(head_.body.kind, Length::known);
  EXPECT_EQ(head_.body.bytes, 7U);
  EXPECT_EQ(http11({{"Host", "a"}, {"Content-Length", "7"}, {"Content-Length", "7"}}), 400);
  for (const char* bad :
       {"", "+7", "-7", "7, 7", "0x7", "7 7", "9223372036854775807", "99999999999999999999"}) {
    EXPECT_EQ(http11({{"Host", "a"}, {"Content-Length", bad}}), 400) << bad;
    EXPECT_EQ(http2({{"content-length", bad}}, "a", Length::unknown), 400) << bad;
    EXPECT_EQ(response(Version::http11, 200, {{"Content-Length", bad}}).code, 502) << bad;
  }
}

TEST_F(Rules, Rfc9110Section7_6_1ConnectionOptionsAreFewTokens) {
  EXPECT_EQ(http11({{"Host", "a"}, {"Connection", "close, x-y"}}), 0);
  EXPECT_EQ(http11({{"Host", "a"}, {"Connection", "x y"}}), 400);
  EXPECT_EQ(http11({{"Host", "a"}, {"Connection", std::string(31, ',')}}), 0);
  EXPECT_EQ(http11({{"Host", "a"}, {"Connection", std::string(32, ',')}}), 400);
}

TEST_F(Rules, Rfc9112Section9_3PersistenceFollowsTheVersionAndTheOptions) {
  struct Row {
    Version version;
    const char* option;
    bool keep_alive;
  };
  for (const Row& row :
       {Row{Version::http11, "x", true}, Row{Version::http11, "Close", false},
        Row{Version::http11, "keep-alive, close", false}, Row{Version::http10, "x", false},
        Row{Version::http10, "Keep-Alive", true}, Row{Version::http10, "keep-alive, close", false}}) {
    EXPECT_EQ(request({row.version, "GET", "/", {{"Host", "a"}, {"Connection", row.option}}}).code, 0);
    EXPECT_EQ(facts_.keep_alive, row.keep_alive) << row.option;
    response(row.version, 200, {{"Content-Length", "0"}, {"Connection", row.option}});
    EXPECT_EQ(facts_.keep_alive, row.keep_alive) << row.option;
  }
}

TEST_F(Rules, Rfc9110Section7_8UpgradeNeedsItsConnectionOption) {
  EXPECT_EQ(http11({{"Host", "a"}, {"Upgrade", "websocket"}, {"Connection", "Upgrade"}}), 0);
  EXPECT_TRUE(head_.tunnel);
  EXPECT_EQ(http11({{"Host", "a"}, {"Upgrade", "websocket"}}), 0);
  EXPECT_FALSE(head_.tunnel);
  EXPECT_EQ(request({Version::http10, "GET", "/", {{"Upgrade", "x"}, {"Connection", "upgrade"}}}).code, 0);
  EXPECT_FALSE(head_.tunnel);
}

TEST_F(Rules, Rfc9110Section10_1_1OnlyOneExpectationIsKnown) {
  EXPECT_EQ(http11({{"Host", "a"}, {"Expect", "100-Continue"}, {"Content-Length", "1"}}), 0);
  EXPECT_TRUE(head_.expect_continue);
  EXPECT_EQ(http11({{"Host", "a"}, {"Expect", "100-continue"}}), 0);
  EXPECT_FALSE(head_.expect_continue) << "without a body there is nothing to wait for";
  EXPECT_EQ(http11({{"Host", "a"}, {"Expect", "200-ok"}}), 417);
  EXPECT_EQ(http2({{"expect", "100-continue"}}, "a", Length::unknown), 0);
  EXPECT_TRUE(head_.expect_continue);
  EXPECT_EQ(
      request({Version::http10, "GET", "/", {{"Expect", "100-continue"}, {"Content-Length", "1"}}}).code, 0);
  EXPECT_FALSE(head_.expect_continue);
}

TEST_F(Rules, Rfc9110Section9MethodsThatNoProxyOfThisKindServesAreRefused) {
  EXPECT_EQ(http11({{"Host", "a:1"}}, "CONNECT", "a:1"), 501);
  EXPECT_EQ(http11({{"Host", "a"}}, "TRACE"), 501);
  EXPECT_EQ(http11({{"Host", "a"}}, std::string(33, 'A').c_str()), 501);
  EXPECT_EQ(http11({{"Host", "a"}}, "OPTIONS", "*"), 0);
  EXPECT_EQ(http11({{"Host", "a"}}, "GET", "*"), 400);
  EXPECT_EQ(http11({{"Host", "a"}}, "GET", ("/" + std::string(max_target, 'x')).c_str()), 414);
}

TEST_F(Rules, Rfc9113Section8_2_2FieldsAboutTheConnectionAreMalformedInHttp2) {
  for (const char* name : {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}) {
    EXPECT_EQ(http2({{name, "x"}}), 400) << name;
    EXPECT_EQ(response(Version::http2, 200, {{name, "x"}}).code, 502) << name;
  }
  EXPECT_EQ(http2({{"te", "trailers"}}), 0);
  EXPECT_EQ(http2({{"te", "trailers, gzip"}}), 400);
  EXPECT_EQ(http11({{"Host", "a"}, {"TE", "trailers, gzip"}}), 0);
}

TEST_F(Rules, Rfc9113Section8_3_1TheAuthorityAndHostAgree) {
  EXPECT_EQ(http2({}), 0);
  EXPECT_EQ(head_.host, "a");
  EXPECT_EQ(http2({{"host", "A"}}), 0);
  EXPECT_EQ(http2({{"host", "b"}}), 400);
  EXPECT_EQ(http2({{"host", "a"}, {"host", "a"}}), 400);
  EXPECT_EQ(http2({{"host", "b"}}, ""), 0);
  EXPECT_EQ(head_.host, "b");
  EXPECT_EQ(http2({}, ""), 400);
  EXPECT_EQ(http2({}, "user@a"), 400);
}

TEST_F(Rules, Rfc9113Section8_3_1APathIsNoUrl) {
  EXPECT_EQ(request({Version::http2, "GET", "/x?y", {}, "a"}).code, 0);
  EXPECT_EQ(head_.query, "y");
  EXPECT_EQ(request({Version::http2, "OPTIONS", "*", {}, "a"}).code, 0);
  for (const char* path : {"http://a/", "x", "", "*"})
    EXPECT_EQ(request({Version::http2, "GET", path, {}, "a"}).code, 400) << path;
}

TEST_F(Rules, Rfc9113Section8_1_1TheLengthAndTheStreamsEndAgree) {
  EXPECT_EQ(http2({{"content-length", "5"}}, "a", Length::unknown), 0);
  EXPECT_EQ(head_.body.kind, Length::known);
  EXPECT_EQ(http2({}, "a", Length::unknown), 0);
  EXPECT_EQ(head_.body.kind, Length::unknown);
  EXPECT_EQ(http2({{"content-length", "5"}}), 400);
  EXPECT_EQ(http2({{"content-length", "0"}}), 0);
  EXPECT_TRUE(head_.body.is_empty());
  EXPECT_EQ(response(Version::http2, 200, {{"content-length", "5"}}, Method::get, Length::none).code, 502);
  EXPECT_EQ(response(Version::http2, 200, {{"content-length", "5"}}, Method::head, Length::none).code, 0);
}

TEST_F(Rules, Rfc9112Section6_3AResponsesBodyEndsByLengthChunksOrTheConnection) {
  EXPECT_EQ(response(Version::http11, 200, {}).code, 0);
  EXPECT_EQ(answer_.body.kind, Length::unknown);
  EXPECT_FALSE(facts_.chunked);
  EXPECT_FALSE(facts_.keep_alive);
  EXPECT_EQ(response(Version::http11, 200, {{"Transfer-Encoding", "chunked"}}).code, 0);
  EXPECT_TRUE(facts_.chunked);
  EXPECT_TRUE(facts_.keep_alive);
  for (const std::uint16_t status : std::vector<std::uint16_t>{100, 204, 304}) {
    EXPECT_EQ(response(Version::http11, status, {{"Transfer-Encoding", "chunked"}}).code, 0);
    EXPECT_EQ(answer_.body.kind, Length::none);
    EXPECT_FALSE(facts_.keep_alive) << "a body may still come";
  }
}

TEST_F(Rules, AnHttp2ResponseThatEndsWithItsHeadHasAKnownEmptyBody) {
  EXPECT_EQ(response(Version::http2, 200, {}, Method::get, Length::none).code, 0);
  EXPECT_EQ(answer_.body.kind, Length::known);
  EXPECT_TRUE(answer_.body.is_empty());
  EXPECT_TRUE(facts_.keep_alive);
  EXPECT_EQ(response(Version::http2, 200, {}).code, 0);
  EXPECT_EQ(answer_.body.kind, Length::unknown);
}

TEST_F(Rules, Rfc9110Section15AStatusHasThreeDigitsAndAKnownClass) {
  for (const std::uint16_t status : std::vector<std::uint16_t>{0, 99, 600, 999})
    EXPECT_EQ(response(Version::http11, status, {}).code, 502) << status;
  EXPECT_EQ(response(Version::http11, 599, {}).code, 0);
}

TEST_F(Rules, Rfc9113Section8_6SwitchingProtocolsIsForHttp11Alone) {
  EXPECT_EQ(response(Version::http11, 101, {{"Upgrade", "websocket"}, {"Connection", "upgrade"}}).code, 0);
  EXPECT_TRUE(answer_.tunnel);
  EXPECT_EQ(response(Version::http2, 101, {}).code, 502);
}

TEST_F(Rules, NothingIsLeftOfTheHeadBefore) {
  const Fields all{{"Host", "a"},
                   {"Upgrade", "x"},
                   {"Connection", "upgrade, close"},
                   {"Expect", "100-continue"},
                   {"Content-Length", "1"},
                   {"Authorization", "NTLM x"}};
  ASSERT_EQ(http11(all), 0);
  ASSERT_TRUE(head_.tunnel && head_.expect_continue && head_.connection_auth && !facts_.keep_alive);
  head_.fields.resize(1);
  ASSERT_FALSE(validate_request(head_, max_target, facts_).refused());
  EXPECT_FALSE(head_.tunnel || head_.expect_continue || head_.connection_auth);
  EXPECT_TRUE(facts_.keep_alive);
  EXPECT_EQ(head_.body.kind, Length::none);
}

TEST(Version, IsNamedAsInViaAndLogs) {
  EXPECT_EQ(to_string(Version::http10), "1.0");
  EXPECT_EQ(to_string(Version::http11), "1.1");
  EXPECT_EQ(to_string(Version::http2), "2.0");
}

}  // namespace
}  // namespace remora
