// What a browser makes of a response's Set-Cookie lines (RFC 6265 5.3).

#include "affinity/set_cookie.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora {
namespace {

constexpr std::int64_t now = 1700000000;

CookieOutcome outcome(const std::vector<std::string>& lines, std::string_view path = "/x") {
  static std::vector<std::string> kept;
  kept = lines;
  std::vector<Field> fields;
  for (const std::string& line : kept) fields.push_back({"Set-Cookie", line, Known::set_cookie});
  return cookie_outcome(fields, "SID", path, now);
}

TEST(SetCookie, EverySpellingOfADeletionIsOne) {
  for (const char* line : {
           "SID=; Path=/",
           "SID=\"\"; Path=/",
           "SID=deleted; Path=/",  // PHP
           "SID=x; Max-Age=0",
           "SID=x; max-age=-1",
           "SID=x; MAX-AGE = 00",
           "SID=x; Max-Age=60; Max-Age=0",
           "SID=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
           "SID=x; expires=Thu, 01-Jan-70 00:00:10 GMT",
           "SID=x; expires=Tue, 12-Oct-1999 04:00:00 GMT",
           "SID=x; Expires=Sat, 01 Jan 2000 00:00:00 GMT",
           "SID=x; Expires=Tue, 14 Nov 2023 22:13:19 GMT",  // a second ago
           "SID=x; Expires=\"Fri, 01-Jan-1990 00:00:00 GMT\"",
           "SID=x; Expires=Thu Jan  1 00:00:00 1970",
           "SID=expire; Max-Age=0",  // httpie/cli #1584
           "SID=x; Expires=Fri, 31 Dec 9999 23:59:59 GMT; Max-Age=0",
       }) {
    EXPECT_TRUE(outcome({line}).cleared) << line;
    EXPECT_EQ(outcome({line}).id, "") << line;
  }
}

TEST(SetCookie, WhatBrowsersKeepIsNoDeletion) {
  for (const char* line : {
           "SID=x",
           "SID=x; Max-Age=1",
           "SID=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60",  // Max-Age counts more
           "SID=x; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
           "SID=x; Max-Age=",
           "SID=x; Max-Age=soon",
           "SID=x; Max-Age=0.5",
           "SID=x; Max-Age=+0",
           "SID=x; Max-Age",
           "SID=x; Expires=0",  // no date
           "SID=x; Expires=1970-01-01",
           "SID=x; Expires=Tue, 14 Nov 2023 22:13:21 GMT",  // in a second
           "SID=x; Comment=Max-Age=0",
           "SID=\"x\"; Version=1",
       }) {
    EXPECT_FALSE(outcome({line}).cleared) << line;
    EXPECT_EQ(outcome({line}).id, "x") << line;
  }
  EXPECT_FALSE(outcome({"SIDX=; Max-Age=0", "sid=; Max-Age=0", "SID"}).cleared);
}

// httpie/cli #1584, vercel/edge-runtime #341: both lines are meant.
TEST(SetCookie, ADeletionForAnotherPathOrDomainSaysNothingOfTheLivingOne) {
  for (const char* deletion : {"SID=; Path=/app; Max-Age=0", "SID=; Domain=.a.test; Path=/; Max-Age=0",
                               "SID=; Max-Age=0; Path=/x/y", "SID=deleted; Path=/old; Max-Age=0"}) {
    for (const bool first : {false, true}) {
      const std::string living = "SID=new; Path=/; HttpOnly";
      const CookieOutcome o = first ? outcome({deletion, living}) : outcome({living, deletion});
      EXPECT_EQ(o.id, "new") << deletion;
      EXPECT_FALSE(o.cleared) << deletion;
    }
  }
}

TEST(SetCookie, OfLinesForTheSameCookieTheLastCounts) {
  EXPECT_EQ(outcome({"SID=expire; Path=/; Max-Age=0", "SID=new; Path=/"}).id, "new");
  EXPECT_TRUE(outcome({"SID=new; Path=/", "SID=; Path=/; Max-Age=0"}).cleared);
  EXPECT_TRUE(outcome({"SID=new; Domain=A.test", "SID=; domain=.a.TEST; Max-Age=0"}).cleared);
  EXPECT_EQ(outcome({"SID=a; Path=/", "SID=b; Path=/"}).id, "b");
  // Without Path the cookie's path is that of the request (RFC 6265 5.1.4).
  EXPECT_TRUE(outcome({"SID=new", "SID=; Path=/dir; Max-Age=0"}, "/dir/page").cleared);
  EXPECT_EQ(outcome({"SID=new", "SID=; Path=/; Max-Age=0"}, "/dir/page").id, "new");
}

TEST(SetCookie, ADeletionOfACookieThatThisRequestCannotHaveSentIsNoLogout) {
  EXPECT_FALSE(outcome({"SID=; Path=/old; Max-Age=0"}, "/x").cleared);
  EXPECT_FALSE(outcome({"SID=; Path=/old; Max-Age=0"}, "/older/x").cleared);
  EXPECT_TRUE(outcome({"SID=; Path=/old; Max-Age=0"}, "/old/x").cleared);
  EXPECT_TRUE(outcome({"SID=; Path=/old/; Max-Age=0"}, "/old/x").cleared);
  EXPECT_TRUE(outcome({"SID=; Path=/old; Max-Age=0", "SID=; Path=/; Max-Age=0"}, "/x").cleared);
}

TEST(SetCookie, ManyLinesAreBounded) {
  std::vector<std::string> lines(100, "SID=; Path=/p; Max-Age=0");
  lines.push_back("SID=last; Path=/");
  EXPECT_EQ(outcome(lines).id, "last");
}

}  // namespace
}  // namespace remora
