// RFC 9110 6.5: which fields may stand in trailers.

#include "http/trailers.h"

#include <gtest/gtest.h>

#include "http/h1/grammar.h"

namespace remora {
namespace {

bool passes(std::string_view name, std::string_view announced) {
  return may_be_trailer({name, "x", known_field(name)}, announced);
}

TEST(Trailers, HarmlessOnesPassUnannounced) {
  for (const char* name : {"grpc-status", "Grpc-Message", "grpc-status-details-bin", "Server-Timing",
                           "Content-Digest", "Repr-Digest", "Digest", "Content-MD5", "X-Checksum-Sha256",
                           "x-amz-checksum-crc32c", "X-Sum", "X-Request-Sum"}) {
    EXPECT_TRUE(passes(name, "")) << name;
    EXPECT_FALSE(never_a_trailer(name)) << name;
  }
}

TEST(Trailers, OfGrpcMayHaveAnyNameOfMetadata) {
  for (const char* name : {"my-result", "x-user-quota", "trace.id", "quota_left", "details-bin",
                           "grpc-retry-pushback-ms", "x-request-id"})
    EXPECT_TRUE(may_be_grpc_trailer({name, "x", known_field(name)})) << name;
}

TEST(Trailers, OfGrpcNeverConcernConnectionFramingRoutingCredentialsOrCaches) {
  for (const char* name : {"connection",
                           "transfer-encoding",
                           "content-length",
                           "content-type",
                           "content_length",
                           "host",
                           "te",
                           "trailer",
                           "upgrade",
                           "cookie",
                           "set-cookie",
                           "set_cookie2",
                           "authorization",
                           "www-authenticate",
                           "proxy-authenticate",
                           "proxy_status",
                           "cache-control",
                           "age",
                           "etag",
                           "expires",
                           "vary",
                           "location",
                           "alt-svc",
                           "x-accel-redirect",
                           "x-forwarded-for",
                           "x_forwarded_for",
                           "forwarded",
                           "via",
                           "remora-session",
                           "remora_session",
                           "access-control-allow-origin",
                           "strict-transport-security",
                           "",
                           "My-Result",
                           "a b",
                           "a:b"})
    EXPECT_FALSE(may_be_grpc_trailer({name, "x", known_field(name)})) << name;
}

TEST(Trailers, OthersOnlyIfTheyWereAnnounced) {
  EXPECT_FALSE(passes("ETag", ""));
  EXPECT_TRUE(passes("ETag", "etag"));
  EXPECT_TRUE(passes("My-Result", "X, my-result"));
  EXPECT_FALSE(passes("My-Result", "My-Results"));
}

TEST(Trailers, NeverFramingRoutingAuthenticationOrWhoTheClientIs) {
  for (const char* name : {"Content-Length",
                           "Transfer-Encoding",
                           "Host",
                           "Connection",
                           "Keep-Alive",
                           "TE",
                           "Trailer",
                           "Upgrade",
                           "Authorization",
                           "Proxy-Authorization",
                           "WWW-Authenticate",
                           "Cookie",
                           "Set-Cookie",
                           "Cache-Control",
                           "Age",
                           "Expires",
                           "Vary",
                           "If-Match",
                           "If-None-Match",
                           "Range",
                           "Expect",
                           "Max-Forwards",
                           "Content-Type",
                           "Content-Encoding",
                           "Content-Range",
                           "Location",
                           "Date",
                           "Retry-After",
                           "X-Forwarded-For",
                           "X-Forwarded-Proto",
                           "X-Forwarded-Anything",
                           "Forwarded",
                           "X-Real-IP",
                           "X-Request-Id",
                           "Via",
                           "Origin",
                           "Referer",
                           "User-Agent",
                           "X-User-Id",
                           "X-Auth-Request-User",
                           "X-Remote-User",
                           "Sec-Fetch-Site",
                           "Access-Control-Allow-Origin",
                           "Strict-Transport-Security",
                           "X-Http-Method-Override",
                           "X-Original-URL",
                           "X-Accel-Redirect",
                           "HTTP2-Settings",
                           "Remora-Session",
                           "Remora-State",
                           "X_Sum",
                           "Content_Length",
                           "X_Forwarded_For",
                           "grpc_status",
                           "My_Result",
                           "X.Sum",
                           "X-Forwarded-Sum",
                           "X-User-Digest"})
    EXPECT_TRUE(never_a_trailer(name)) << name;
  EXPECT_FALSE(passes("Remora-State", "Remora-State"));
}

}  // namespace
}  // namespace remora
