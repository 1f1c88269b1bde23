// No token leaves its origin. Each link here is read twice: by remora, and as the WHATWG standards have
// browsers read it. What leads elsewhere must not carry a token, whatever the document is called.

#include <gtest/gtest.h>

#include "affinity/html_rewriter.h"
#include "support/whatwg.h"

namespace remora {
namespace {

using config::UrlStyle;

struct Page {
  std::string document;
  UrlStyle style;
  bool secure = false;

  UrlMarker marker() const {
    RequestView request;
    request.host = "h.example";
    request.secure = secure;
    return {request, document, style, "s", "TOKEN"};
  }
  test::WebUrl base() const {
    const auto mark = std::min(document.find('?'), document.size());
    return {secure ? "https" : "http", "h.example", document.substr(0, mark), document.substr(mark)};
  }
  std::string rewritten(std::string_view html) const {
    HtmlRewriter rewriter(marker());
    std::string out;
    rewriter.feed(html, true, out);
    return out;
  }
  std::string link(const std::string& raw) const {
    const std::string out = rewritten("<a href=\"" + raw + "\">");
    return out.substr(9, out.size() - 11);
  }
};

const Page pages[] = {{"/dir/page?x=1", UrlStyle::path},
                      {"/dir/page?x=1", UrlStyle::query},
                      {"/dir/page", UrlStyle::path, true},
                      {"//evil.example/..;/login", UrlStyle::path},
                      {"//evil.example/x", UrlStyle::query},
                      {"/\\evil.example/x", UrlStyle::path},
                      {"///evil.example/x", UrlStyle::query},
                      {"//", UrlStyle::path},
                      {"/", UrlStyle::path}};

/// A browser that follows the link takes a token nowhere but to its own origin.
void expect_stays(const Page& page, const std::string& reference) {
  if (reference.find("TOKEN") == std::string::npos) return;
  const auto to = test::web_resolve(reference, page.base());
  ASSERT_TRUE(to) << reference << " at " << page.document;
  EXPECT_EQ(to->origin(), page.base().origin()) << reference << " at " << page.document;
}

/// As written in an attribute between double quotes. A browser leaves the origin for each.
const std::string leaving[] = {"http://evil.example/",
                               "https://evil.example/",
                               "//evil.example",
                               "//evil.example/x?y#z",
                               "///evil.example",
                               "////evil.example/x",
                               "/\\evil.example",
                               "\\/evil.example",
                               "\\\\evil.example",
                               "\\\\\\evil.example/x",
                               "/\\/evil.example",
                               "//\\evil.example",
                               "http:\\\\evil.example",
                               "http:////evil.example",
                               "http:/\\/\\evil.example",
                               "http:///evil.example/",
                               "https:evil.example",
                               "https:/evil.example",
                               "HTTP://evil.example",
                               "http://h.example@evil.example/",
                               "http://h.example:pw@evil.example/",
                               "//h.example@evil.example",
                               "//h.example:80@evil.example/",
                               "//h.example\\@evil.example",
                               "//evil.example\\@h.example/",
                               "//h.example.evil.example/",
                               "//h.example%2eevil.example/",
                               "//h.example:81/",
                               "http://h.example:8080/x",
                               " //evil.example",
                               "\t//evil.example",
                               "\n//evil.example",
                               "\f//evil.example",
                               "\x01//evil.example",
                               "/\t/evil.example",
                               "/\n/evil.example",
                               "/\r/evil.example",
                               "\\\t\\evil.example",
                               "ht\ntp://evil.example",
                               "&#47;/evil.example",
                               "/&#47;evil.example",
                               "&#47&#47evil.example",
                               "&#x2f;&#X2F;evil.example",
                               "/&#x2f;/evil.example",
                               "/&#00000000047;evil.example",
                               "/&#x0000002f;evil.example",
                               "/&sol;evil.example",
                               "&sol;&sol;evil.example",
                               "/&bsol;evil.example",
                               "&bsol;&bsol;evil.example",
                               "/&#92;evil.example",
                               "/&#x5c;evil.example",
                               "/&NewLine;/evil.example/z",
                               "/&Tab;/evil.example/z",
                               "&NewLine;//evil.example",
                               "&Tab;&NewLine;//evil.example",
                               "/&#9;/evil.example",
                               "/&#10;/evil.example",
                               "/&#13;/evil.example",
                               "/&#x0A/evil.example",
                               "&#32;//evil.example",
                               "&#1;//evil.example",
                               "http&colon;//evil.example",
                               "http&#58;//evil.example",
                               "http&#x3a//evil.example",
                               "http:&sol;&sol;evil.example",
                               "https&colon;&sol;&sol;evil.example",
                               "&#104;ttp://evil.example",
                               "ht&Tab;tp://evil.example",
                               "ht&NewLine;tp:&NewLine;//evil.example",
                               "//h.example&commat;evil.example/",
                               "//h.example&#64;evil.example/",
                               "//h.example&period;evil.example/",
                               "//h.example&colon;81/",
                               "//evil.example&quest;.h.example/",
                               "//evil.example&num;.h.example/",
                               "//evil.example?@h.example/",
                               "//evil.example#@h.example/",
                               "//&#x65;vil.example/",
                               "//evil.example&sol;h.example/",
                               "javascript:alert(1)",
                               "data:text/html,x",
                               "mailto:x@h.example",
                               "ws://h.example/x",
                               "ftp://h.example/x",
                               "blob:http://h.example/x",
                               "java&Tab;script:alert(1)",
                               "//[::1]/x",
                               "//h.example;@evil.example/",
                               "//%65vil.example/"};

TEST(Origin, NoLinkThatLeavesItGetsAToken) {
  for (const Page& page : pages)
    for (const std::string& raw : leaving) {
      const auto to = test::web_resolve(test::web_attribute(raw), page.base());
      const bool leaves = !to || to->origin() != page.base().origin();
      const std::string out = page.link(raw);
      if (leaves)
        EXPECT_EQ(out, raw) << page.document;
      else
        expect_stays(page, test::web_attribute(out));
    }
}

TEST(Origin, MostOfThoseLinksDoLeave) {  // or the test above tests nothing
  const Page page{"/dir/page", UrlStyle::path};
  std::size_t leaves = 0;
  for (const std::string& raw : leaving) {
    const auto to = test::web_resolve(test::web_attribute(raw), page.base());
    leaves += !to || to->origin() != page.base().origin() ? 1 : 0;
    EXPECT_EQ(page.link(raw), raw);  // those that stay are left alone as well
  }
  EXPECT_GE(leaves, 80U);
}

TEST(Origin, ReferencesWithUnknownNamesAtTheirBeginningAreLeftAlone) {
  const Page page{"/dir/page", UrlStyle::path};
  for (const char* raw : {"&whatever;/evil.example", "/&whatever;/evil.example", "&whatever;",
                          "/&nbsp/evil.example", "&nbsp;/x", "/&fjlig;/x"})
    EXPECT_EQ(page.link(raw), raw);
  EXPECT_EQ(page.link("/caf&eacute;/x"), "/caf&eacute;/x;s=TOKEN");
  EXPECT_EQ(page.link("/x?a=1&copy=2&b"), "/x;s=TOKEN?a=1&copy=2&b");
}

TEST(Origin, ReferencesOfAllFormsAreRead) {
  const Page page{"/dir/page", UrlStyle::path};
  for (const auto& [raw, marked] : std::vector<std::pair<std::string, std::string>>{
           {"&sol;x", "&sol;x;s=TOKEN"},
           {"/x&quest;a", "/x;s=TOKEN&quest;a"},
           {"/x&num;a", "/x;s=TOKEN&num;a"},
           {"/x&#x3F;a", "/x;s=TOKEN&#x3F;a"},
           {"/x&#63a", "/x;s=TOKEN&#63a"},
           {"/x?a=1&amp;b=2", "/x;s=TOKEN?a=1&amp;b=2"},
           {"/x?a=1&ampb", "/x;s=TOKEN?a=1&ampb"},
           {"..", "../;s=TOKEN"},  // "..;s=TOKEN" would be a name, and no way up
           {"a/%2E%2e?q", "a/%2E%2e/;s=TOKEN?q"},
           {"&period;&period;", "&period;&period;/;s=TOKEN"},
           {".", "./;s=TOKEN"},
           {"...", "...;s=TOKEN"},
           // What is put on must not complete a reference: with a ';' these would be ':' and '/'.
           {"https&colon", "https&colon&#59;s=TOKEN"},
           {"/a&sol", "/a&sol&#59;s=TOKEN"},
           {"/x&#47", "/x&#47&#59;s=TOKEN"},
           {"/x;s&#61old", "/x;s&#61&#84;OKEN"}})
    EXPECT_EQ(page.link(raw), marked);
}

// Tomcat serves `//evil.example/..;/login` as `/login`. Written back as a reference, it is another origin.
TEST(Origin, ThePathOfARequestIsNeverWrittenAsAHost) {
  for (const Page& page : pages) {
    const std::string form = page.rewritten("<form method=post>");
    if (const auto at = form.find("action=\""); at != std::string::npos)
      expect_stays(page, test::web_attribute(form.substr(at + 8, form.find('"', at + 8) - at - 8)));
    for (const char* reference : {"?page=2", "?", "#x", "", "x", "../x", "/x", "?a#b"}) {
      expect_stays(page, test::web_attribute(page.link(reference)));
      std::string location;
      page.marker().append(reference, location);
      expect_stays(page, location);
    }
    const bool writable = !begins_with_host(page.document);
    EXPECT_EQ(page.marker().own_target().has_value(), writable) << page.document;
  }
}

TEST(Origin, LinksToTheDocumentItselfStayWhereABasePathBeginsWithTwoSlashes) {
  const Page page{"/dir/page", UrlStyle::path};
  EXPECT_EQ(page.rewritten("<base href='http://h.example//evil.example/'><a href='?x'>"),
            "<base href='http://h.example//evil.example/'><a href='?x'>");
  EXPECT_EQ(page.rewritten("<base href='/.//evil.example/'><a href='?x'>"),
            "<base href='/.//evil.example/'><a href='/.//evil.example/;s=TOKEN?x'>");
}

TEST(Origin, ABaseElsewhereTakesNoToken) {
  const Page page{"/dir/page", UrlStyle::path};
  // In a template or in foreign content a base may be none, and the next one the first.
  for (const char* before :
       {"<template><base href='/a/'></template>", "<svg><base href='/a/'></svg>",
        "<noscript><base href='/a/'></noscript>", "<select><base href='/a/'></select>"}) {
    const std::string html =
        std::string(before) + "<base href='//evil.example/'><a href='x'><a href='/y'><form>";
    EXPECT_EQ(page.rewritten(html), html);
  }
  for (const char* base : {"//evil.example/", " //evil.example/", "/&NewLine;/evil.example",
                           "\\\\evil.example", "&whatever;/x", "https:/evil.example"}) {
    const std::string html = "<base href=\"" + std::string(base) + "\"><a href='x'><a href='/y'>";
    EXPECT_EQ(page.rewritten(html), html);
  }
  // Too late: links are marked already, and it decides on them when they are followed.
  EXPECT_EQ(page.rewritten("<a href='/y'><base target=t href='//evil.example/'><a href='/z'>"),
            "<a href='/y;s=TOKEN'><base target=t href=''><a href='/z;s=TOKEN'>");
  EXPECT_EQ(page.rewritten("<a href='/y'><base href=//evil.example/ target=t>"),
            "<a href='/y;s=TOKEN'><base href=\"\" target=t>");
  EXPECT_EQ(page.rewritten("<a href='//h.example/y'><base href=//evil.example/>"),
            "<a href='//h.example/y;s=TOKEN'><base href=//evil.example/>");
}

TEST(Origin, ABaseThatIsTooLongToReadTakesNoToken) {
  const Page page{"/dir/page", UrlStyle::path};
  const std::string base =
      "<base title='" + std::string(2 * HtmlRewriter::max_tag_bytes, 'x') + "' href='//evil.example/'>";
  const auto in_pieces = [&](const std::string& html) {
    HtmlRewriter rewriter(page.marker());
    std::string out;
    for (std::size_t at = 0; at < html.size(); at += 1000)
      rewriter.feed(std::string_view(html).substr(at, 1000), false, out);
    rewriter.feed({}, true, out);
    return out;
  };
  EXPECT_TRUE(in_pieces(base + "<a href='/x'>") == base + "<a href='/x'>");
  EXPECT_TRUE(in_pieces("<a href='/x'>" + base) == "<a href='/x;s=TOKEN'><base href=\"\"" + base.substr(5));
}

TEST(Origin, ALinkThatPingsSomebodyCarriesNone) {
  const Page page{"/dir/page", UrlStyle::path};
  EXPECT_EQ(page.rewritten("<a href='/x' ping='https://evil.example/'>"),
            "<a href='/x' ping='https://evil.example/'>");
}

TEST(Origin, AFormWithTheTokenAsAFieldGoesNowhereElse) {
  const Page page{"/dir/page", UrlStyle::query};
  const std::string form = "<form action='/x'>", field = "<input type=\"hidden\" name=\"s\" value=\"TOKEN\">";
  EXPECT_EQ(page.rewritten(form + "<button formaction='//evil.example/'>"),
            form + field + "<button formaction=''>");
  EXPECT_EQ(page.rewritten(form + "<input type=submit formaction=https://evil.example>"),
            form + field + "<input type=submit formaction=\"\">");
  EXPECT_EQ(page.rewritten("<form method=post action='/x'><button formaction='//evil.example/'>"),
            "<form method=post action='/x?s=TOKEN'><button formaction='//evil.example/'>");
}

/// Grammar of nasty pieces: any sequence of them is a link somebody could write.
TEST(Origin, HoldsForRandomSequencesOfWhatBrowsersTreatSpecially) {
  const std::string pieces[] = {"/",
                                "\\",
                                "?",
                                "#",
                                ":",
                                "@",
                                ";",
                                ".",
                                "..",
                                "%2e",
                                "%2f",
                                "&#47;",
                                "&sol;",
                                "&bsol;",
                                "&Tab;",
                                "&NewLine;",
                                "&colon",
                                "&colon;",
                                "&#58",
                                "http",
                                "https",
                                "h.example",
                                "evil.example",
                                "&amp;",
                                "&amp",
                                "&period;",
                                "&quest;",
                                "&num;",
                                "&commat;",
                                " ",
                                "\t",
                                "x",
                                "s=OLD",
                                "&s=OLD",
                                "&whatever;",
                                "&nbsp",
                                ":80",
                                "[",
                                "&#0;",
                                "&#x2f",
                                "&lt",
                                "&equals;",
                                "&semi;",
                                "\xc3\xa4",
                                "\x7f"};
  std::uint64_t state = 42;
  const auto next = [&](std::size_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::size_t>((state >> 33) % n);
  };
  std::size_t marked = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string raw;
    for (std::size_t n = 1 + next(7); n > 0; --n) raw += pieces[next(std::size(pieces))];
    const Page& page = pages[next(std::size(pages))];
    const std::string out = page.link(raw);
    marked += out.find("TOKEN") != std::string::npos ? 1 : 0;
    expect_stays(page, test::web_attribute(out));
    if (HasFailure()) FAIL() << "written as " << raw;
  }
  EXPECT_GT(marked, 10000U);
}

// Growth --------------------------------------------------------------------------------------------

/// Counts what is asked of the routes.
class CountingScope final : public UrlScope {
 public:
  bool leads_here(std::string_view path) const override {
    bytes += path.size();
    return path.rfind("/other", 0) != 0;
  }
  std::string as_routed(std::string_view path) const override {
    bytes += path.size();
    return std::string(path);
  }
  std::size_t deciding_bytes() const noexcept override { return 7; }
  mutable std::size_t bytes = 0;
};

TEST(Origin, ManyRelativeLinksCostTheLongPathOfTheirDocumentOnce) {
  for (const UrlStyle style : {UrlStyle::path, UrlStyle::query}) {
    const CountingScope scope;
    RequestView request;
    request.host = "h";
    request.scope = &scope;
    std::string document;
    while (document.size() < 16 * 1024) document += "/segment";
    UrlMarker marker(request, document, style, "s", "T");
    std::string out;
    for (int i = 0; i < 10000; ++i)
      for (const char* link : {"x", "../x", "a/../../x", "./a"}) marker.append(link, out);
    EXPECT_LT(scope.bytes, 4 * document.size());
    const std::size_t before = out.size();
    for (int i = 0; i < 10000; ++i) marker.append("?x", out);
    EXPECT_LT(out.size() - before, 512U * 1024);  // nor is the path written for each
  }
}

TEST(Origin, RelativeLinksAreFollowedAsRoutesWould) {
  struct Row {
    const char *document, *link;
    bool here;
  };
  for (const Row& row : std::vector<Row>{{"/a/b", "x", true},
                                         {"/a/b", "../other/x", false},
                                         {"/a/b", "..//other/x", true},
                                         {"/a/b", "../../../other", false},
                                         {"/a/b/c/d/e", "../../../../other", false},
                                         {"/a/b", "x/../../other", false},
                                         {"/a/b", "x/%2e%2E/.././other", false},
                                         {"/other/b", "x", false},
                                         {"/other/b", "../x", true},
                                         {"/other/b", "./.", false},
                                         {"/long/enough/b", "x", true},
                                         {"/", "other", false},
                                         {"/long/enough/b", "../../other", false}}) {
    const CountingScope scope;
    RequestView request;
    request.host = "h";
    request.scope = &scope;
    UrlMarker marker(request, row.document, UrlStyle::query, "s", "T");
    std::string out;
    EXPECT_EQ(marker.append(row.link, out), row.here) << row.document << " " << row.link;
  }
}

/// The same in what else navigates.
TEST(Origin, OfFramesAndRefreshes) {
  const auto value = [](const std::string& out, const std::string& front) {
    return test::web_attribute(out.substr(front.size(), out.rfind('"') - front.size()));
  };
  for (const Page& page : pages)
    for (const std::string& raw : leaving) {
      const std::string frame = "<iframe src=\"";
      expect_stays(page, value(page.rewritten(frame + raw + "\">"), frame));
      for (const char* time : {"0;url=", "0;", "0 ", ".5,URL = ", "0;url='", "0;url=&quot;"}) {
        const std::string meta = "<meta http-equiv=refresh content=\"";
        const std::string out = page.rewritten(meta + time + raw + "\">");
        if (out.find("TOKEN") == std::string::npos) continue;
        const auto url = test::web_refresh(value(out, meta));
        ASSERT_TRUE(url) << out;
        expect_stays(page, *url);
        EXPECT_NE(url->find("TOKEN"), std::string::npos) << out;
      }
    }
}

}  // namespace
}  // namespace remora
