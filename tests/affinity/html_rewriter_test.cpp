// The HTML rewriter by a table of named cases, each cut at every place.

#include "affinity/html_rewriter.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using config::UrlStyle;

class Scope final : public UrlScope {
  bool leads_here(std::string_view p) const override { return p.rfind("/other", 0) != 0; }
};

UrlMarker marker(UrlStyle style) {
  static const Scope scope;
  RequestView request;
  request.host = "h";
  request.scope = &scope;
  return {request, "/dir/page?x=1", style, "s", "T"};
}

/// The page rewritten, fed in pieces of the given sizes (the last repeats).
std::string rewrite(std::string_view page, std::size_t first, std::size_t then,
                    UrlStyle style = UrlStyle::path) {
  HtmlRewriter rewriter(marker(style));
  std::string out;
  std::size_t size = first;
  while (!page.empty()) {
    const std::size_t n = std::min(size, page.size());
    rewriter.feed(page.substr(0, n), false, out);
    page.remove_prefix(n);
    size = then;
  }
  rewriter.feed({}, true, out);
  return out;
}

struct Case {
  const char *name, *page, *wanted;  // wanted nullptr: untouched
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class ByPath : public ::testing::TestWithParam<Case> {};

TEST_P(ByPath, AtEveryCut) {
  const std::string page = GetParam().page, wanted = GetParam().wanted != nullptr ? GetParam().wanted : page;
  EXPECT_EQ(rewrite(page, page.size() + 1, 1), wanted);
  for (std::size_t cut = 1; cut < page.size(); ++cut)
    EXPECT_EQ(rewrite(page, cut, page.size()), wanted) << "cut at " << cut;
  EXPECT_EQ(rewrite(page, 1, 1), wanted) << "byte by byte";
}

INSTANTIATE_TEST_SUITE_P(
    Html, ByPath,
    ::testing::Values(
        Case{"plain_text", "no markup at all, 1 < 2 & 3 > 2", nullptr},
        Case{"double_quotes", "<a href=\"/x\">y</a>", "<a href=\"/x;s=T\">y</a>"},
        Case{"single_quotes", "<a href='/x'>y</a>", "<a href='/x;s=T'>y</a>"},
        Case{"no_quotes", "<a href=/x>y</a>", "<a href=/x;s=T>y</a>"},
        Case{"no_quotes_slash_belongs_to_the_value", "<a href=/x/>y", "<a href=/x/;s=T>y"},
        Case{"no_quotes_then_attribute", "<a href=/x class=c>", "<a href=/x;s=T class=c>"},
        Case{"upper_case_and_spaces", "<A\n  CLASS=c HREF = \" /x \" >",
             "<A\n  CLASS=c HREF = \" /x;s=T \" >"},
        Case{"area", "<area href='/x'>", "<area href='/x;s=T'>"},
        Case{"form", "<form action='/x' method=post>", "<form action='/x;s=T' method=post>"},
        Case{"form_by_get_keeps_the_path", "<form action='/x?y'>", "<form action='/x;s=T?y'>"},
        Case{"form_without_action", "<form method=post>", "<form action=\"/dir/page;s=T?x=1\" method=post>"},
        Case{"form_with_empty_action", "<form action=''>", "<form action=\"/dir/page;s=T?x=1\" action=''>"},
        Case{"form_dialog", "<form method=dialog>", nullptr},
        Case{"button_formaction", "<button formaction='/x'>", "<button formaction='/x;s=T'>"},
        Case{"other_elements", "<img src='/x'><link href='/x'><script src='/x'></script>", nullptr},
        Case{"names_that_only_begin_so", "<abbr href='/x'><areas href='/x'>", nullptr},
        Case{"attributes_that_only_begin_so", "<a hrefs='/x' data-href='/x'>", nullptr},
        Case{"of_two_the_first_counts", "<a href='/x' href='/y'>", "<a href='/x;s=T' href='/y'>"},
        Case{"a_bracket_inside_quotes", "<a title='a>b' href='/x'>", "<a title='a>b' href='/x;s=T'>"},
        Case{"a_quote_inside_an_unquoted_value", "<a title=a\"b href='/x'>", "<a title=a\"b href='/x;s=T'>"},
        Case{"an_equals_sign_inside_an_unquoted_value", "<a title=a=\"b> <a href='/x'>",
             "<a title=a=\"b> <a href='/x;s=T'>"},
        Case{"an_equals_sign_begins_a_name", "<a =\"b> <a href='/x'>", "<a =\"b> <a href='/x;s=T'>"},
        Case{"slashes_between_attributes", "<a/href='/x'/class=c/>", "<a/href='/x;s=T'/class=c/>"},
        Case{"no_space_after_quotes", "<a class='c'href='/x'>", "<a class='c'href='/x;s=T'>"},
        Case{"query", "<a href='/x?a=1'>", "<a href='/x;s=T?a=1'>"},
        Case{"fragment", "<a href='/x#f'>", "<a href='/x;s=T#f'>"},
        Case{"only_a_fragment", "<a href='#f'>", nullptr},
        Case{"only_a_query", "<a href='?b=2'>", "<a href='/dir/page;s=T?b=2'>"},
        Case{"elsewhere", "<a href='https://evil.example/'><a href='//evil.example'><a href='mailto:x'>",
             nullptr},
        Case{"another_app_of_this_host", "<a href='/other/x'>", nullptr},
        Case{"reference_amp", "<a href='/x?a=1&amp;b=2'>", "<a href='/x;s=T?a=1&amp;b=2'>"},
        Case{"reference_decimal_question_mark", "<a href='/x&#63;a'>", "<a href='/x;s=T&#63;a'>"},
        Case{"reference_hex_hash", "<a href='/x&#x23;f'>", "<a href='/x;s=T&#x23;f'>"},
        Case{"reference_without_semicolon", "<a href='/x&#63 a'>",
             nullptr},  // a space inside: no URL of ours
        Case{"reference_slash", "<a href='&#47;x'>", "<a href='&#47;x;s=T'>"},
        Case{"references_hide_another_origin", "<a href='&#47;&sol;evil.example'>", nullptr},
        Case{"references_hide_a_backslash", "<a href='/&bsol;evil.example'>", nullptr},
        Case{"references_hide_a_script", "<a href='java&Tab;script&colon;x'>", nullptr},
        Case{"ambiguous_ampersand", "<a href='/x?a&copy=1'>", "<a href='/x;s=T?a&copy=1'>"},
        Case{"an_old_token_is_replaced", "<a href='/x;s=OLD?a'>", "<a href='/x;s=T?a'>"},
        Case{"comment", "<!-- <a href='/x'> --><a href='/y'>", "<!-- <a href='/x'> --><a href='/y;s=T'>"},
        Case{"comment_with_dashes", "<!-- -- > - <a href='/x'> ---><a href='/y'>",
             "<!-- -- > - <a href='/x'> ---><a href='/y;s=T'>"},
        Case{"comment_closed_by_a_bang", "<!-- <a href='/x'> --!><a href='/y'>",
             "<!-- <a href='/x'> --!><a href='/y;s=T'>"},
        Case{"empty_comments", "<!--><a href='/x'><!---><a href='/y'>",
             "<!--><a href='/x;s=T'><!---><a href='/y;s=T'>"},
        Case{"unclosed_comment", "<!-- <a href='/x'>", nullptr},
        Case{"doctype_and_bogus_comments", "<!doctype html><?x <a href='/x'>?></ x><a href='/y'>",
             "<!doctype html><?x <a href='/x'>?></ x><a href='/y;s=T'>"},
        Case{"script", "<script>'<a href=\"/x\">'</script><a href='/y'>",
             "<script>'<a href=\"/x\">'</script><a href='/y;s=T'>"},
        Case{"script_in_capitals", "<SCRIPT>\"<a href='/x'>\"</ScRiPt ><a href='/y'>",
             "<SCRIPT>\"<a href='/x'>\"</ScRiPt ><a href='/y;s=T'>"},
        Case{"script_with_a_longer_name", "<script></scripts><a href='/x'></script><a href='/y'>",
             "<script></scripts><a href='/x'></script><a href='/y;s=T'>"},
        Case{"script_escaped", "<script><!-- <a href='/x'> </script><a href='/y'>",
             "<script><!-- <a href='/x'> </script><a href='/y;s=T'>"},
        Case{"script_escaped_twice",
             "<script><!-- <script> </script> <a href='/x'> --></script><a href='/y'>",
             "<script><!-- <script> </script> <a href='/x'> --></script><a href='/y;s=T'>"},
        Case{"script_with_an_empty_comment", "<script><!--> <script> </script><a href='/y'>",
             "<script><!--> <script> </script><a href='/y;s=T'>"},
        Case{"style_and_title", "<style>a<b{}<a href='/x'></style><title><a href='/x'></title><a href='/y'>",
             "<style>a<b{}<a href='/x'></style><title><a href='/x'></title><a href='/y;s=T'>"},
        Case{"textarea", "<textarea><a href='/x'></textareas></textarea><a href='/y'>",
             "<textarea><a href='/x'></textareas></textarea><a href='/y;s=T'>"},
        Case{"noscript_is_read", "<noscript><a href='/x'></noscript>",
             "<noscript><a href='/x;s=T'></noscript>"},
        Case{"plaintext_ends_all_markup", "<plaintext><a href='/x'></plaintext><a href='/y'>", nullptr},
        Case{"empty_script_inside_svg", "<svg><script/><a href='/x'/></svg>",
             "<svg><script/><a href='/x;s=T'/></svg>"},
        Case{"base_here", "<base href='/other/'><a href='x'><a href='/y'>",
             "<base href='/other/'><a href='x'><a href='/y;s=T'>"},
        Case{"base_elsewhere",
             "<base href='http://evil.example/'><a href='x'><a href='/y'><a href='http://h/z'>",
             "<base href='http://evil.example/'><a href='x'><a href='/y'><a href='http://h/z;s=T'>"},
        Case{"base_elsewhere_and_a_form_to_itself", "<base href='//evil.example'><form>", nullptr},
        Case{"only_the_first_base_counts", "<base href='/a/'><base href='//evil.example'><a href='x'>",
             "<base href='/a/'><base href='//evil.example'><a href='x;s=T'>"},
        Case{"less_than_signs", "a < b <3 <- << <a href='/x'>", "a < b <3 <- << <a href='/x;s=T'>"},
        Case{"an_end_tag_with_attributes", "</a href='/x'>", nullptr},
        Case{"unclosed_tag", "text <a href='/x'", nullptr},
        Case{"unclosed_quote", "<a href='/x>text", nullptr},
        Case{"no_value", "<a href><a href=><a>", nullptr},
        // php-src ext/session/tests/session_basic4.phpt (url_rewriter.tags has frame=src): what navigates
        // carries the token.
        Case{"frame", "<frameset><frame name=a src=\"/x\"><frame src=y></frameset>",
             "<frameset><frame name=a src=\"/x;s=T\"><frame src=y;s=T></frameset>"},
        Case{"iframe", "<iframe src='/x?a=1&amp;b=2'><a href='/text'></iframe><a href='/y'>",
             "<iframe src='/x;s=T?a=1&amp;b=2'><a href='/text'></iframe><a href='/y;s=T'>"},
        Case{"IFRAME_in_capitals", "<IFRAME SRC=/x></IFRAME>", "<IFRAME SRC=/x;s=T></IFRAME>"},
        Case{"iframes_elsewhere",
             "<iframe src='//evil.example/'></iframe><iframe src='about:blank'></iframe><iframe "
             "src=''></iframe>"
             "<iframe src='/other/x'></iframe><iframe data-src='/x'></iframe><iframe srcdoc='x'></iframe>",
             nullptr},
        Case{"images_scripts_and_media",
             "<img src='/x'><script src='/x'></script><video src='/x' poster='/y'>"
             "<source src='/x'><embed src='/x'><audio src='/x'><track src='/x'><link href='/x'><input "
             "src='/x'>",
             nullptr},
        Case{"meta_refresh", "<meta http-equiv=\"refresh\" content=\"0;url=/x\">",
             "<meta http-equiv=\"refresh\" content=\"0;url=/x;s=T\">"},
        Case{"meta_refresh_the_other_way_round", "<META CONTENT='5; URL=\"next?a\"' HTTP-EQUIV=Refresh />",
             "<META CONTENT='5; URL=\"next;s=T?a\"' HTTP-EQUIV=Refresh />"},
        Case{"meta_refresh_without_quotes", "<meta http-equiv=refresh content=0;url=/x>",
             "<meta http-equiv=refresh content=0;url=/x;s=T>"},
        Case{"meta_refresh_without_a_name", "<meta http-equiv=refresh content='0 /x'>",
             "<meta http-equiv=refresh content='0 /x;s=T'>"},
        Case{"meta_refresh_with_references",
             "<meta http-equiv='ref&#114;esh' content='0&semi;&#x75;rl=&apos;/x&quest;a&apos;'>",
             "<meta http-equiv='ref&#114;esh' content='0&semi;&#x75;rl=&apos;/x;s=T&quest;a&apos;'>"},
        Case{"meta_refresh_that_reloads", "<meta http-equiv=refresh content='30'>",
             "<meta http-equiv=refresh content='30;url=/dir/page;s=T?x=1'>"},
        Case{"meta_refresh_that_reloads_by_an_empty_url", "<meta http-equiv=refresh content=\"30; url=''\">",
             "<meta http-equiv=refresh content=\"30;url=/dir/page;s=T?x=1\">"},
        Case{"meta_refresh_that_is_none",
             "<meta http-equiv=refresh content='url=/x'><meta http-equiv=refresh content=''>"
             "<meta http-equiv='refresh ' content='0;url=/x'><meta name=refresh content='0;url=/x'>"
             "<meta http-equiv=refresh><meta content='0;url=/x'><meta http-equiv=x http-equiv=refresh "
             "content='0'>",
             nullptr},
        Case{"meta_refresh_elsewhere",
             "<meta http-equiv=refresh content='0;url=//evil.example'>"
             "<meta http-equiv=refresh content='0;url=&NewLine;//evil.example'>"
             "<meta http-equiv=refresh content='0;url=&unknown;/x'><meta http-equiv=refresh "
             "content='0;url=/other/'>",
             nullptr},
        Case{"meta_refresh_and_a_base_behind_it",
             "<meta http-equiv=refresh content='0;url=/x'><base href='//cdn.example/'><a href='y'>",
             "<meta http-equiv=refresh content='0;url=/x;s=T'><base href='//cdn.example/'><a href='y'>"},
        Case{"meta_refresh_behind_a_base",
             "<base href='//cdn.example/'><meta http-equiv=refresh content='0;url=/x'>"
             "<meta http-equiv=refresh content='5'><meta http-equiv=refresh content='0;url=http://h/x'>",
             "<base href='//cdn.example/'><meta http-equiv=refresh content='0;url=/x'>"
             "<meta http-equiv=refresh content='5'><meta http-equiv=refresh content='0;url=http://h/x;s=T'>"},
        Case{"meta_refresh_in_noscript", "<noscript><meta http-equiv=refresh content='0;url=/x'></noscript>",
             "<noscript><meta http-equiv=refresh content='0;url=/x;s=T'></noscript>"},
        Case{"links_inside_svg", "<svg><a href='/x'><path/></a><a xlink:href='/y'/></svg>",
             "<svg><a href='/x;s=T'><path/></a><a xlink:href='/y;s=T'/></svg>"},
        Case{"in_svg_href_counts_more", "<svg><a xlink:href='/old' href='/x'></a><image href='/i' /></svg>",
             "<svg><a xlink:href='/old' href='/x;s=T'></a><image href='/i' /></svg>"},
        Case{
            "inside_a_template",
            "<template><a href='/x'></a><map><area href='/y'></map><form action='/z' method=post>"
            "<input formaction='/v'></form></template>",
            "<template><a href='/x;s=T'></a><map><area href='/y;s=T'></map><form action='/z;s=T' method=post>"
            "<input formaction='/v;s=T'></form></template>"},
        Case{"bytes_beyond_ascii", "<a href='/\xc3\xa4'>\xff\xfe", "<a href='/\xc3\xa4;s=T'>\xff\xfe"}),
    [](const auto& info) { return std::string(info.param.name); });

class ByQuery : public ::testing::TestWithParam<Case> {};

TEST_P(ByQuery, AtEveryCut) {
  const std::string page = GetParam().page, wanted = GetParam().wanted != nullptr ? GetParam().wanted : page;
  for (std::size_t cut = 1; cut <= page.size(); ++cut)
    EXPECT_EQ(rewrite(page, cut, page.size(), UrlStyle::query), wanted) << "cut at " << cut;
}

INSTANTIATE_TEST_SUITE_P(
    Html, ByQuery,
    ::testing::Values(
        Case{"link", "<a href='/x'>", "<a href='/x?s=T'>"},
        Case{"link_with_query", "<a href=\"/x?a=1#f\">", "<a href=\"/x?a=1&amp;s=T#f\">"},
        Case{"form_by_post", "<form method=post action='/x'>", "<form method=post action='/x?s=T'>"},
        Case{"frames_and_refreshes",
             "<iframe src='/x?a'></iframe><frame src=/x><meta http-equiv=refresh content='0;url=/x?a&amp;b'>",
             "<iframe src='/x?a&amp;s=T'></iframe><frame src=/x?s=T>"
             "<meta http-equiv=refresh content='0;url=/x?a&amp;b&amp;s=T'>"},
        Case{"reloads", "<meta http-equiv=refresh content=9>",
             "<meta http-equiv=refresh content=9;url=/dir/page?x=1&amp;s=T>"},
        // The query of a form's target is replaced when it is sent by GET: the token has to be a field.
        Case{"form_by_get", "<form action='/x'>",
             "<form action='/x'><input type=\"hidden\" name=\"s\" value=\"T\">"},
        Case{"form_by_get_to_itself", "<form>", "<form><input type=\"hidden\" name=\"s\" value=\"T\">"},
        Case{"form_by_get_elsewhere", "<form action='//evil.example'>", nullptr}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Html, ATagLongerThanTheLimitPassesUntouchedAndHoldsNoMemory) {
  const std::string page =
      "<a title='" + std::string(HtmlRewriter::max_tag_bytes * 2, '>') + "' href='/x'><a href='/y'>";
  const std::string out = rewrite(page, 1000, 1000);
  EXPECT_NE(out.find("' href='/x'><a href='/y;s=T'>"), std::string::npos);
  EXPECT_EQ(out.size(), page.size() + 4);
}

}  // namespace
}  // namespace remora
