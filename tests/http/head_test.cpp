// The grammar of heads and the rules of framing, as values. The same bytes over sockets:
// e2e/requests_test.cpp.

#include "http/h1/head.h"

#include <gtest/gtest.h>

#include "http/h1/grammar.h"
#include "http/h1/write.h"
#include "http/target.h"

namespace remora {
namespace {

using Status = Parsed::Status;
const config::ListenerLimits limits;

RequestHead parsed(std::string_view text) {
  RequestHead head;
  EXPECT_EQ(parse_request_head(text, limits, head).status, Status::ok) << text;
  return head;
}

TEST(HeadScanner, FindsTheEndAndTheFieldsWhateverTheCuts) {
  const std::string text = "\r\nGET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest";
  const std::size_t end = text.find("rest");
  for (std::size_t a = 0; a <= end; ++a) {
    for (std::size_t b = a; b <= end; ++b) {
      HeadScanner scanner;
      for (const std::size_t cut : {a, b, text.size()}) {
        const Parsed p = scanner.scan(std::string_view(text).substr(0, cut), limits, true);
        ASSERT_NE(p.status, Status::refused) << p.why << " at " << a << " " << b;
        if (p.status != Status::ok) continue;
        ASSERT_EQ(scanner.end(), end);
        ASSERT_EQ(scanner.skipped(), 2U);
        break;
      }
      ASSERT_EQ(scanner.start_line(), "GET / HTTP/1.1");
      ASSERT_EQ(scanner.fields().size(), 2U);
      ASSERT_EQ(scanner.fields()[1].name, "X");
      ASSERT_EQ(scanner.fields()[1].value, "y");
    }
  }
}

TEST(HeadScanner, FollowsItsBytesToAnotherBuffer) {
  // A head that outgrows its buffer is moved to a larger one between two receives.
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    HeadScanner scanner;
    auto before = std::make_unique<std::string>(text.substr(0, cut));
    ASSERT_EQ(scanner.scan(*before, limits, true).status, Status::incomplete);
    const std::string moved = text.substr(0, cut);
    before.reset();
    ASSERT_EQ(scanner.scan(moved, limits, true).status, Status::incomplete) << cut;
    ASSERT_EQ(scanner.scan(text, limits, true).status, Status::ok) << cut;
    ASSERT_EQ(scanner.fields().size(), 2U);
    ASSERT_EQ(scanner.fields()[0].value.data(), text.data() + text.find('a'));
    ASSERT_EQ(scanner.start_line().data(), text.data());
  }
}

TEST(HeadScanner, IsNotMisledByALongHeadThatMoved) {
  // Its start line is known no longer, so the rest is not an overlong request line.
  const std::string text = "GET / HTTP/1.1\r\nX: " + std::string(limits.target_bytes + 100, 'a');
  HeadScanner scanner;
  ASSERT_EQ(scanner.scan(text.substr(0, 30), limits, true).status, Status::incomplete);
  ASSERT_EQ(scanner.scan(text, limits, true).status, Status::incomplete);
}

TEST(HeadScanner, LooksAtNoByteTwice) {
  // Quadratic scanning of a byte-by-byte head would make this take minutes.
  std::string text = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 90; ++i) text += "X: " + std::string(300, 'a') + "\r\n";
  HeadScanner scanner;
  for (std::size_t n = 1; n <= text.size(); ++n)
    ASSERT_EQ(scanner.scan({text.data(), n}, limits, true).status, Status::incomplete);
  EXPECT_EQ(scanner.fields().size(), 90U);
}

TEST(RequestHead, IsAnIndexOfViews) {
  const std::string text = "POST /a/b?c=d HTTP/1.1\r\nHost: x:1\r\ncOOkie:  z \r\nContent-Length: 3\r\n\r\n";
  const RequestHead head = parsed(text);
  EXPECT_EQ(head.method, Method::post);
  EXPECT_EQ(head.path, "/a/b");
  EXPECT_EQ(head.query, "c=d");
  EXPECT_EQ(head.host, "x:1");
  ASSERT_EQ(head.fields.size(), 3U);
  EXPECT_EQ(head.fields[1].known, Known::cookie);
  EXPECT_EQ(head.fields[1].value, "z");
  EXPECT_GE(head.fields[1].value.data(), text.data());
  EXPECT_LT(head.fields[1].value.data(), text.data() + text.size());
  EXPECT_EQ(head.body.kind, BodyLength::Kind::known);
  EXPECT_EQ(head.body.bytes, 3U);
}

bool keeps_alive(std::string_view text) {
  RequestHead head;
  Http1Message message;
  EXPECT_EQ(parse_request_head(text, limits, head, message).status, Status::ok) << text;
  return message.keep_alive;
}

