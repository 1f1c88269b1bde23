// Who a browser may have been led here by: names that are ours alone (DNS rebinding), and pages (CSRF).

#include "admin/own_name.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(OwnName, IsLocalhostOrAnAddressAndNothingElse) {
  for (const char* own : {"localhost", "LocalHost", "localhost:9900", "127.0.0.1", "127.0.0.1:80", "10.0.0.9",
                          "[::1]", "[::1]:9900", "[::ffff:127.0.0.1]:1", "127.0.0.1:65535"})
    EXPECT_TRUE(is_own_name(own)) << own;
  for (const char* foreign : {"",
                              " ",
                              ":",
                              ":80",
                              "evil.test",
                              "localhost.",
                              "localhost.evil.test",
                              "localhost.evil",
                              "xlocalhost",
                              "127.0.0.1.evil.test",
                              "127.0.0.1.",
                              "127.1",
                              "0x7f000001",
                              "2130706433",
                              "[::1].evil.test",
                              "[::1]evil.test:80",
                              "[::1",
                              "::1",
                              "[]",
                              "[localhost]",
                              "[127.0.0.1]",
                              "[::1]:",
                              "[::1]:x",
                              "[::1]:80:80",
                              "localhost:",
                              "localhost:65536",
                              "localhost:80x",
                              "localhost:-1",
                              "localhost:80@evil.test",
                              "localhost@evil.test",
                              "user@localhost",
                              "user:pw@127.0.0.1",
                              "localhost, evil.test",
                              "localhost/evil",
                              "[fe80::1%25eth0]",
                              "localhost:000080000"})
    EXPECT_FALSE(is_own_name(foreign)) << foreign;
}

TEST(SameOrigin, IsWhatTheBrowserSaysOfThePage) {
  const char* host = "127.0.0.1:9900";
  EXPECT_TRUE(is_same_origin("", "", host));  // no browser
  EXPECT_TRUE(is_same_origin("http://127.0.0.1:9900", "same-origin", host));
  EXPECT_TRUE(is_same_origin("https://127.0.0.1:9900", "", host));
  EXPECT_TRUE(is_same_origin("", "none", host));  // typed by the user
  for (const char* origin :
       {"null", "http://evil.test", "http://127.0.0.1:9901", "http://127.0.0.1:9900.evil.test",
        "http://evil.test/127.0.0.1:9900", "127.0.0.1:9900", "ftp://127.0.0.1:9900"})
    EXPECT_FALSE(is_same_origin(origin, "", host)) << origin;
  for (const char* site : {"cross-site", "same-site", "x"})
    EXPECT_FALSE(is_same_origin("", site, host)) << site;
}

}  // namespace
}  // namespace remora
