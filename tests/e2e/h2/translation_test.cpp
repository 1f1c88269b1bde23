// What a client might smuggle past the translation to HTTP/1.1 (RFC 9113 10.3), and what the translation
// makes of an honest request.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

struct Attack {
  const char* name;
  Fields fields;
};
void PrintTo(const Attack& a, std::ostream* out) {
  *out << a.name;
}

class AnAttack : public Http2, public ::testing::WithParamInterface<Attack> {};

TEST_P(AnAttack, IsRefusedAndNotForwarded) {
  client.send(headers(1, block(GetParam().fields)));
  EXPECT_TRUE(client.refuses(1));
  EXPECT_TRUE(nothing_forwarded());
}

Fields field(std::string name, std::string value) {
  return request("/bad", {{std::move(name), std::move(value)}});
}
Fields path(std::string value) {
  return request(value);
}
Fields method(std::string value) {
  return request_of(value, "/bad");
}
Fields authority(std::string value, const Fields& more = {}) {
  return replaced(request("/bad", more), ":authority", {{":authority", std::move(value)}});
}
Fields scheme(std::string value) {
  return replaced(request("/bad"), ":scheme", {{":scheme", std::move(value)}});
}

const std::vector<Attack> attacks{
    // 8.2.1: names
    {"CrInAName", field("x-a\rb", "1")},
    {"LfInAName", field("x-a\nb", "1")},
    {"ALineBreakInAName", field("x-a: 1\r\ntransfer-encoding", "chunked")},
    {"NulInAName", field(bytes("x-a\0b"), "1")},
    {"AColonInAName", field("x-a:b", "1")},
    {"ATransferEncodingBehindAColon", field("transfer-encoding:", "chunked")},
    {"ASpaceInAName", field("x a", "1")},
    {"ASpaceBehindAName", field("transfer-encoding ", "chunked")},
    {"ATabInAName", field("x\ta", "1")},
    {"DelInAName", field("x\x7f", "1")},
    {"ANameBeyondAscii", field("x-\xc3\xa9", "1")},
    {"AQuoteInAName", field("x\"a", "1")},
    {"ASlashInAName", field("x/a", "1")},
    // 8.2.1: values
    {"CrInAValue", field("x-a", "1\r2")},
    {"LfInAValue", field("x-a", "1\n2")},
    {"AnotherFieldInAValue", field("x-a", "1\r\nx-evil: 2")},
    {"AnotherRequestInAValue", field("x-a", "1\r\n\r\nGET /evil HTTP/1.1\r\nHost: test\r\n\r\n")},
    {"NulInAValue", field("x-a", bytes("1\0002"))},
    {"ALineBreakAtTheEndOfAValue", field("x-a", "1\r\n")},
    {"ASpaceBeforeAValue", field("x-a", " 1")},
    {"ASpaceBehindAValue", field("x-a", "1 ")},
    {"ATabBeforeAValue", field("x-a", "\t1")},
    {"ATabBehindAValue", field("x-a", "1\t")},
    {"ALineBreakInACookie", field("cookie", "a=1\r\nx-evil: 2")},
    {"ALineBreakInAContentLength", field("content-length", "0\r\nx-evil: 2")},
    // 8.3.1: :path
    {"APathWithASpace", path("/a b")},
    {"APathWithAnotherVersion", path("/ HTTP/1.1\r\nHost: evil\r\n\r\n")},
    {"APathWithAVersionOnly", path("/ HTTP/1.0")},
    {"CrInAPath", path("/a\rb")},
    {"LfInAPath", path("/a\nb")},
    {"NulInAPath", path(bytes("/a\0b"))},
    {"ATabInAPath", path("/a\tb")},
    {"DelInAPath", path("/a\x7f")},
    {"AFragmentInAPath", path("/a#b")},
    {"AnAbsolutePath", path("http://evil/a")},
    {"APathWithoutASlash", path("a")},
    {"AnAsteriskForAGet", path("*")},
    {"APathThatIsAnAuthority", path("evil:80")},
    // :method
    {"AMethodWithASpace", method("GET /evil")},
    {"AMethodWithALineBreak", method("GET / HTTP/1.1\r\nx:")},
    {"NulInAMethod", method(bytes("GE\0T"))},
    {"AMethodWithAColon", method("GET:")},
    // :scheme
    {"ASchemeWithALineBreak", scheme("http\r\nx: y")},
    {"ASchemeWithASpace", scheme("ht tp")},
    {"ASchemeThatIsAUrl", scheme("http://evil/?")},
    // :authority and Host
    {"AnAuthorityWithALineBreak", authority("test\r\nx-evil: 1")},
    {"AnAuthorityWithASpace", authority("test evil")},
    {"NulInAnAuthority", authority(bytes("test\0"))},
    {"AnAuthorityWithAPath", authority("test/evil")},
    {"AnAuthorityWithUserinfo", authority("user@test")},
    {"AnAuthorityWithAComma", authority("test,evil")},
    {"AnAuthorityWithABadPort", authority("test:80:90")},
    {"AnEmptyAuthority", authority("")},
    {"NeitherAuthorityNorHost", replaced(request("/bad"), ":authority", {})},
    {"AHostThatIsNotTheAuthority", authority("test", {{"host", "evil"}})},
    {"AHostWithAnotherPort", authority("test:80", {{"host", "test:81"}})},
    {"TwoHosts", replaced(request("/bad", {{"host", "test"}, {"host", "evil"}}), ":authority", {})},
    {"AnEmptyHost", replaced(request("/bad", {{"host", ""}}), ":authority", {})},
};

