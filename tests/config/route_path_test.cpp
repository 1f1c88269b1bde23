// Paths of routes: one spelling for all that say the same (RFC 3986 2.4, 6.2.2), and none that never matches.

#include "config/route_path.h"

#include <gtest/gtest.h>

namespace remora::config {
namespace {

TEST(RoutePath, HasOneSpelling) {
  for (const char* cafe : {"/caf%C3%A9", "/caf%c3%a9", "/caf\xc3\xa9", "/caf\xc3%A9"})
    EXPECT_EQ(escaped_path(cafe), "/caf%C3%A9") << cafe;
  EXPECT_EQ(escaped_path("/a b"), "/a%20b");
  EXPECT_EQ(escaped_path("/\"<>[]^`{|}"), "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D");
  for (const char* plain : {"/", "/a/b", "/~u", "/it's", "/a+b", "/a%2fb", "/%", "/a%2", ""})
    EXPECT_EQ(escaped_path(plain), plain);
}

TEST(RoutePath, MayBeAnythingThatServersReadAlike) {
  for (const char* path : {"/", "/a", "/a/b", "/caf%c3%a9", "/caf\xc3\xa9", "/a b", "/a%20b", "/~u", "/it's",
                           "/a+b", "/a.b", "/.well-known", "/A,b=c&d@e:f!$(g)", "/[x]"})
    EXPECT_EQ(never_matches(path, true), "") << path;
}

TEST(RoutePath, ThatNeverMatchesSaysWhatToWrite) {
  struct Row {
    const char *path, *instead;
  };
  for (const Row& row : std::vector<Row>{{"/x;y", "'/x'"},         {"/x;y/z", "'/x'"},
                                         {"/a%2fb", "'/a'"},       {"/A%2FB", "'/A'"},
                                         {"/a/%2f", "'/a'"},       {"/%5c", "'/'"},
                                         {"/a\\b", "'/a'"},        {"/a%25b", "'/a'"},
                                         {"/a%zz", "'/a'"},        {"/a%3Bb", "'/a'"},
                                         {"/%61dmin", "'/admin'"}, {"/%61;b", "'/a'"},
                                         {"/%7Eu", "'/~u'"},       {"/a%2Db", "'/a-b'"},
                                         {"/a%2bb", "'/a+b'"},     {"/it%27s/%c3%a9", "'/it's/%c3%a9'"},
                                         {"//a", "'/a'"},          {"/a//b", "'/a/b'"},
                                         {"/a/../b", "'/b'"},      {"/./a", "'/a'"},
                                         {"/a.", "'/a'"},          {"/a%20", "'/a'"},
                                         {"/%20a/b", "'/a/b'"}})
    EXPECT_TRUE(never_matches(row.path, true).ends_with(std::string("write ") + row.instead))
        << row.path << ": " << never_matches(row.path, true);
  EXPECT_NE(never_matches("/a\n", true), "");
}

TEST(RoutePath, OfARedirectNeedsNoAgreement) {
  for (const char* path : {"/x;y", "/a%2fb", "//a", "/a.", "/old%20"})
    EXPECT_EQ(never_matches(path, false), "");
  EXPECT_NE(never_matches("/%61", false), "");
}

}  // namespace
}  // namespace remora::config
