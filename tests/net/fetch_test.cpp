// URLs that are fetched from, taken apart.

#include "net/fetch.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(FetchUrl, IsTakenApart) {
  const auto u = parse_fetch_url("https://id.example.com/keys.json?v=1");
  ASSERT_TRUE(u);
  EXPECT_TRUE(u->secure);
  EXPECT_EQ(u->host, "id.example.com");
  EXPECT_EQ(u->port, 443);
  EXPECT_EQ(u->authority, "id.example.com");
  EXPECT_EQ(u->path, "/keys.json?v=1");
  const auto v6 = parse_fetch_url("http://[::1]:8080");
  ASSERT_TRUE(v6);
  EXPECT_FALSE(v6->secure);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 8080);
  EXPECT_EQ(v6->authority, "[::1]:8080");
  EXPECT_EQ(v6->path, "/");
}

TEST(FetchUrl, WhatIsNoneOrCarriesSecretsIsRefused) {
  for (const char* bad : {"", "/keys", "keys", "ftp://x/", "https://", "https:///keys",
                          "https://user:password@x/", "https://x/#a", "https://x:0/", "https://x:99999/",
                          "https://x y/", "https://x/\r\nHost: y", "file:///etc/passwd"})
    EXPECT_FALSE(parse_fetch_url(bad)) << bad;
}

}  // namespace
}  // namespace remora