INSTANTIATE_TEST_SUITE_P(Translation, AnAttack, ::testing::ValuesIn(attacks),
                         [](const auto& info) { return info.param.name; });

// 8.5: CONNECT is not offered: 405 or 501, or a stream error; never a tunnel, never a request.
class AConnect : public Http2, public ::testing::WithParamInterface<Attack> {};

TEST_P(AConnect, IsNeverForwarded) {
  client.send(headers(1, block(GetParam().fields), end_headers));
  client.wait([&] { return client.stream(1).over(); });
  EXPECT_TRUE(client.stream(1).reset || client.stream(1).status() >= 400);
  EXPECT_TRUE(nothing_forwarded());
}

INSTANTIATE_TEST_SUITE_P(
    Translation, AConnect,
    ::testing::Values(Attack{"WithAnAuthorityOnly", {{":method", "CONNECT"}, {":authority", "evil:443"}}},
                      Attack{"WithSchemeAndPath", request_of("CONNECT", "/")},
                      Attack{"WithAPath", {{":method", "CONNECT"}, {":authority", "test"}, {":path", "/"}}},
                      Attack{"WithoutAnAuthority", {{":method", "CONNECT"}}}),
    [](const auto& info) { return info.param.name; });

// Honest requests -------------------------------------------------------------------------------------------

class Translation : public Http2 {
 protected:
  /// What the backend received for a GET with these fields.
  Backend::Request forwarded(const Fields& more) {
    EXPECT_TRUE(client.responds(client.get("/x?y=z", more)));
    const auto requests = backend().requests();
    return requests.empty() ? Backend::Request{} : requests.back();
  }
};

TEST_F(Translation, ARequestHasItsLineAndItsHost) {
  const auto r = forwarded({{"accept", "*/*"}});
  EXPECT_EQ(r.line(), "GET /x?y=z HTTP/1.1");
  EXPECT_EQ(r.field("host"), "test");
  EXPECT_EQ(count_of(r.head, "host"), 1);
  EXPECT_EQ(r.field("accept"), "*/*");
  EXPECT_EQ(r.head.find("\n:"), std::string::npos);
}

TEST_F(Translation, ViaNamesTheVersion) {
  EXPECT_EQ(forwarded({}).field("via").substr(0, 3), "2.0");
}

TEST_F(Translation, AHostThatEqualsTheAuthorityIsForwardedOnce) {
  const auto r = forwarded({{"host", "test"}});
  EXPECT_EQ(count_of(r.head, "host"), 1);
}

