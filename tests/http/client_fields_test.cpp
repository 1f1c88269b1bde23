// Which fields only proxies may say: by table, and in the spellings that apps do not tell apart.

#include "http/client_fields.h"

#include <gtest/gtest.h>

#include <string>

#include "http/trailers.h"
#include "util/text.h"

namespace remora {
namespace {

// keycloak/keycloak #50443, KEYCLOAK-2903; what Symfony, Spring, ASP.NET, Rack, Express and old Java code
// read.
const char* const guarded[] = {
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-By",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Client-Cert",
    "X-Real-IP",
    "X-Client-IP",
    "Client-IP",
    "True-Client-IP",
    "X-Cluster-Client-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "X-Originating-IP",
    "X-ProxyUser-Ip",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Azure-ClientIP",
    "X-Envoy-External-Address",
    "Remote-User",
    "X-Remote-User",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Host",
    "X-Original-Forwarded-For",
    "X-Rewrite-URL",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "CloudFront-Forwarded-Proto",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Verify",
    "SSL-Client-Cert",
    "X-ARR-ClientCert",
    "HTTP-X-Forwarded-For",
};

TEST(ClientFields, AreKnownInEverySpellingThatAppsTakeForThem) {
  for (const std::string name : guarded) {
    std::string upper, cgi, dots;
    for (const char c : name) {
      upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      cgi += c == '-' ? '_' : c;
      dots += c == '-' ? '.' : c;
    }
    for (const std::string& spelling : {name, to_lower(name), upper, cgi, to_lower(cgi), dots}) {
      EXPECT_TRUE(tells_of_the_client(spelling)) << spelling;
      EXPECT_TRUE(may_tell_of_the_client(spelling)) << spelling;
      EXPECT_TRUE(never_a_trailer(spelling)) << spelling;
    }
  }
  for (const char* name : {"Proxy", "PROXY", "proxy"}) {  // httpoxy
    EXPECT_TRUE(is_httpoxy(name));
    EXPECT_TRUE(may_tell_of_the_client(name));
  }
}

TEST(ClientFields, NothingElseIs) {
  for (const char* name : {"Accept-Language",
                           "User-Agent",
                           "Authorization",
                           "Origin",
                           "Sec-Fetch-Site",
                           "X-Requested-With",
                           "X-Csrf-Token",
                           "X-Api-Key",
                           "X-Custom",
                           "X-Forward",
                           "X-Real-Name",
                           "X-Originals",
                           "X-Client-Version",
                           "X-Client-Data",
                           "Client-Id",
                           "Clients",
                           "From",
                           "Priority",
                           "Proxy-Status",
                           "Prox",
                           "X-Hosting",
                           "X-HTTP-Method-Override",
                           "Traceparent",
                           "Tracestate",
                           "X-Amzn-Trace-Id",
                           "X-Amz-Date",
                           "CF-Ray",
                           "SOAPAction",
                           "X",
                           "x-",
                           "Remote-Users",
                           "X-Schemes"}) {
    EXPECT_FALSE(tells_of_the_client(name)) << name;
    EXPECT_FALSE(is_httpoxy(name)) << name;
  }
}

TEST(ClientFields, WhatBrowsersSendMostlyNeedsNoSecondLook) {
  for (const char* name : {"User-Agent", "Accept-Language", "Sec-Fetch-Mode", "Sec-Ch-Ua", "Origin",
                           "Upgrade-Insecure-Requests", "If-None-Match", "Dnt", "Authorization"})
    EXPECT_FALSE(may_tell_of_the_client(name)) << name;
}

}  // namespace
}  // namespace remora
