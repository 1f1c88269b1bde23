// A guard on a path holds for each spelling of it: by table, and by spellings put together at random.

#include <gtest/gtest.h>

#include <random>

#include "http/h1/head.h"
#include "http/readings.h"
#include "proxy/route.h"
#include "proxy/snapshot.h"

namespace remora {
namespace {

config::Route route(const char* path, const char* verifier = "", const char* host = "") {
  config::Route r;
  r.host = host;
  r.path = path;
  r.pool = "app";
  r.verifier = verifier;
  return r;
}

class Routing : public ::testing::Test {
 protected:
  Routing() { use({route("/admin", "main"), route("/", "", ""), route("/", "main", "secure.test")}); }
  void use(const std::vector<config::Route>& routes) {
    auto router = std::make_shared<Router>(routes, std::vector<std::string>{"app"});
    config::Jwt main;
    main.name = "main";
    router->set_verifiers({main}, {{}});
    snapshot_.router = router;
  }
  /// "refused", "none", or the path of the route.
  std::string ask(const std::string& target, const std::string& host = "a",
                  const std::string& method = "GET") {
    const std::string text = method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
    RequestHead head;
    if (parse_request_head(text, limits_, head).status != Parsed::Status::ok) return "refused";
    arena_.clear();
    const Routed routed = choose_route(snapshot_, head, arena_);
    if (routed.refused != nullptr) return "refused";
    return routed.route == nullptr ? "none" : routed.route->config.host + routed.route->config.path;
  }
  config::ListenerLimits limits_;
  Snapshot snapshot_;
  TextArena arena_;
};

TEST_F(Routing, WhatAllServersReadAlikeGoesItsWay) {
  for (const char* guarded :
       {"/admin", "/admin/", "/admin/x", "/%61dmin", "/x/../admin", "/./admin", "/x/%2e%2e/admin",
        "/x/.%2e/admin", "/admin/a%2fb", "/admin//x", "/admin/x;a=b", "/admin/X", "/admin?/../x"})
    EXPECT_EQ(ask(guarded), "/admin") << guarded;
  for (const char* open : {"/",
                           "/x",
                           "/administrator",
                           "/admin.js",
                           "/a%20b",
                           "/a%2fb",
                           "/a;b=c/d",
                           "//x",
                           "/X/Y",
                           "/x.",
                           "/x/..",
                           "/%e4%bd%a0",
                           "/x\\y",
                           "/100%25",
                           "/a%253d",
                           "/.well-known/x",
                           "/x?/admin",
                           "/x?..%2fadmin",
                           "/x/admin",
                           "/x//admin",
                           "/x;/admin",
                           "/a+b",
                           "/wiki/what%3f"})
    EXPECT_EQ(ask(open), "/") << open;
}

TEST_F(Routing, NoSpellingOfAGuardedPathPassesTheGuard) {
  const char* const spellings[] = {
      // Empty segments, hosts in disguise
      "//admin",
      "///admin/x",
      "/.//admin",
      "//x/admin",
      "//evil.test/admin",
      "/x/..//admin",
      "//./admin",
      "/%2fadmin",
      "/%2f%2fadmin",
      "/x//../..//admin",
      // Parameters
      "/admin;a=b",
      "/admin;a=b/x",
      "/admin;",
      "/;/admin",
      "/;a=b/admin",
      "/x/..;/admin",
      "/x/..;a=b/admin",
      "/x/..;jsessionid=q/admin",
      "/;jsessionid=q/admin",
      "/x/..;rsid=q/admin",
      "/..;rsid=q/admin",
      "/;rsid=q/admin",
      "/x/..;rsid=1;rsid=2/admin",
      "/x/.;/../admin",
      "/x/;/..;/..;/admin",
      "/x/..;a=b/%2e%2e;/admin",
      "/admin%3ba=b",
      "/admin%3B",
      "/x/..%3b/admin",
      "/x/..%3Ba=b/admin",
      "/%3b/admin",
      "/x/%2e%2e;/admin",
      "/x/.%2e;a/admin",
      "/x/..;%2fadmin",
      "/x/..%253b/admin",
      "/admin%253ba=b",
      // Escaped slashes and backslashes
      "/admin%2f",
      "/admin%2fx",
      "/admin%2Fx",
      "/x/..%2fadmin",
      "/x%2f..%2fadmin",
      "/x%2F..%2Fadmin",
      "/x/%2e%2e%2fadmin",
      "/x%2f%2e%2e%2fadmin",
      "/admin%5cx",
      "/x/..%5cadmin",
      "/x%5c..%5cadmin",
      "/\\admin",
      "\\admin",
      "/x\\..\\admin",
      "/x/..\\admin",
      "/x\\../admin",
      "/admin\\",
      "/admin\\x",
      "/.\\admin",
      "/%5cadmin",
      "/%5C%5Cadmin",
      // Twice and more
      "/x/..%252fadmin",
      "/admin%252fx",
      "/admin%252f",
      "/x%252f..%252fadmin",
      "/%2561dmin",
      "/%252fadmin",
      "/x/%252e%252e/admin",
      "/x/%252e%252e%252fadmin",
      "/x/..%255cadmin",
      "/x/..%25252fadmin",
      "/%252561dmin",
      "/x/..%25%32%66admin",
      "/%25%36%31dmin",
      "/x/..%25 32 66admin",
      // Overlong, malformed and fullwidth
      "/%c0%af..%c0%afadmin",
      "/x/..%c0%afadmin",
      "/x/%c0%ae%c0%ae/admin",
      "/%C0%AE%C0%AE/admin/",
      "/%c0%aeadmin/../admin",
      "/x/..%e0%80%afadmin",
      "/x/%e0%80%ae%e0%80%ae/admin",
      "/x/..%f0%80%80%afadmin",
      "/x/..%c1%9cadmin",
      "/x/..%c0%2fadmin",
      "/x/%c0.%c0./admin/../../admin%2f",
      "/x/..%25c0%25afadmin",
      "/x/..\xc0\xaf/admin",
      "/x/..%ef%bc%8fadmin",
      "/x/%ef%bc%8e%ef%bc%8e/admin",
      "/%ef%bd%81dmin",
      "/%c1%a1dmin",
      "/%e0%81%a1dmin",
      // %u
      "/x/..%u002fadmin",
      "/x/..%25u002fadmin",
      "/x/..%25u2215admin",
      "/%25u0061dmin",
      "/x/%25u002e%25u002e/admin",
      "/x/..%25uff0fadmin",
      // Letter case
      "/ADMIN",
      "/Admin",
      "/admiN/x",
      "/x/../aDmin",
      "/%41dmin",
      "/ADMIN%2fx",
      "//ADMIN",
      "/x/..;/ADMIN",
      // Final dots, spaces, streams, ends of strings
      "/admin.",
      "/admin./x",
      "/admin...",
      "/admin%20",
      "/admin%20/x",
      "/admin.%20",
      "/admin%20.",
      "/admin%09",
      "/admin%0a",
      "/admin%0d%0a",
      "/admin%0b",
      "/admin%0c",
      "/admin%1f",
      "/admin%7f",
      "/admin%85",
      "/admin%a0",
      "/admin\xa0",
      "/admin%c2%a0",
      "/admin%c2%85",
      "/%20admin",
      "/admin%e3%80%80",
      "/admin%ef%bb%bf",
      "/admin:$i30:$INDEX_ALLOCATION/x",
      "/admin::$INDEX_ALLOCATION",
      "/admin%00",
      "/admin%00.js",
      "/admin%2500",
      "/admin%2500.js",
      "/admin%3f",
      "/admin%3fx=y",
      "/admin%23",
      "/admin%253f",
      "/x/..%20/admin",
      "/x/.. /admin",
      "/x/..%00/admin",  // Jetty (CVE-2021-34429)
      "/.%00/admin",
      "/x/%u002e%u002e/admin",
      "/admin%3b/x",
      "/admin;.js",
      "/admin/;/",
      "/admin%3f.css",  // Apache (CVE-2024-38474)
      "/x/..%0d%0a/admin",
      "/(S(x))/admin",  // ASP.NET's cookieless sessions (CVE-2023-36899)
      "/(s(x))/admin/y",
      "/x/(S(y))/../admin",
      "/ad/(S(x))min",
      "/(A(a)F(f)S(s))/admin",
      "/%28S(x)%29/admin",
      "/(S(x));a/ADMIN",
      "/admin/(S(x))",
      // For servers that do not resolve dot segments
      "/admin/..",
      "/admin/../x",
      "/admin/%2e%2e/x",
      "/admin/x/../../y",
      "/admin/..;/x",
      "/admin/..%2f..%2fx",
  };
  std::size_t count = 0;
  for (const char* spelling : spellings) {
    ++count;
    const std::string got = ask(spelling);
    EXPECT_NE(got, "/") << spelling;
    EXPECT_NE(got, "none") << spelling;
  }
  EXPECT_GE(count, 100U);
}

TEST_F(Routing, NorDoesOnePutTogetherAtRandom) {
  std::mt19937 random(20);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto encoded = [&](std::string text) {  // a character, or all of them, escaped a few times
    for (std::size_t rounds = below(3); rounds > 0; --rounds) {
      std::string out;
      for (const char c : text) {
        static const char* const digits = "0123456789abcdef";
        const auto u = static_cast<unsigned char>(c);
        if (below(3) == 0)
          out.append("%").append(1, digits[u >> 4]).append(1, digits[u & 15]);
        else
          out += c;
      }
      text = out;
    }
    return text;
  };
  const auto one_of = [&](std::initializer_list<const char*> list) {
    return std::string(*(list.begin() + below(list.size())));
  };
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string path =
        one_of({"", "/x/..", "/x/..;a", "/.", "/;p", "/x\\..", "/", "/x/y/../..", "/x/../y;b/.."});
    path += one_of({"/", "/", "//", "\\", "/./", "\xc0\xaf"});
    path += one_of({"admin", "Admin", "ADMIN", "admin;a=b", "admin.", "admin "});
    path += one_of({"", "/", "/x", "\\x", ";b/x", "//"});
    std::string target;
    for (const char c : path) target += encoded(std::string(1, c));
    if (target.front() != '/') target.insert(0, "/");
    std::string text;  // a raw space ends the target
    for (const char c : target) text += c == ' ' ? "%20" : std::string(1, c);
    const std::string got = ask(text);
    ASSERT_NE(got, "/") << text << " of " << path;
    ASSERT_NE(got, "none") << text << " of " << path;
    refused += got == "refused" ? 1 : 0;
  }
  EXPECT_GT(refused, 10'000);
}

TEST_F(Routing, ASingleRouteTakesEverything) {
  use({route("/", "main")});
  for (const char* target : {"//admin", "/x/..;/admin", "/ADMIN", "/x/..%2fadmin", "/admin%00x"})
    EXPECT_EQ(ask(target), std::string(target).find("%00") == std::string::npos ? "/" : "refused") << target;
}

TEST_F(Routing, OurOwnTokenLeavesNoWayBehind) {
  snapshot_.url_secrets.push_back({config::UrlStyle::path, "rsid"});
  for (const char* target : {"/x/..;rsid=q/admin", "/..;rsid=q/admin", "/;rsid=q/admin", "/x/%2e%2e;rsid=q/x",
                             "/x/..;rsid=1;rsid=2/admin", "/x/..;rsid=q", "/.;rsid=q/x"})
    EXPECT_EQ(ask(target), "refused") << target;
  // An id of the app's, and whatever is no token of ours, stays in what is sent.
  for (const char* target : {"/x;rsid=%2f..%2f..%2fadmin", "/x;rsid=\\..\\..\\admin", "/x;rsid=%5c..%5cadmin",
                             "/x;rsid=%252f..%252fadmin", "/x;rsid=%c0%af..%c0%afadmin", "/x;rsid=q%00/admin",
                             "/x;rsid=%u002f..%u002fadmin", "/x;rsid=q;rsid=%2F..%2Fadmin", "/x;rsid=%"})
    EXPECT_EQ(ask(target), "refused") << target;
  EXPECT_EQ(ask("/x;rsid=a%3D%2B.node1!123"), "/");
  EXPECT_EQ(ask("/;rsid=q"), "/");
  EXPECT_EQ(ask("/x/y;rsid=q"), "/");
  EXPECT_EQ(ask("/admin;rsid=q"), "/admin");
  EXPECT_EQ(ask("/admin;rsid=q/x"), "/admin");
  EXPECT_EQ(ask("/admin;a;rsid=q/x"), "refused");
}

TEST_F(Routing, HostsWithOneFinalDotAreTheSame) {
  for (const char* host :
       {"secure.test", "SECURE.test:80", "secure.test.", "secure.test.:80", "secure.test:"})
    EXPECT_EQ(ask("/", host), "secure.test/") << host;
  for (const char* host :
       {"secure.test..", "secure..test", ".secure.test", ".", "..", "secure%2etest", "..:80"})
    EXPECT_EQ(ask("/", host), "refused") << host;
  EXPECT_EQ(ask("http://a/admin", "a"), "/admin");
  EXPECT_EQ(ask("http://a//admin", "a"), "refused");
  EXPECT_EQ(ask("*", "a", "OPTIONS"), "/");
}

TEST_F(Routing, RoutesWithCapitalLettersAreGuardedToo) {
  use({route("/Admin", "main"), route("/")});
  EXPECT_EQ(ask("/Admin/x"), "/Admin");
  EXPECT_EQ(ask("/admin"), "refused");
  use({route("/Admin", "main"), route("/admin"), route("/")});  // told apart on purpose
  EXPECT_EQ(ask("/admin"), "/admin");
  EXPECT_EQ(ask("/Admin"), "/Admin");
}

// RFC 3986 2.1 and 2.4: what has no place in a path is the same escaped, in either case of hex, and raw, as
// some clients send it.
TEST_F(Routing, WhatHasToBeEscapedIsTheSameRaw) {
  for (const char* cafe : {"/caf%C3%A9", "/caf%c3%a9", "/caf\xc3\xa9"}) {
    use({route(cafe), route("/")});
    for (const char* sent :
         {"/caf%C3%A9", "/caf%c3%a9", "/caf\xc3\xa9", "/%63af%c3%A9/x", "/x/../caf\xc3%a9/"})
      EXPECT_EQ(ask(sent), cafe) << sent;
    for (const char* other : {"/caf", "/cafe", "/caf%C3%A9s", "/caf%C3", "/x"})
      EXPECT_EQ(ask(other), "/") << other;
    EXPECT_EQ(ask("/caf%25C3%25A9"), "refused") << "a second decoder would make it the other";
  }
  for (const char* spaced : {"/a%20b", "/a b"}) {
    use({route(spaced), route("/")});
    for (const char* sent : {"/a%20b", "/a%20b/x", "/%61%20b"}) EXPECT_EQ(ask(sent), spaced) << sent;
    EXPECT_EQ(ask("/a+b"), "/");
  }
  use({route("/q%22%3C%3e%5B%5d%5E%60%7b%7C%7D"), route("/")});
  for (const char* sent : {"/q%22%3c%3E%5b%5D%5e%60%7B%7c%7d", "/q\"<>[]^`{|}", "/q\"%3c>[%5d^`{%7c}/x"})
    EXPECT_EQ(ask(sent), "/q%22%3C%3e%5B%5d%5E%60%7b%7C%7D") << sent;
}

// The bytes 0xa0 and 0x85 end characters of UTF-8 that are no spaces.
TEST_F(Routing, LettersThatEndInTheByteOfASpaceAreLetters) {
  for (const char* path : {"/voil\xc3\xa0", "/\xd0\xa0", "/\xc3\x85", "/\xe4\xb8\xa0", "/\xf0\x9f\x98\x85"}) {
    use({route(path), route("/")});
    EXPECT_EQ(ask(path), path) << path;
    EXPECT_EQ(ask(std::string(path) + "/x"), path) << path;
  }
  use({route("/admin", "main"), route("/")});
  for (const char* spaced : {"/admin%c2%a0", "/admin%a0", "/admin\x85", "/admin%20"})
    EXPECT_EQ(ask(spaced), "refused") << spaced;
}

}  // namespace
}  // namespace remora