TEST(RequestHead, KeepAliveAndUpgrade) {
  EXPECT_TRUE(keeps_alive("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps_alive("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(keeps_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
  EXPECT_TRUE(
      parsed("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").tunnel);
  EXPECT_FALSE(parsed("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").tunnel);
}

TEST(ResponseHead, FramingFollowsTheRequestAndTheStatus) {
  struct Case {
    const char* text;
    Method asked;
    Framing::Kind kind;
    bool keep_alive;
  };
  for (const Case& c :
       {Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::get, Framing::Kind::length, true},
        Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::head, Framing::Kind::none, true},
        Case{"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", Method::get, Framing::Kind::none, true},
        Case{"HTTP/1.1 200 OK\r\n\r\n", Method::get, Framing::Kind::until_close, false},
        Case{"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", Method::get, Framing::Kind::chunked, true},
        Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", Method::get,
             Framing::Kind::length, false},
        Case{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Method::get, Framing::Kind::length, false}}) {
    ResponseHead head;
    Http1Message message;
    ASSERT_EQ(parse_response_head(c.text, c.asked, head, message).status, Status::ok) << c.text;
    EXPECT_EQ(message.framing.kind, c.kind) << c.text;
    EXPECT_EQ(message.keep_alive, c.keep_alive) << c.text;
  }
}

std::string written(const OutHead& head) {
  OutText out;
  write_fields(head, out);
  return {out.data(), out.size()};
}

TEST(Write, LinesThatStandSideBySideAreCopiedAsOneAndEditsHold) {
  const std::string text =
      "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:2\r\nC: \t3\r\nD: 4\r\nE: \r\nF: 6\r\n\r\n";
  const RequestHead head = parsed(text);
  OutHead out;
  out.fields = head.fields;
  EXPECT_EQ(written(out), "Host: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: 6\r\n");
  out.fields.erase(out.fields.begin() + 1);  // A
  const FieldEdit edit{4, "5"};
  out.fields[4] = edited({&edit, 1}, 4, out.fields[4]);  // E
  out.fields.push_back({"G", "7"});
  EXPECT_EQ(written(out), "Host: a\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\n");
  std::swap(out.fields[0], out.fields[3]);
  EXPECT_EQ(written(out), "D: 4\r\nB: 2\r\nC: 3\r\nHost: a\r\nE: 5\r\nF: 6\r\nG: 7\r\n");
}

TEST(Write, StartLines) {
  OutHead head;
  head.method = "GET";
  head.target = "/a?b";
  head.status = 207;
  head.reason = "Multi-Status";
  OutText out;
  write_request_line(head, out);
  write_status_line(head, out);
  head.status = 103;
  head.reason = {};
  write_status_line(head, out);
  EXPECT_EQ(std::string(out.data(), out.size()),
            "GET /a?b HTTP/1.1\r\nHTTP/1.1 207 Multi-Status\r\nHTTP/1.1 103 Early Hints\r\n");
}

TEST(Target, DisguisedPathsAreSeenThrough) {
  const auto normal = [](std::string_view path) {
    std::string out;
    normalize_path(path, out);
    return out;
  };
  EXPECT_EQ(normal("/a/b"), "/a/b");
  EXPECT_EQ(normal("/a/../b"), "/b");
  EXPECT_EQ(normal("/../../a"), "/a");
  EXPECT_EQ(normal("/a/."), "/a/");
  EXPECT_EQ(normal("/a/.."), "/");
  EXPECT_EQ(normal("/.."), "/");
  EXPECT_EQ(normal("/%61%2e%2E/%2e./x"), "/x");
  EXPECT_EQ(normal("/a%2Fb"), "/a%2Fb");  // an escaped slash is no separator
  EXPECT_EQ(normal("/...//.a"), "/...//.a");
}

// alphagov/frontend #734, sinatra/sinatra #344, lavv17/lftp #35: WHATWG URL leaves a bare percent sign in the
// query, and RFC 3986 7.3 allows %00 as data.
TEST(Target, QueriesPassByteForByte) {
  for (const char* query : {"q=100%",     "q=20%+tax", "q=%zz",
                            "%",          "a=%2",      "%%",
                            "%%%41",      "q=%u0041",  "info_hash=%60%94%d6p%2b%00%fc",
                            "%00",        "q=a|b",     "q={x}",
                            "q=\"x\"",    "q=a\\b",    "q=[1]",
                            "q=^`",       "q=<x>",     "q='x'",
                            "q=\xe4\xff", "?",         "a?b",
                            "q=/../%2e",  "q=;a=b",    ""}) {
    const std::string text = "GET /s?" + std::string(query) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    const RequestHead head = parsed(text);
    EXPECT_EQ(head.query, query);
    EXPECT_EQ(head.path, "/s");
    EXPECT_EQ(head.target, "/s?" + std::string(query));
    const std::string absolute = "GET http://a/s?" + std::string(query) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_EQ(parsed(absolute).target, "/s?" + std::string(query));
  }
  for (const char* target : {"/%", "/%zz", "/%4", "/%00", "/%?x", "/%4?x", "/a%zz?q=%41", "/%00?q", "/s?q#f",
                             "/s?q=\x01", "/s?q=\x7f", "/s?q=\t", "http://a%zz/s?q"}) {
    RequestHead head;
    const std::string text = std::string("GET ") + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_EQ(parse_request_head(text, limits, head).code, 400) << target;
  }
}

