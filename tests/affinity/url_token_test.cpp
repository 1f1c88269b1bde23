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

TEST(UrlParameter, ManyOfThemCostABoundedNumberOfSteps) {
  std::string url = "/a";
  for (int i = 0; i < 1000; ++i) url += ";s=T";
  TextArena arena;
  EXPECT_FALSE(without_url_parameter(url, path, "s", arena).empty());
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
