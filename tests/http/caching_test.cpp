// Responses that carry a token and shared caches: RFC 9111 3 (what may be stored) and 7.3 (Set-Cookie does
// not stop a cache), RFC 9213 (targeted fields). Public reports: MicrosoftDocs/azure-docs #60794 (a CDN that
// kept the affinity cookie), contao/core-bundle #1702 (`no-store` must reach the browser).

#include "http/caching.h"

#include <gtest/gtest.h>

#include "http/h1/grammar.h"

namespace remora {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Closed : public ::testing::Test {
 protected:
  /// Each field that is left, "name: value" in one line each.
  std::string close(const Fields& fields, Method method = Method::get, std::uint16_t status = 200) {
    arena_.clear();
    std::vector<Field> head;
    for (const auto& [name, value] : fields) head.push_back({name, value, known_field(name)});
    close_to_shared_caches(method, status, head, arena_);
    std::string out;
    for (const Field& f : head) out.append(f.name).append(": ").append(f.value).append("\n");
    return out;
  }
  std::string cache_control(const std::string& line) { return close({{"Cache-Control", line}}); }

  TextArena arena_;
};

TEST_F(Closed, WhatSharedCachesMayKeepBecomesPrivate) {
  const std::string wanted = "Cache-Control: private\n";
  for (const char* lifetime :
       {"max-age=60", "max-age=31536000, immutable", "must-revalidate, max-age=60", "no-cache",
        "no-cache=\"Set-Cookie\"", "private=\"Set-Cookie\"", "no-transform", "proxy-revalidate",
        "stale-while-revalidate=60, stale-if-error=60", "max-age=0", "must-understand, no-store, max-age=60",
        "max-age=\"60\"", "MAX-AGE=60", "x-unknown", "x-unknown=\"private, no-store\"", "no-stores",
        "privately", "max-age=60; private"})
    EXPECT_EQ(cache_control(lifetime), "Cache-Control: private, " + std::string(lifetime) + "\n");
  EXPECT_EQ(cache_control(""), wanted);
  EXPECT_EQ(cache_control("public"), wanted);
  EXPECT_EQ(close({}), wanted) << "a heuristic lifetime (RFC 9111 4.2.2)";
  EXPECT_EQ(close({{"Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT"}}),
            "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT\n" + wanted);
  EXPECT_EQ(close({{"Expires", "Thu, 01 Jan 2037 00:00:00 GMT"}}),
            "Expires: Thu, 01 Jan 2037 00:00:00 GMT\n" + wanted);
  EXPECT_EQ(close({{"Pragma", "no-cache"}}), "Pragma: no-cache\n" + wanted) << "means nothing in a response";
}

TEST_F(Closed, WhateverTheStatusThatCachesKeepByThemselves) {
  for (const int status :
       {200, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 404, 405, 410, 414, 451, 501, 503})
    for (const Method method : {Method::get, Method::head})
      EXPECT_EQ(close({}, method, static_cast<std::uint16_t>(status)), "Cache-Control: private\n") << status;
  EXPECT_EQ(close({}, Method::get, 101), "");
  // What nobody keeps is not made storable for browsers either.
  EXPECT_EQ(close({}, Method::post, 200), "");
  EXPECT_EQ(close({}, Method::put, 204), "");
  EXPECT_EQ(close({{"Cache-Control", "max-age=60"}}, Method::post), "Cache-Control: private, max-age=60\n");
  EXPECT_EQ(close({{"Expires", "0"}}, Method::post), "Expires: 0\nCache-Control: private\n");
}

TEST_F(Closed, RestrictionsOfTheAppStay) {
  for (const char* line :
       {"no-store", "private", "No-Store", "private, max-age=60", "no-store, no-cache, must-revalidate",
        "no-cache , no-store", "no-transform, no-store, max-age=0", "x=\"a,b\", private", "private,no-cache",
        "private, private=\"X\""})
    EXPECT_EQ(cache_control(line), "Cache-Control: " + std::string(line) + "\n");
  EXPECT_EQ(close({{"Cache-Control", "no-cache"}, {"cache-control", "no-store"}}),
            "Cache-Control: no-cache\ncache-control: no-store\n");
  EXPECT_EQ(close({{"Cache-Control", "no-cache"}, {"X", "y"}, {"Cache-Control", "max-age=0"}}),
            "Cache-Control: private, no-cache\nX: y\nCache-Control: max-age=0\n");
}

TEST_F(Closed, OnlyWhatOpensItGoes) {
  EXPECT_EQ(cache_control("public, max-age=60"), "Cache-Control: private, max-age=60\n");
  EXPECT_EQ(cache_control("Public , s-maxage=60,proxy-revalidate"),
            "Cache-Control: private, proxy-revalidate\n");
  EXPECT_EQ(cache_control("public, x=\"a, public, b\", no-cache=\"Set-Cookie, X\""),
            "Cache-Control: private, x=\"a, public, b\", no-cache=\"Set-Cookie, X\"\n");
  EXPECT_EQ(cache_control("public, private"), "Cache-Control: private\n");
  EXPECT_EQ(cache_control("s-maxage=60, no-store"), "Cache-Control: no-store\n");
  EXPECT_EQ(close({{"Cache-Control", "no-cache"}, {"Cache-Control", "public"}}),
            "Cache-Control: private, no-cache\n");
}

TEST_F(Closed, AQuoteThatIsNeverClosedHidesNothing) {
  EXPECT_EQ(cache_control("x=\"a, public"), "Cache-Control: private, x=\"a, public\n");
  EXPECT_EQ(cache_control("no-cache, x=\"\\\", no-store"),
            "Cache-Control: private, no-cache, x=\"\\\", no-store\n");
}

TEST_F(Closed, FieldsThatOneVendorObeysFirstGo) {
  for (const char* name : {"CDN-Cache-Control", "cdn-cache-control", "Cloudflare-CDN-Cache-Control",
                           "Vercel-CDN-Cache-Control", "Netlify-CDN-Cache-Control", "Akamai-Cache-Control",
                           "X-LiteSpeed-Cache-Control", "Surrogate-Control", "Edge-Control"}) {
    EXPECT_EQ(close({{name, "max-age=60"}}), "Cache-Control: private\n") << name;
    EXPECT_EQ(close({{name, "max-age=60"}, {"Cache-Control", "private"}}), "Cache-Control: private\n")
        << name;
    EXPECT_EQ(close({{"Cache-Control", "no-store"}, {name, "max-age=60"}}), "Cache-Control: no-store\n")
        << name;
    EXPECT_EQ(close({{"Cache-Control", "private"}, {name, "no-store"}}),
              "Cache-Control: private\n" + std::string(name) + ": no-store\n");
  }
  for (const char* value : {"60", "@1893456000", "-1", "off"})
    EXPECT_EQ(close({{"X-Accel-Expires", value}, {"Cache-Control", "private"}}), "Cache-Control: private\n");
  EXPECT_EQ(close({{"X-Accel-Expires", "0"}, {"Cache-Control", "private"}}),
            "X-Accel-Expires: 0\nCache-Control: private\n");
  EXPECT_EQ(close({{"X-Reverse-Proxy-TTL", "600"}}), "Cache-Control: private\n");
  EXPECT_EQ(close({{"Edge-Control", "!no-store, cache-maxage=1d"}}), "Cache-Control: private\n");
  EXPECT_EQ(close({{"Edge-Control", "bypass-cache"}}, Method::post), "Edge-Control: bypass-cache\n");
  EXPECT_EQ(close({{"CDN-Cache-Control", "max-age=60"}}, Method::post), "Cache-Control: private\n");
  EXPECT_EQ(close({{"Surrogate-Key", "a b"}, {"Cache-Tag", "c"}}, Method::post),
            "Surrogate-Key: a b\nCache-Tag: c\n");
}

// Where Surrogate-Control is, some caches do not look at Cache-Control: what asks for ESI stays, with
// `no-store`.
TEST_F(Closed, WhatASurrogateHasToProcessStays) {
  EXPECT_EQ(close({{"Surrogate-Control", "max-age=3600, content=\"ESI/1.0 X/1.0\""}}),
            "Surrogate-Control: no-store, content=\"ESI/1.0 X/1.0\"\nCache-Control: private\n");
  EXPECT_EQ(close({{"Surrogate-Control", "max-age=60;varnish, no-store;varnish"}}),
            "Cache-Control: private\n");
}

class Offered : public ::testing::Test {
 protected:
  bool offered(const Fields& fields, Method method = Method::get, std::uint16_t status = 200) {
    std::vector<Field> head;
    for (const auto& [name, value] : fields) head.push_back({name, value, known_field(name)});
    return offered_to_shared_caches(method, status, head, now_);
  }
  bool by(const std::string& line) { return offered({{"Cache-Control", line}}); }
  Clock::Wall now_{std::chrono::seconds(1767225600)};  // 2026-01-01
};

TEST_F(Offered, ByALifetimeOrByPublic) {
  for (const char* line : {"public", "max-age=60", "max-age=31536000, immutable", "s-maxage=60",
                           "max-age=0, s-maxage=60", "public, max-age=0", "must-revalidate, max-age=60",
                           "max-age=\"60\"", "no-store, must-understand, max-age=60"})
    EXPECT_TRUE(by(line)) << line;
  for (const char* line : {"", "private", "no-store", "max-age=60, private", "public, no-store", "no-cache",
                           "no-cache, max-age=60", "max-age=0", "max-age=60, s-maxage=0", "no-transform",
                           "x=\"public, max-age=60\"", "max-age=x"})
    EXPECT_FALSE(by(line)) << line;
  EXPECT_FALSE(offered({}));
}

TEST_F(Offered, ByADateThatHasNotPassed) {
  for (const char* date : {"Thu, 01 Jan 2037 00:00:00 GMT", "Friday, 31-Dec-27 23:59:59 GMT",
                           "Sun Jan  1 00:00:00 2034", "Fri, 31 Dec 9999 23:59:59 GMT"})
    EXPECT_TRUE(offered({{"Expires", date}})) << date;
  for (const char* date :
       {"0", "-1", "", "Thu, 19 Nov 1981 08:52:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "tomorrow",
        "Thu, 01 Jan 2037 00:00:00 GMT and something that is too long to be a date"})
    EXPECT_FALSE(offered({{"Expires", date}})) << date;
  const std::pair<std::string, std::string> later{"Expires", "Thu, 01 Jan 2037 00:00:00 GMT"};
  EXPECT_FALSE(offered({later, {"Cache-Control", "max-age=0"}})) << "RFC 9111 5.3: max-age counts more";
  EXPECT_FALSE(offered({later, {"Cache-Control", "no-cache"}}));
  EXPECT_FALSE(offered({later, {"Cache-Control", "private"}}));
}

TEST_F(Offered, ByAFieldForOneVendorWhateverCacheControlSays) {
  for (const char* name : {"CDN-Cache-Control", "Surrogate-Control", "Cloudflare-CDN-Cache-Control"}) {
    EXPECT_TRUE(offered({{"Cache-Control", "private"}, {name, "max-age=60"}})) << name;
    EXPECT_FALSE(offered({{name, "no-store"}})) << name;
    EXPECT_FALSE(offered({{name, "max-age=0"}})) << name;
  }
  EXPECT_TRUE(offered({{"X-Accel-Expires", "60"}, {"Cache-Control", "no-store"}}));
  EXPECT_FALSE(offered({{"X-Accel-Expires", "0"}}));
  EXPECT_FALSE(offered({{"Surrogate-Control", "content=\"ESI/1.0\""}}));
}

// Its session lives where it was begun: without our token beside the app's cookie, the next request is served
// elsewhere.
TEST_F(Offered, NotBesideACookieOfTheApps) {
  EXPECT_FALSE(offered({{"Cache-Control", "public, max-age=60"}, {"Set-Cookie", "SID=1"}}));
}

// RFC 9111 3, RFC 9110 9.2.3 and 9.3.3: no cache answers another request with these, whatever they say.
TEST_F(Offered, NotWhereNoCacheMayUseItAgain) {
  const Fields line{{"Cache-Control", "public, max-age=60"}};
  const Fields date{{"Expires", "Thu, 01 Jan 2037 00:00:00 GMT"}};
  const Fields vendor{{"CDN-Cache-Control", "max-age=60"}};
  for (const Fields& fields : {line, date, vendor}) {
    for (const Method m : {Method::put, Method::delete_, Method::options, Method::post, Method::patch})
      EXPECT_FALSE(offered(fields, m));
    EXPECT_FALSE(offered(fields, Method::get, 101));
    for (const Method m : {Method::get, Method::head, Method::other}) {
      EXPECT_TRUE(offered(fields, m));
      EXPECT_TRUE(offered(fields, m, 404));
    }
    Fields located = fields;
    located.emplace_back("Content-Location", "/x");
    EXPECT_TRUE(offered(located, Method::post));
    EXPECT_FALSE(offered(located, Method::put));
  }
}

}  // namespace
}  // namespace remora
