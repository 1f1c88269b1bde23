// What `remora explain` understands of curl's command lines: those that people have at hand, from the demo, a
// shell's history or a browser's "copy as cURL".

#include "cli/curl.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

namespace remora {
namespace {

std::map<std::string, std::string> files;

/// METHOD SCHEME TARGET | Name: value | ...
std::string read(const std::vector<std::string>& words) {
  const CurlWorld world{[](const std::string& path) -> std::optional<std::string> {
                          const auto it = files.find(path);
                          if (it == files.end()) return std::nullopt;
                          return it->second;
                        },
                        1000};
  try {
    const CurlRequest r = read_curl(words, world);
    std::string out = (r.method.empty() ? "GET" : r.method) +
                      (r.secure ? *r.secure ? " https " : " http " : " - ") + r.target;
    for (const auto& [name, value] : r.headers) out += " | " + name + ": " + value;
    return out;
  } catch (const std::invalid_argument& e) {
    return std::string("refused: ") + e.what();
  }
}

std::string line(const std::string& text) {
  return read({text});
}

TEST(CurlLine, OfTheDemo) {
  files = {{"jar",
            "# Netscape HTTP Cookie File\n\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tremora-app\tT1\n"
            "127.0.0.1\tFALSE\t/cart\tFALSE\t2000\tlong\tL\n127.0.0.1\tFALSE\t/\tFALSE\t999\told\tO\n"
            "other.test\tTRUE\t/\tFALSE\t0\tother\tX\n127.0.0.1\tFALSE\t/\tTRUE\t0\tsecure\tS\n"}};
  EXPECT_EQ(read({"curl", "-i", "-c", "jar", "-b", "jar", "http://127.0.0.1:8080/"}),
            "GET http / | Cookie: remora-app=T1; secure=S | Host: 127.0.0.1:8080");
  EXPECT_EQ(read({"-b", "jar", "http://127.0.0.1:8080/cart/x"}),
            "GET http /cart/x | Cookie: long=L; remora-app=T1; secure=S | Host: 127.0.0.1:8080");
  EXPECT_EQ(read({"-b", "jar", "http://sub.other.test/"}),
            "GET http / | Cookie: other=X | Host: sub.other.test");
  EXPECT_EQ(read({"-bjar", "http://another.test/"}), "GET http / | Host: another.test");
  EXPECT_EQ(read({"-b", "not-yet", "-c", "not-yet", "http://a/"}), "GET http / | Host: a")
      << "as at curl's first call";
  EXPECT_EQ(read({"-b", "jar", "/"}).substr(0, 43), "GET - / | Cookie: remora-app=T1; other=X; s")
      << "a path has no domain";
  EXPECT_EQ(read({"-H", "Host: other.test", "-b", "jar", "http://127.0.0.1/"}),
            "GET http / | Host: other.test | Cookie: other=X");
}

TEST(CurlLine, CookiesInWordsAndFieldsAddUp) {
  EXPECT_EQ(read({"-b", "a=b", "--cookie", "c=d", "-H", "Cookie: e=f", "/"}),
            "GET - / | Cookie: e=f; a=b; c=d");
  EXPECT_EQ(read({"-ba=b; c=d", "/"}), "GET - / | Cookie: a=b; c=d");
}

TEST(CurlLine, MethodsAsCurlChoosesThem) {
  EXPECT_EQ(read({"-I", "/"}), "HEAD - /");
  EXPECT_EQ(read({"-XDELETE", "/"}), "DELETE - /");
  EXPECT_EQ(read({"-X", "PUT", "-d", "x", "/"}), "PUT - / | Content-Type: application/x-www-form-urlencoded");
  EXPECT_EQ(read({"--data-raw", "x", "/"}), "POST - / | Content-Type: application/x-www-form-urlencoded");
  EXPECT_EQ(read({"-d", "@file", "-H", "Content-Type: text/plain", "/"}),
            "POST - / | Content-Type: text/plain");
  EXPECT_EQ(read({"--data-binary={}", "--json", "{}", "/"}), "POST - / | Content-Type: application/json");
  EXPECT_EQ(read({"-F", "a=@b", "/"}), "POST - / | Content-Type: multipart/form-data");
  EXPECT_EQ(read({"-T", "file", "/up"}), "PUT - /up");
  EXPECT_EQ(read({"-G", "-d", "a=1", "--data-urlencode", "q=a b", "/s?x=1"}), "GET - /s?x=1&a=1&q=a%20b");
}

TEST(CurlLine, UrlsAsCurlReadsThem) {
  EXPECT_EQ(read({"https://shop.test:8443/a?b#c"}), "GET https /a?b | Host: shop.test:8443");
  EXPECT_EQ(read({"https://shop.test:443"}), "GET https / | Host: shop.test");
  EXPECT_EQ(read({"http://shop.test:80?x=1"}), "GET http /?x=1 | Host: shop.test");
  EXPECT_EQ(read({"localhost:8080/a"}), "GET http /a | Host: localhost:8080");
  EXPECT_EQ(read({"shop.test"}), "GET http / | Host: shop.test");
  EXPECT_EQ(read({"http://[::1]:8080/"}), "GET http / | Host: [::1]:8080");
  EXPECT_EQ(read({"http://u:p%20w@a/"}), "GET http / | Authorization: Basic dTpwIHc= | Host: a");
  EXPECT_EQ(read({"http://a/x/../y/./z/.."}), "GET http /y/ | Host: a");
  EXPECT_EQ(read({"--path-as-is", "http://a/x/../y"}), "GET http /x/../y | Host: a");
  EXPECT_EQ(read({"--request-target", "*", "-X", "OPTIONS", "http://a"}), "OPTIONS http * | Host: a");
  EXPECT_EQ(read({"http://a/?u=http://b/"}), "GET http /?u=http://b/ | Host: a");
  EXPECT_EQ(read({"HTTPS://a/"}), "GET https / | Host: a");
  EXPECT_EQ(read({"--url", "http://a/"}), "GET http / | Host: a");
  EXPECT_EQ(read({"--", "/-x"}), "GET - /-x");
}

TEST(CurlLine, FieldsOfOptions) {
  EXPECT_EQ(read({"-u", "ann:secret", "/"}), "GET - / | Authorization: Basic YW5uOnNlY3JldA==");
  EXPECT_EQ(read({"--oauth2-bearer", "T", "/"}), "GET - / | Authorization: Bearer T");
  EXPECT_EQ(read({"-A", "old", "-e", "http://r/;auto", "-r", "0-9", "/"}),
            "GET - / | User-Agent: old | Referer: http://r/ | Range: bytes=0-9");
  EXPECT_EQ(read({"-H", "x-a: 1", "-H", "X-A: 2", "-H", "X-B;", "-H", "Accept:", "/"}),
            "GET - / | x-a: 1, 2 | X-B: ");
  EXPECT_EQ(read({"-H", "host: other", "http://a/"}), "GET http / | host: other");
  files = {{"fields", "X-A: 1\r\nX-B: 2\n"}};
  EXPECT_EQ(read({"-H", "@fields", "/"}), "GET - / | X-A: 1 | X-B: 2");
}

TEST(CurlLine, WhatSaysNothingAboutTheRequestIsPassedOver) {
  EXPECT_EQ(read({"-sSkLv",
                  "--resolve",
                  "shop.test:443:127.0.0.1",
                  "--connect-to",
                  "::x:1",
                  "-o",
                  "/dev/null",
                  "-w",
                  "%{http_code}",
                  "--max-time",
                  "5",
                  "-m5",
                  "--http1.1",
                  "--compressed",
                  "--cacert",
                  "ca.pem",
                  "-x",
                  "http://proxy",
                  "--no-buffer",
                  "--unix-socket",
                  "/s",
                  "https://shop.test/"}),
            "GET https / | Host: shop.test");
  EXPECT_EQ(read({"-vXPOST", "/"}), "POST - /");
  EXPECT_EQ(read({"-sIb", "a=b", "/"}), "HEAD - / | Cookie: a=b");
}

TEST(CurlLine, InOnePiece) {
  EXPECT_EQ(line("curl -H 'X-A: it'\\''s' \"http://a/?q=\\\"x\\\"\""),
            "GET http /?q=\"x\" | X-A: it's | Host: a");
  // Chrome's and Firefox's "copy as cURL (bash)".
  EXPECT_EQ(line("curl 'https://shop.test/cart' \\\n  -H 'accept: */*' \\\n  -b 'SID=7' \\\n  --data-raw "
                 "$'{\"a\":\"it\\'s\\u0021\"}' \\\n"
                 "  --compressed"),
            "POST https /cart | accept: */* | Content-Type: application/x-www-form-urlencoded | Cookie: "
            "SID=7 | Host: shop.test");
  EXPECT_EQ(line("curl 'http://a/").substr(0, 8), "refused:");
  EXPECT_EQ(split_like_a_shell(R"(a "" b\ c $'\x41\n' 'd'"e")"),
            (std::vector<std::string>{"a", "", "b c", "A\n", "de"}));
}

TEST(CurlLine, MistakesAreSaid) {
  EXPECT_NE(read({}).find("a URL or a path is missing"), std::string::npos);
  EXPECT_NE(read({"--fancy", "/"}).find("'--fancy' is not understood"), std::string::npos);
  EXPECT_NE(read({"-?", "/"}).find("'-?' is not understood"), std::string::npos);
  EXPECT_NE(read({"-H"}).find("-H wants a value"), std::string::npos);
  EXPECT_NE(read({"-H", "@nowhere", "/"}).find("cannot be read"), std::string::npos);
  EXPECT_NE(read({"/a", "/b"}).find("one URL, not also '/b'"), std::string::npos);
  EXPECT_NE(read({"ftp://x/"}).find("a URL of http or https"), std::string::npos);
}

}  // namespace
}  // namespace remora
