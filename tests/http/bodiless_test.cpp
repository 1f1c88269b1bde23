// Heads that end their message whatever they say of a body (RFC 9112 6.3): apps, CORS middleware and proxies
// write Content-Length and Transfer-Encoding into all of them.

#include <gtest/gtest.h>

#include "http/h1/head.h"

namespace remora {
namespace {

using Status = Parsed::Status;

struct Claim {
  const char* fields;
  bool promises;  // a body that may still come
  bool a_length;  // that a GET could have brought
};
const Claim claims[] = {
    {"", false, false},
    {"Content-Length: 0\r\n", false, true},
    {"Content-Length: 00\r\n", false, true},
    {"Content-Length: 5\r\n", true, true},
    {"Content-Length: 0\r\nContent-Length: 0\r\n", true, false},
    {"Content-Length: 5\r\nContent-Length: 7\r\n", true, false},
    {"Content-Length: 0, 0\r\n", true, false},
    {"Content-Length: -1\r\n", true, false},
    {"Content-Length:\r\n", true, false},
    {"Content-Length: 99999999999999999999\r\n", true, false},
    {"Content-Length: 9223372036854775807\r\n", true, false},
    {"Transfer-Encoding: chunked\r\n", true, false},
    {"Transfer-Encoding: gzip, chunked\r\n", true, false},
    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", true, false},
    {"Transfer-Encoding: identity\r\n", true, false},
    {"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", true, false},
};

struct Kind {
  const char* status;
  Method asked;
  bool tells_of_get;
};
const Kind kinds[] = {
    {"100 Continue", Method::post, false},    {"101 Switching Protocols", Method::get, false},
    {"102 Processing", Method::post, false},  {"103 Early Hints", Method::get, false},
    {"199 Odd", Method::get, false},          {"204 No Content", Method::options, false},
    {"204 No Content", Method::head, false},  {"304 Not Modified", Method::get, true},
    {"304 Not Modified", Method::head, true}, {"200 OK", Method::head, true},
    {"404 Not Found", Method::head, true},    {"301 Moved", Method::head, true},
    {"200 OK", Method::connect, false},       {"299 Fine", Method::connect, false},
};

// expressjs/cors #121, nghttp2/nghttp2 #746: `204` with Content-Length: 0 answers each CORS preflight.
TEST(BodilessHead, IsTakenWhateverItSaysOfABody) {
  for (const Kind& kind : kinds)
    for (const Claim& claim : claims)
      for (const char* version : {"HTTP/1.1 ", "HTTP/1.0 "}) {
        const std::string text =
            std::string(version) + kind.status + "\r\nConnection: keep-alive\r\n" + claim.fields + "\r\n";
        ResponseHead head;
        Http1Message message;
        ASSERT_EQ(parse_response_head(text, kind.asked, head, message).status, Status::ok) << text;
        EXPECT_EQ(head.body.kind, BodyLength::Kind::none) << text;
        const bool says_length = std::string_view(claim.fields).starts_with("Content-Length");
        const bool keeps = kind.tells_of_get && claim.a_length;
        EXPECT_EQ(head.drops_length, says_length && !keeps) << text;
        // A length with HEAD or 304 is no promise: such servers send no body.
        EXPECT_EQ(message.keep_alive, !claim.promises || keeps) << text;
      }
}

TEST(BodilessHead, OthersAreStillHeldToOneFraming) {
  for (const char* status :
       {"200 OK", "201 Created", "205 Reset Content", "206 Partial", "302 Found", "404 X"})
    for (const Claim& claim : claims) {
      if (claim.a_length || *claim.fields == '\0') continue;
      if (std::string_view(claim.fields) == "Transfer-Encoding: chunked\r\n") continue;
      const std::string text = std::string("HTTP/1.1 ") + status + "\r\n" + claim.fields + "\r\n";
      ResponseHead head;
      EXPECT_EQ(parse_response_head(text, Method::get, head).code, 502) << text;
    }
  ResponseHead head;
  EXPECT_EQ(parse_response_head("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", Method::connect, head).status,
            Status::ok);
  EXPECT_EQ(head.body.bytes, 5U);
}

// RFC 9110 15.3.6: it has no content, whether it says so or not.
TEST(BodilessHead, AResetWithoutALengthIsEmptyAndTheLastOnItsConnection) {
  ResponseHead head;
  Http1Message message;
  const auto read = [&](std::string_view text) {
    return parse_response_head(text, Method::post, head, message).status;
  };
  ASSERT_EQ(read("HTTP/1.1 205 Reset Content\r\n\r\n"), Status::ok);
  EXPECT_EQ(head.body.kind, BodyLength::Kind::known);
  EXPECT_EQ(head.body.bytes, 0U);
  EXPECT_FALSE(message.keep_alive);
  ASSERT_EQ(read("HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n"), Status::ok);
  EXPECT_TRUE(message.keep_alive);
}

TEST(BodilessHead, LeavesNothingBehindForTheNextHead) {
  ResponseHead head;
  ASSERT_EQ(parse_response_head("HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", Method::get, head).status,
            Status::ok);
  ASSERT_TRUE(head.drops_length);
  ASSERT_EQ(parse_response_head("HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n", Method::get, head).status,
            Status::ok);
  EXPECT_FALSE(head.drops_length);
  EXPECT_EQ(head.body.bytes, 2U);
}

}  // namespace
}  // namespace remora
