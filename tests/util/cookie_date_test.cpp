// RFC 6265 5.1.1: the dates that browsers take in cookies.

#include "util/cookie_date.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(CookieDate, AllFormsThatServersWriteAreOneDate) {
  for (const char* text : {
           "Sun, 06 Nov 1994 08:49:37 GMT",   // RFC 9110 5.6.7, preferred
           "Sunday, 06-Nov-94 08:49:37 GMT",  // RFC 850
           "Sun Nov  6 08:49:37 1994",        // asctime
           "Sun, 06-Nov-1994 08:49:37 GMT",   // Netscape, PHP
           "06 Nov 1994 08:49:37",
           "6 November 1994 8:49:37 UTC",
           "Sun, 6 nov 1994 08:49:37 +0000",
           "Sun,06-NOV-1994,08:49:37",
           "08:49:37 Nov 6 94",
       })
    EXPECT_EQ(parse_cookie_date(text), 784111777) << text;
}

TEST(CookieDate, YearsOfTwoDigits) {
  EXPECT_EQ(parse_cookie_date("Thu, 01-Jan-70 00:00:01 GMT"), 1);
  EXPECT_EQ(parse_cookie_date("Fri, 01-Jan-99 00:00:00 GMT"), 915148800);
  EXPECT_EQ(parse_cookie_date("Tue, 01-Jan-69 00:00:00 GMT"), 3124224000);  // 2069
  EXPECT_EQ(parse_cookie_date("Mon, 01-Jan-01 00:00:00 GMT"), 978307200);
}

TEST(CookieDate, FarDatesDoNotOverflow) {
  EXPECT_GT(parse_cookie_date("Fri, 31 Dec 9999 23:59:59 GMT"), 200000000000);
  EXPECT_LT(parse_cookie_date("Mon, 01 Jan 1601 00:00:00 GMT"), -11000000000);
}

TEST(CookieDate, WhatBrowsersIgnoreIsNoDate) {
  for (const char* text :
       {"", "0", "-1", "never", "Thu, 01 Jan 1970", "00:00:00 1970", "32 Jan 1970 00:00:00",
        "31 Feb 1970 00:00:00", "01 Jan 1600 00:00:00", "01 Jan 1970 24:00:00", "01 Jan 1970 00:60:00",
        "01 Jan 1970 000:00:00", "1970-01-01T00:00:00Z", "0x1"})
    EXPECT_EQ(parse_cookie_date(text), std::nullopt) << text;
}

}  // namespace
}  // namespace remora
