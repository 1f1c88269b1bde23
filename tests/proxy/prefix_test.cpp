// strip_prefix takes off what the route matched, however it was spelled, and makes no other host of it.

#include "proxy/prefix.h"

#include <gtest/gtest.h>

#include "http/target.h"

namespace remora {
namespace {

std::string strip(std::string_view target, std::string_view prefix = "/beta") {
  TextArena arena;
  const Stripped s = without_prefix(target, prefix, arena);
  return s.stripped ? std::string(s.target) : "whole " + std::string(s.target);
}

// traefik/traefik #12863 and #2382, caddyserver/caddy #4801, golang/go #24366
TEST(StripPrefix, TakesEverySpellingThatTheRouteTook) {
  struct Row {
    const char *target, *left;
  };
  for (const Row& row : std::vector<Row>{
           {"/beta", "/"},
           {"/beta/", "/"},
           {"/beta/x", "/x"},
           {"/beta?x=1", "/?x=1"},
           {"/beta/?x=1", "/?x=1"},
           {"/beta/x/?a=/beta/", "/x/?a=/beta/"},
           {"/%62eta/x", "/x"},
           {"/b%65ta/x%2fy", "/x%2fy"},
           {"/b%65t%61", "/"},
           {"/%62%65%74%61?q", "/?q"},
           {"/x/../beta/y", "/y"},
           {"/x/%2e%2e/beta/y", "/y"},
           {"/x/%2E./beta/y", "/y"},
           {"/./beta/x", "/x"},
           {"/%2e/beta/x", "/x"},
           {"/../beta/x", "/x"},
           {"/beta/./x", "/x"},
           {"/beta/.", "/"},
           {"/beta/x/..", "/"},
           {"/beta/x/../../beta/y", "/y"},
           {"/beta/x/../y%2e", "/y%2e"},  // what is left stays as it was sent
           {"/beta/%7Euser", "/%7Euser"},
           {"/beta/a%20b", "/a%20b"},
           {"/beta/100%25", "/100%25"},
           {"/beta/x?..%2f..=/../", "/x?..%2f..=/../"},
           {"/beta/x?100%", "/x?100%"},
       })
    EXPECT_EQ(strip(row.target), row.left) << row.target;
}

TEST(StripPrefix, NeverMakesANetworkPath) {
  struct Row {
    const char *target, *left;
  };
  for (const Row& row : std::vector<Row>{
           {"/beta//evil.example/", "/evil.example/"},
           {"/beta///evil.example/", "/evil.example/"},
           {"/beta/\\evil.example/", "/evil.example/"},
           {"/beta/\\/evil.example", "/evil.example"},
           {"/beta/\\\\evil.example", "/evil.example"},
           {"/b%65ta//evil.example", "/evil.example"},
           {"/beta/.//evil.example", "/evil.example"},
           {"/beta/x/..//evil.example", "/evil.example"},
           {"/x/..//../beta//evil.example?a=//b", "/evil.example?a=//b"},
           {"/beta//", "/"},
           {"/beta/\\", "/"},
           {"/beta//?//evil.example", "/?//evil.example"},
       })
    EXPECT_EQ(strip(row.target), row.left) << row.target;
}

TEST(StripPrefix, LeavesOtherTargetsWhole) {
  for (const char* other : {"/", "/x", "/betamax", "/bet", "/BETA/x", "/beta%2fx", "/beta;v=1/x", "/beta/..",
                            "/beta/../x", "/beta/%2e%2e/x", "//beta/x", "/x//../beta", "*", "", "/%zz", "/%"})
    EXPECT_EQ(strip(other), "whole " + std::string(other)) << other;
  for (const char* none : {"", "/"}) EXPECT_EQ(strip("/beta/x", none), "whole /beta/x");
}

TEST(StripPrefix, MayBeWrittenInManyWaysItself) {
  EXPECT_EQ(strip("/beta/x", "/beta/"), "/x");
  EXPECT_EQ(strip("/a~b/x", "/a%7Eb"), "/x");
  EXPECT_EQ(strip("/a%7eb/x", "/a~b"), "/x");
  for (const char* cafe : {"/caf%C3%A9", "/caf%c3%a9", "/caf\xc3\xa9"})
    for (const char* prefix : {"/caf%C3%A9", "/caf%c3%a9", "/caf\xc3\xa9"})
      EXPECT_EQ(strip(std::string(cafe) + "/\xc3\xa9%c3%a9", prefix), "/\xc3\xa9%c3%a9");
  EXPECT_EQ(strip("/a%20b/x", "/a%20b"), "/x");
  EXPECT_EQ(strip("/api/v1/x", "/api"), "/v1/x");
}

/// What is stripped is what path_covers() sees in the normal form.
TEST(StripPrefix, AgreesWithTheNormalFormOfPaths) {
  const char* const pieces[] = {"/", ".", "%2e", "beta", "b%65ta", "x", "//", "..", "%2f", ";a"};
  constexpr std::size_t count = std::size(pieces);
  for (std::size_t n = 0; n < count * count * count * count; ++n) {
    std::string path = "/";
    for (std::size_t k = 0, rest = n; k < 4; ++k, rest /= count) path += pieces[rest % count];
    std::string normal;
    normalize_path(path, normal);
    TextArena arena;
    const Stripped s = without_prefix(path, "/beta", arena);
    ASSERT_EQ(s.stripped, path_covers("/beta", normal)) << path << " " << normal;
    if (!s.stripped) continue;
    std::string left;
    normalize_path(s.target, left);
    std::string wanted = normal.substr(5);
    while (wanted.starts_with("//")) wanted.erase(0, 1);
    ASSERT_EQ(left, wanted.empty() ? "/" : wanted) << path;
  }
}

}  // namespace
}  // namespace remora
