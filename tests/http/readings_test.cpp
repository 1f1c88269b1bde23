// How servers read a path: by table, and how much of it.

#include "http/readings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace remora {
namespace {

std::set<std::string> readings_of(std::string_view path) {
  std::set<std::string> out;
  const auto keep = [&](const Reading& r) {
    out.emplace(r.path);
    return true;
  };
  EXPECT_EQ(for_each_reading(path, keep), Reviewed::all) << path;
  return out;
}

TEST(Readings, APlainPathHasOne) {
  for (const char* plain :
       {"/", "/a", "/a/b.js", "/a-b/c_d/e~f", "/a/b/", "/a:b", "/a.b/c.d", "/v1/items:batch"}) {
    EXPECT_FALSE(has_readings(plain)) << plain;
    EXPECT_EQ(readings_of(plain), std::set<std::string>{plain});
  }
  EXPECT_FALSE(has_upper_case("/abc/@[]"));
  EXPECT_TRUE(has_upper_case("/abc/Z"));
}

TEST(Readings, EachServersOwn) {
  struct Row {
    const char *path, *reading;
  };
  for (const Row& row : std::vector<Row>{
           {"/x/..;/admin", "/admin"},             // Tomcat: parameters go before dot segments
           {"/x/..;a=b/%2e%2e;/admin", "/admin"},  //
           {"//admin", "/admin"},                  // nginx, Apache: merged
           {"//evil.test/admin", "/admin"},        // PHP's parse_url: another host
           {"/x/..%2fadmin", "/admin"},            // nginx: decoded
           {"/x%5c..%5cadmin", "/admin"},          // IIS: a backslash is a slash
           {"/x\\..\\admin", "/admin"},            //
           {"/x/..%252fadmin", "/admin"},          // two servers in a row
           {"/x/..%25252fadmin", "/admin"},        // or three
           {"/x/..%c0%afadmin", "/admin"},         // overlong UTF-8
           {"/x/%c0%ae%c0%ae/admin", "/admin"},    //
           {"/x/..%e0%80%afadmin", "/admin"},      //
           {"/x/..%f0%80%80%afadmin", "/admin"},   //
           {"/x/..%c0%2fadmin", "/admin"},         // whose second byte is none
           {"/x/..%ef%bc%8fadmin", "/admin"},      // a fullwidth slash
           {"/x/..%25u2215admin", "/admin"},       // %uXXXX, once more encoded
           {"/x/..%25u002fadmin", "/admin"},       //
           {"/admin./", "/admin/"},                // Windows: final dots and spaces
           {"/admin%20", "/admin"},                //
           {"/admin...%20.", "/admin"},            //
           {"/admin%09", "/admin"},                // Java's and Python's strip
           {"/admin%c2%a0", "/admin"},             // JavaScript's trim
           {"/admin:$i30:$INDEX_ALLOCATION/x", "/admin/x"},
           {"/admin%2500.js", "/admin"},                            // C strings
           {"/admin%3fx", "/admin"},                                // parsed once more after it was decoded
           {"/admin%23x", "/admin"},                                //
           {"/admin%3ba=b", "/admin"},                              // Spring: parameters after decoding
           {"/x/..%3b/admin", "/admin"},                            //
           {"/x//../admin", "/admin"},                              // merged first
           {"/x//../admin", "/x/admin"},                            // resolved first
           {"/x/%2e%2e%2f%2e%2e%5cadmin", "/admin"},                //
           {"/(S(lit3py55t21z5v55vlm25s55))/admin/x", "/admin/x"},  // ASP.NET: cookieless values
           {"/x/(A(a)F(f)S(s))/../admin", "/admin"},                //
           {"/ad/(S(x))min", "/admin"},      // from the start of a segment (CVE-2023-36899)
           {"/%28S(x)%29/admin", "/admin"},  //
           {"/x/..%00/admin", "/admin"},     // Jetty: CVE-2021-34429
           {"/admin/../x", "/admin/../x"},   // Express: dots stay
       })
    EXPECT_TRUE(readings_of(row.path).contains(row.reading)) << row.path << " as " << row.reading;
}

TEST(Readings, WorkIsBounded) {
  std::string hostile = "/";
  while (hostile.size() < 16000) hostile += "a;b//..%252f%c0%af\\%2500.%20/";
  std::size_t bytes = 0, count = 0;
  const auto each = [&](const Reading& r) {
    ++count;
    bytes += r.path.size();
    return true;
  };
  EXPECT_EQ(for_each_reading(hostile, each), Reviewed::too_many);
  EXPECT_LE(count, max_readings);
  EXPECT_LE(bytes, max_read_bytes);
  EXPECT_EQ(for_each_reading("/a%20b/%e4%bd%a0%e5%a5%bd/c;d=e//f.", each), Reviewed::all);
  EXPECT_EQ(for_each_reading("/a//b", [](const Reading&) { return false; }), Reviewed::stopped);
}

}  // namespace
}  // namespace remora