// 8.2.3
TEST_F(Translation, CookieCrumbsAreJoined) {
  const auto r =
      forwarded({{"cookie", "a=1"}, {"x-between", "1"}, {"cookie", "b=2"}, {"cookie", "c=3; d=4"}});
  EXPECT_EQ(count_of(r.head, "cookie"), 1);
  EXPECT_EQ(r.field("cookie"), "a=1; b=2; c=3; d=4");
}

TEST_F(Translation, RepeatedFieldsStayApartAndInOrder) {
  const auto r = forwarded({{"x-list", "1"}, {"x-list", "2"}, {"x-list", "3"}});
  EXPECT_EQ(r.field("x-list"), "1, 2, 3");
  EXPECT_EQ(count_of(r.head, "x-list"), 3);
}

TEST_F(Translation, BytesBeyondAsciiInAValueAreForwarded) {
  EXPECT_EQ(forwarded({{"x-word", "caf\xc3\xa9"}}).field("x-word"), "caf\xc3\xa9");
}

TEST_F(Translation, FieldsThatStrangersMayNotSendAreNotBelieved) {
  const auto r = forwarded({{"x-forwarded-for", "6.6.6.6"}, {"forwarded", "for=6.6.6.6"}});
  EXPECT_EQ(r.head.find("6.6.6.6"), std::string::npos) << r.head;
  EXPECT_EQ(r.field("x-forwarded-for"), "127.0.0.1");
  EXPECT_EQ(r.field("x-forwarded-proto"), "http");
}

/// The scheme is what the connection is, whatever the client says.
TEST_F(Translation, ASchemeThatTheConnectionIsNotIsNotBelieved) {
  const std::uint32_t id = client.ask(replaced(request("/"), ":scheme", {{":scheme", "https"}}));
  client.wait([&] { return client.stream(id).over(); });
  for (const auto& r : backend().requests()) EXPECT_EQ(r.field("x-forwarded-proto"), "http");
}

TEST_F(Translation, ABodyWithoutALengthIsChunked) {
  client.send(headers(1, post_block("/p"), end_headers) + data(1, "ab") + data(1, "cd", end_stream));
  EXPECT_TRUE(client.responds(1));
  const auto r = backend().requests().at(0);
  EXPECT_EQ(r.body, "abcd");
  EXPECT_EQ(r.field("transfer-encoding"), "chunked");
  EXPECT_EQ(count_of(r.head, "content-length"), 0);
}

TEST_F(Translation, ABodyThatLooksLikeARequestStaysABody) {
  const std::string smuggled = "0\r\n\r\nGET /evil HTTP/1.1\r\nHost: test\r\n\r\n";
  client.send(headers(1, post_block("/p"), end_headers) + data(1, smuggled, end_stream));
  EXPECT_TRUE(client.responds(1));
  EXPECT_EQ(backend().requests().at(0).body, smuggled);
  EXPECT_TRUE(only_forwarded("POST /p\n"));
}

TEST_F(Translation, AGetHasNoFraming) {
  const auto r = forwarded({});
  EXPECT_EQ(count_of(r.head, "transfer-encoding") + count_of(r.head, "content-length"), 0);
}

// Limits of the listener ------------------------------------------------------------------------------------

TEST_F(Translation, TooManyFieldsAreRefused) {
  Fields many;
  for (int i = 0; i < 150; ++i) many.emplace_back("x-" + std::to_string(i), "1");
  EXPECT_TRUE(client.responds(client.get("/bad", many), 431));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(Translation, TooLongATargetIsRefused) {
  client.send(headers_in_parts(1, get_block("/" + std::string(17000, 'a')), max_frame_payload));
  EXPECT_TRUE(client.responds(1, 414));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(Translation, TooLargeAHeadIsRefused) {
  Fields large;
  for (int i = 0; i < 10; ++i) large.emplace_back("x-" + std::to_string(i), std::string(4000, 'v'));
  client.send(headers_in_parts(1, get_block("/bad", large), max_frame_payload));
  EXPECT_TRUE(client.responds(1, 431));
  EXPECT_TRUE(nothing_forwarded());
}

}  // namespace
}  // namespace remora::test::h2
