// URL parameters as text: found, taken off, masked, put on; and which references are ours to touch.

#include "affinity/url_token.h"

#include <gtest/gtest.h>

#include "affinity/url_marker.h"

namespace remora {
namespace {

using config::UrlStyle;
constexpr auto path = UrlStyle::path, query = UrlStyle::query;

TEST(UrlParameter, IsFoundTakenOffAndMasked) {
  struct Row {
    UrlStyle style;
    const char *url, *value, *without, *masked;
  };
  TextArena arena;
  for (const Row& row : std::vector<Row>{
           {path, "/a", "", "/a", "/a"},
           {path, "/a;s=T", "T", "/a", "/a;s=***"},
           {path, "/a;s=T?q=1", "T", "/a?q=1", "/a;s=***?q=1"},
           {path, "/a;s=T/b", "T", "/a/b", "/a;s=***/b"},
           {path, "/a;x=1;s=T;y=2", "T", "/a;x=1;y=2", "/a;x=1;s=***;y=2"},
           {path, "/a;s=1/b;s=2", "2", "/a/b", "/a;s=***/b;s=***"},  // the last counts
           {path, "/a;ss=T", "", "/a;ss=T", "/a;ss=T"},
           {path, "/a;S=T", "", "/a;S=T", "/a;S=T"},
           {path, "/a;s", "", "/a;s", "/a;s"},
           {path, "/a;s=", "", "/a", "/a;s=***"},
           {path, "/a?x=;s=T", "", "/a?x=;s=T", "/a?x=;s=T"},  // a query is no path
           {path, "/a#;s=T", "", "/a#;s=T", "/a#;s=T"},
           {path, "http://h/a;s=T", "T", "http://h/a", "http://h/a;s=***"},
           {path, "http://h;s=1/a", "", "http://h;s=1/a", "http://h;s=1/a"},  // an authority is no path
           {path, "/go/http://x/;s=T", "T", "/go/http://x/", "/go/http://x/;s=***"},
           {query, "/a?s=T", "T", "/a", "/a?s=***"},
           {query, "/a?s=T&x=1", "T", "/a?x=1", "/a?s=***&x=1"},
           {query, "/a?x=1&s=T", "T", "/a?x=1", "/a?x=1&s=***"},
           {query, "/a?x=1&s=T&y=2#f", "T", "/a?x=1&y=2#f", "/a?x=1&s=***&y=2#f"},
           {query, "/a?s=1&s=2", "2", "/a", "/a?s=***&s=***"},
           {query, "/a;s=T?x=1", "", "/a;s=T?x=1", "/a;s=T?x=1"},
           {query, "/a?xs=T", "", "/a?xs=T", "/a?xs=T"},
           {query, "/a?", "", "/a?", "/a?"},
           {query, "", "", "", ""},
       }) {
    EXPECT_EQ(find_url_parameter(row.url, row.style, "s").value, row.value) << row.url;
    EXPECT_EQ(without_url_parameter(row.url, row.style, "s", arena), row.without) << row.url;
    EXPECT_EQ(mask_url_parameter(row.url, row.style, "s", arena), row.masked) << row.url;
  }
}

// Each occurrence of a name once made a copy of the rest of the URL: half a gigabyte for one request's log
// line.
TEST(UrlParameter, ManyOfThemAreCopiedOnce) {
  std::string in_path = "/a", masked_path = "/a", in_query = "/a?x", masked_query = "/a?x";
  for (int i = 0; i < 200000; ++i) {
    in_path += ";s=T";
    masked_path += ";s=***";
    in_query += i % 2 == 0 ? "&s=T" : "&t=U";
    masked_query += i % 2 == 0 ? "&s=***" : "&t=***";
  }
  const std::vector<UrlSecret> names{{path, "s"}, {query, "s"}, {query, "t"}};
  TextArena arena;
  // Quadratic time would be minutes here, and quadratic memory terabytes.
  EXPECT_EQ(mask_url_parameters(in_path, names, arena), masked_path);
  EXPECT_EQ(mask_url_parameters(in_query, names, arena), masked_query);
  EXPECT_EQ(mask_url_parameter(in_path, path, "s", arena), masked_path);
  EXPECT_EQ(without_url_parameter(in_path, path, "s", arena), "/a");
  EXPECT_EQ(find_url_parameter(in_path, path, "s").value, "T");
}

TEST(UrlParameter, SeveralNamesAreMaskedInOnePass) {
  const std::vector<UrlSecret> names{{path, "jsessionid"}, {path, "rsid"}, {query, "token"}, {query, "rsid"}};
  TextArena arena;
  for (const auto& [url, masked] : std::vector<std::pair<const char*, const char*>>{
           {"/a;jsessionid=1;rsid=2/b;rsid=3?token=4&x=5&rsid=6#token=7",
            "/a;jsessionid=***;rsid=***/b;rsid=***?token=***&x=5&rsid=***#token=7"},
           {"/a;token=1?jsessionid=2", "/a;token=1?jsessionid=2"},
           {"/a?rsid=&token=", "/a?rsid=***&token=***"},
           {"/a;rsids=1;rsid;RSID=1", "/a;rsids=1;rsid;RSID=1"},
           {"//a;rsid=1/b", "//a;rsid=***/b"},  // a request's target has no host
           {"http://a;rsid=1/b;rsid=2", "http://a;rsid=1/b;rsid=***"}})
    EXPECT_EQ(mask_url_parameters(url, names, arena), masked);
}

TEST(UrlParameter, OfOtherPoolsGoesOnlyWhatHasTheFormOfAToken) {
  const std::vector<UrlSecret> names{{path, "rsid"}, {query, "sid"}};
  const std::string token(128, 'A');
  TextArena arena;
  for (const auto& [url, clean] : std::vector<std::pair<std::string, std::string>>{
           {"/a;rsid=" + token + "/b?sid=" + token + "&x=1", "/a/b?x=1"},
           {"/a;rsid=" + token.substr(1) + "?sid=mine", "/a;rsid=" + token.substr(1) + "?sid=mine"},
           {"/a;rsid=" + token.substr(1) + "!", "/a;rsid=" + token.substr(1) + "!"},
           {"/a?rsid=" + token, "/a?rsid=" + token},
           {"//a;rsid=" + token, "//a"},
           {"/a?x=1&sid=" + token, "/a?x=1"}})
    EXPECT_EQ(without_url_tokens(url, names, arena), clean);
}

/// Everything leads here but /other.
class Scope final : public UrlScope {
  bool leads_here(std::string_view p) const override { return p.rfind("/other", 0) != 0; }
};

std::string marked(UrlStyle style, std::string_view reference, bool secure = false) {
  static const Scope scope;
  RequestView request;
  request.secure = secure;
  request.host = "shop.example:8080";
  request.scope = &scope;
  UrlMarker marker(request, "/dir/page?x=1", style, "s", "T");
  std::string out;
  return marker.append(reference, out) ? out : "-";
}

TEST(UrlMarker, MarksWhatLeadsBackHereAndNothingElse) {
  struct Row {
    const char *reference, *by_path, *by_query;
  };
  for (const Row& row : std::vector<Row>{
           {"/a", "/a;s=T", "/a?s=T"},
           {"/a?x=1", "/a;s=T?x=1", "/a?x=1&s=T"},
           {"/a#f", "/a;s=T#f", "/a?s=T#f"},
           {"/a?#f", "/a;s=T?#f", "/a?s=T#f"},
           {"b", "b;s=T", "b?s=T"},
           {"../b/?x", "../b/;s=T?x", "../b/?x&s=T"},
           {"?x=2", "/dir/page;s=T?x=2", "?x=2&s=T"},
           {"/a;s=OLD", "/a;s=T", "/a;s=OLD?s=T"},
           {"/a?s=OLD&x=1", "/a;s=T?s=OLD&x=1", "/a?s=T&x=1"},
           {"http://shop.example:8080/a", "http://shop.example:8080/a;s=T", "http://shop.example:8080/a?s=T"},
           {"HTTP://SHOP.example:8080", "HTTP://SHOP.example:8080/;s=T", "HTTP://SHOP.example:8080?s=T"},
           {"//shop.example:8080/a", "//shop.example:8080/a;s=T", "//shop.example:8080/a?s=T"},
           // Elsewhere: another scheme, host, port or app.
           {"https://shop.example:8080/a", "-", "-"},
           {"http://shop.example/a", "-", "-"},
           {"http://evil.example/a", "-", "-"},
           {"//evil.example/a", "-", "-"},
           {"/other/a", "-", "-"},
           {"/other?x", "-", "-"},
           {"mailto:a@b", "-", "-"},
           {"javascript:alert(1)", "-", "-"},
           {"data:text/html,x", "-", "-"},
           {"http:/a", "-", "-"},
           // What a browser may read as another origin (WHATWG URL 4.4).
           {"/\\evil.example/", "-", "-"},
           {"\\\\evil.example/", "-", "-"},
           {"http://shop.example:8080@evil.example/", "-", "-"},
           {"http://u@shop.example:8080/", "-", "-"},
           {"java\tscript:x", "-", "-"},
           {"/\n/evil.example", "-", "-"},
           {"", "-", "-"},
           {"#top", "-", "-"},
       }) {
    EXPECT_EQ(marked(path, row.reference), row.by_path) << row.reference;
    EXPECT_EQ(marked(query, row.reference), row.by_query) << row.reference;
  }
}

TEST(UrlMarker, DefaultPortsAreTheSameOrigin) {
  RequestView request;
  request.secure = true;
  request.host = "a.example";
  UrlMarker marker(request, "/", path, "s", "T");
  std::string out;
  EXPECT_TRUE(marker.append("https://a.example:443/x", out));
  EXPECT_FALSE(marker.append("https://a.example:80/x", out));
  EXPECT_FALSE(marker.append("http://a.example/x", out));
  EXPECT_FALSE(marker.append("https://[::1]/x", out));
}

}  // namespace
}  // namespace remora
