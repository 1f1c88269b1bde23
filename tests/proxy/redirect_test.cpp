// Where a redirect leads: the name without the port of another scheme, no host that nobody named.

#include "proxy/redirect.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

std::string to(const char* pattern, const char* host, const char* scheme = "http") {
  return expand_redirect(pattern, scheme, host, "/x?q", "/x", "q");
}

// envoyproxy/envoy #4832, kubernetes/ingress-nginx #1798; RFC 9110 4.2.2
TEST(Redirect, AnotherSchemeDoesNotKeepThePort) {
  const char* const secure = "https://{host}{uri}";
  for (const char* host :
       {"shop.test", "shop.test:8080", "shop.test:80", "shop.test:", "shop.test.", "shop.test.:8080"})
    EXPECT_EQ(to(secure, host), "https://shop.test/x?q") << host;
  EXPECT_EQ(to(secure, "[::1]:8080"), "https://[::1]/x?q");
  EXPECT_EQ(to(secure, "[::1]"), "https://[::1]/x?q");
  EXPECT_EQ(to(secure, "10.0.0.1:8080"), "https://10.0.0.1/x?q");
  EXPECT_EQ(to("http://{host}{uri}", "shop.test:8443", "https"), "http://shop.test/x?q");
  EXPECT_EQ(to("HTTPS://{host}", "shop.test:8080"), "HTTPS://shop.test");
  EXPECT_EQ(to("wss://{host}", "shop.test:8080"), "wss://shop.test");
}

TEST(Redirect, TheSameSchemeDoes) {
  EXPECT_EQ(to("{scheme}://{host}/new{uri}", "shop.test:8080"), "http://shop.test:8080/new/x?q");
  EXPECT_EQ(to("{scheme}://{host}{path}", "shop.test:8443", "https"), "https://shop.test:8443/x");
  EXPECT_EQ(to("https://{host}{path}", "shop.test:8443", "https"), "https://shop.test:8443/x");
  EXPECT_EQ(to("http://{host}{path}", "[::1]:81"), "http://[::1]:81/x");
  EXPECT_EQ(to("//{host}{path}", "shop.test:8080"), "//shop.test:8080/x");
  EXPECT_EQ(to("http://www.{host}/", "shop.test:8080"), "http://www.shop.test:8080/");
  EXPECT_EQ(to("http://{host}{path}", "shop.test:80"), "http://shop.test/x");  // its own port needs no word
}

TEST(Redirect, PortsCanBeWrittenAndAskedFor) {
  EXPECT_EQ(to("https://{host}:8443{uri}", "shop.test:8080"), "https://shop.test:8443/x?q");
  EXPECT_EQ(to("http://{host}:8081{uri}", "shop.test:8080"), "http://shop.test:8081/x?q");
  EXPECT_EQ(to("{scheme}://{host}:{port}/", "shop.test:8080"), "http://shop.test:8080/");
  EXPECT_EQ(to("{scheme}://{host}:{port}/", "shop.test"), "http://shop.test:80/");
  EXPECT_EQ(to("{scheme}://{host}:{port}/", "shop.test", "https"), "https://shop.test:443/");
  EXPECT_EQ(to("{scheme}://{host}:{port}/", "[::1]"), "http://[::1]:80/");
  EXPECT_EQ(to("https://{authority}{uri}", "shop.test:8080"), "https://shop.test:8080/x?q");
  EXPECT_EQ(to("https://{authority}", "[::1]:8080"), "https://[::1]:8080");
}

TEST(Redirect, ElsewhereInAUrlTheHostIsTheNameAlone) {
  EXPECT_EQ(to("https://login.test/?for={host}&p={port}", "shop.test:8080"),
            "https://login.test/?for=shop.test&p=8080");
  EXPECT_EQ(to("/moved/{host}/", "shop.test:8080"), "/moved/shop.test/");
  EXPECT_EQ(to("http://other.test/{host}", "shop.test:8080"), "http://other.test/shop.test");
}

// HTTP/1.0 needs no Host: `https:///x` is the host `x` to a browser.
TEST(Redirect, WithoutAHostNothingLeadsToOne) {
  for (const char* host : {"", ":80", ":"}) {
    EXPECT_EQ(to("https://{host}{uri}", host), "");
    EXPECT_EQ(to("https://{authority}{uri}", host), "");
    EXPECT_EQ(to("https://{host}:{port}{uri}", host), "");
    EXPECT_EQ(to("https://shop.test{uri}", host), "https://shop.test/x?q");
    EXPECT_EQ(to("/new{uri}", host), "/new/x?q");
  }
}

TEST(Redirect, UnknownWordsStayAsTheyAre) {
  EXPECT_EQ(to("/a{b}/{path", "h"), "/a{b}/{path");
  EXPECT_EQ(to("{{path}}", "h"), "{/x}");
}

// As with links that are rewritten: the path of a request must not become another host.
TEST(Redirect, APathThatBeginsWithTwoSlashesStaysAPath) {
  const auto to = [](const char* pattern, const char* path) {
    return expand_redirect(pattern, "https", "a.test", path, path, "");
  };
  EXPECT_EQ(to("{path}/", "//evil.test/x"), "/.//evil.test/x/");
  EXPECT_EQ(to("{uri}", "/\\evil.test"), "/./\\evil.test");
  EXPECT_EQ(to("{uri}", "/x"), "/x");
  EXPECT_EQ(to("https://{host}{uri}", "//evil.test"), "https://a.test//evil.test");
  EXPECT_EQ(to("//cdn.test{path}", "/x"), "//cdn.test/x");
}

}  // namespace
}  // namespace remora