// RFC 3986 3.2.2; traefik/traefik #4622, istio/istio #18904
TEST(Target, OneFinalDotIsTheSameHost) {
  const auto code = [](const char* target, const char* host) {
    RequestHead head;
    const std::string text = std::string("GET ") + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
    return parse_request_head(text, limits, head).code;
  };
  EXPECT_EQ(code("http://shop.test/", "shop.test."), 0);
  EXPECT_EQ(code("http://shop.test./", "SHOP.test"), 0);
  EXPECT_EQ(code("http://shop.test.:8080/", "shop.test:8080"), 0);
  EXPECT_EQ(code("http://shop.test:8080/", "shop.test:8081"), 400);
  EXPECT_EQ(code("http://shop.test:8080/", "shop.test"), 400);
  EXPECT_EQ(code("http://shop.test../", "shop.test"), 400);
  EXPECT_EQ(code("http://[::1]:80/", "[::1]:80"), 0);
  EXPECT_EQ(host_name("[::1]:80"), "[::1]");
  EXPECT_EQ(host_port("[::1]:80"), "80");
  EXPECT_EQ(host_port("[::1]"), "");
  EXPECT_EQ(host_port("a:"), "");
}

TEST(Target, PrefixesCoverWholeSegments) {
  EXPECT_TRUE(path_covers("/", "/x"));
  EXPECT_TRUE(path_covers("/api", "/api"));
  EXPECT_TRUE(path_covers("/api/", "/api/x"));
  EXPECT_FALSE(path_covers("/api", "/apix"));
}

TEST(KnownFields, RemoraInEveryDisguise) {
  for (const char* name : {"Remora-Session", "remora-x", "REMORA_STATE", "rEmOrA-"})
    EXPECT_EQ(known_field(name), Known::remora) << name;
  for (const char* name : {"Remora", "Remoral", "X-Remora-Session"})
    EXPECT_EQ(known_field(name), Known::other) << name;
}

TEST(KnownFields, AreNamedInLowerCase) {
  for (const char* name : {"date", "x-forwarded-for", "proxy-authorization"})
    EXPECT_EQ(name_of(known_field(name)), name);
  EXPECT_EQ(name_of(Known::other), "");
  EXPECT_EQ(name_of(Known::remora), "") << "there are several";
}

// RFC 9112 3.2.2, RFC 9110 4.2.3: the authority is the same with its scheme's port and without; an empty path
// is `/`; HTTP/1.0 needs no Host.
TEST(AbsoluteForm, NamesTheSameAuthorityInManyWays) {
  struct Row {
    const char *line, *host, *target;
  };
  for (const Row& row : std::vector<Row>{{"GET http://a:80/x HTTP/1.1", "a", "/x"},
                                         {"GET http://a/x HTTP/1.1", "a:80", "/x"},
                                         {"GET http://a:/x HTTP/1.1", "a", "/x"},
                                         {"GET https://a:443/x HTTP/1.1", "a", "/x"},
                                         {"GET HTTP://A.:80/x HTTP/1.1", "a", "/x"},
                                         {"GET http://[::1]:80/x HTTP/1.1", "[::1]", "/x"},
                                         {"GET http://a?x HTTP/1.1", "a", "/?x"},
                                         {"GET http://a:80?x/y?z HTTP/1.1", "a", "/?x/y?z"},
                                         {"GET http://a? HTTP/1.1", "a", "/?"},
                                         {"GET http://a HTTP/1.1", "a", "/"}}) {
    const std::string text = std::string(row.line) + "\r\nHost: " + row.host + "\r\n\r\n";
    RequestHead head;
    ASSERT_EQ(parse_request_head(text, {}, head).status, Parsed::Status::ok) << row.line;
    EXPECT_EQ(head.target, row.target) << row.line;
    EXPECT_EQ(head.host, row.host) << row.line;
    EXPECT_EQ(head.path, std::string_view(row.target).substr(0, std::string_view(row.target).find('?')));
  }
  for (const char* line :
       {"GET http://a/x HTTP/1.0", "GET http://a?x HTTP/1.0", "GET http://a:8080 HTTP/1.0"}) {
    const std::string text = std::string(line) + "\r\n\r\n";
    RequestHead head;
    ASSERT_EQ(parse_request_head(text, {}, head).status, Parsed::Status::ok) << line;
    EXPECT_EQ(host_name(head.host), "a") << line;
  }
}

TEST(AbsoluteForm, OfAnotherAuthorityIsRefused) {
  for (const char* text :
       {"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a:81/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:443/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET https://a:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/x HTTP/1.1\r\nHost: \r\n\r\n", "GET http://a/x HTTP/1.0\r\nHost:\r\n\r\n",
        "GET http://a/x HTTP/1.1\r\n\r\n", "GET http://u@a/x HTTP/1.0\r\n\r\n",
        "GET http://a,b/x HTTP/1.0\r\n\r\n", "GET http://a:x/ HTTP/1.0\r\n\r\n",
        "GET http://?x HTTP/1.0\r\n\r\n"}) {
    RequestHead head;
    EXPECT_EQ(parse_request_head(text, {}, head).code, 400) << text;
  }
}

}  // namespace
}  // namespace remora
