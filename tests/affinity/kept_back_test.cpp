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

bool led_by_another(std::vector<std::pair<std::string, std::string>> said, Method method = Method::get,
                    bool preflight = false) {
  std::vector<Field> fields;
  for (const auto& [name, value] : said)
    fields.push_back({name, value, name == "Referer" ? Known::referer : Known::other});
  RequestView v;
  v.method = method;
  v.host = "app.example.com";
  v.fields = fields;
  v.preflight = preflight;
  return may_be_led_by_another(v);
}

// Session fixation by a link that holds its sender's session. Browsers send Sec-Fetch-* to https alone (W3C
// Fetch Metadata 2: only to potentially trustworthy URLs).
TEST(LedByAnother, SaysSecFetchSiteOrElseOriginOrElseReferer) {
  for (const Method m : {Method::get, Method::head, Method::post, Method::put, Method::options}) {
    EXPECT_TRUE(led_by_another({{"Origin", "http://evil.example"}}, m));
    EXPECT_TRUE(led_by_another({{"Origin", "null"}}, m));
    EXPECT_TRUE(led_by_another({{"Origin", "null"}, {"Referer", "http://app.example.com/"}}, m));
    EXPECT_TRUE(led_by_another({{"Referer", "http://evil.example/app.example.com/"}}, m));
    for (const char* site : {"cross-site", "same-site", "none", ""})
      EXPECT_TRUE(led_by_another({{"Sec-Fetch-Site", site}, {"Origin", "http://app.example.com"}}, m))
          << site;
  }
  for (const char* page :
       {"http://evil.example", "http://evil.example?app.example.com", "http://app.example.com@evil.example/",
        "http://app.example.com:x@evil.example/", "http://evil.example#.app.example.com",
        "http://evil.example\\.app.example.com", "about:blank", "android-app://com.example.mail/"})
    EXPECT_TRUE(led_by_another({{"Referer", page}})) << page;
  EXPECT_TRUE(led_by_another({{"Origin", "http://app.example.com"}, {"Origin", "http://evil.example"}}));
  EXPECT_TRUE(led_by_another({{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "cross-site"}}));
}

TEST(LedByAnother, SaysAPreflight) {
  EXPECT_TRUE(led_by_another({{"Origin", "http://app.example.com"}}, Method::options, true));
  EXPECT_TRUE(led_by_another({}, Method::options, true));
}

TEST(LedByAnother, IsNotSaidOfOurOwnPagesNorWithoutAWord) {
  EXPECT_FALSE(led_by_another({}));
  EXPECT_FALSE(led_by_another({{"Referer", ""}}));
  EXPECT_FALSE(led_by_another({{"Referer", "http://app.example.com:8080/a?b=http://evil.example"}}));
  EXPECT_FALSE(led_by_another({{"Referer", "http://APP.example.com?x"}}));
  EXPECT_FALSE(led_by_another({{"Origin", "http://app.example.com"}}, Method::post));
  EXPECT_FALSE(led_by_another({{"Origin", "http://app.example.com"}, {"Referer", "http://evil.example/"}}));
  EXPECT_FALSE(led_by_another({{"Sec-Fetch-Site", "same-origin"}, {"Origin", "null"}}, Method::post))
      << "no-referrer makes the Origin of our own forms null";
}

}  // namespace
}  // namespace remora
