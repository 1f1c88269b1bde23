// Requests from which a browser keeps cookies back (RFC 6265bis 5.2; Fetch metadata).

#include "affinity/kept_back.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora {
namespace {

bool foreign(Method method, std::vector<std::pair<std::string, std::string>> said,
             std::string_view host = "app.example.com") {
  std::vector<Field> fields;
  for (const auto& [name, value] : said) fields.push_back({name, value});
  RequestView v;
  v.method = method;
  v.host = host;
  v.fields = fields;
  return posted_by_another_site(v);
}

// alibaba/tengine #1811, latchset/mod_auth_mellon #20: the POST that comes back from an identity provider.
TEST(KeptBack, APostFromAnotherSite) {
  EXPECT_TRUE(foreign(Method::post, {{"Sec-Fetch-Site", "cross-site"}}));
  EXPECT_TRUE(
      foreign(Method::post, {{"sec-fetch-site", "Cross-Site"}, {"Origin", "https://app.example.com"}}));
  EXPECT_TRUE(foreign(Method::post, {{"Origin", "https://idp.test"}}));
  EXPECT_TRUE(foreign(Method::post, {{"Origin", "null"}}));
  EXPECT_TRUE(foreign(Method::other, {{"Origin", "https://idp.test"}}));
  EXPECT_TRUE(foreign(Method::put, {{"Origin", "http://10.0.0.1"}}, "10.0.0.2"));
  EXPECT_TRUE(foreign(Method::post, {{"Origin", "http://[::1]:1"}}, "[::2]:1"));
}

TEST(KeptBack, OurOwnPagesAreNoOtherSite) {
  EXPECT_FALSE(foreign(Method::post, {}));  // no browser
  EXPECT_FALSE(foreign(Method::post, {{"Origin", "https://app.example.com"}}));
  EXPECT_FALSE(foreign(Method::post, {{"Origin", "https://APP.example.com.:8443"}}, "app.example.com:80"));
  EXPECT_FALSE(foreign(Method::post, {{"Origin", "https://www.example.com"}}));  // same site, another origin
  EXPECT_FALSE(foreign(Method::post, {{"Origin", "https://example.com"}}));
  EXPECT_FALSE(foreign(Method::post, {{"Origin", "http://localhost:3000"}}, "localhost:8080"));
  EXPECT_FALSE(foreign(Method::post, {{"Origin", "http://[::1]:1"}}, "[::1]:2"));
  for (const char* site : {"same-origin", "same-site", "none"})  // what the browser says counts
    EXPECT_FALSE(foreign(Method::post, {{"Origin", "https://idp.test"}, {"Sec-Fetch-Site", site}})) << site;
}

TEST(KeptBack, SafeMethodsBringTheirCookies) {
  for (const Method m : {Method::get, Method::head, Method::options, Method::trace})
    EXPECT_FALSE(foreign(m, {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://idp.test"}}));
}

}  // namespace
}  // namespace remora
