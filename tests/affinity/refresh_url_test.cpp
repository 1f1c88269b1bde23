// Refreshes, read twice: by remora, and as WHATWG HTML 4.2.5.3 has browsers read them.

#include "affinity/refresh_url.h"

#include <gtest/gtest.h>

#include "affinity/url_marker.h"
#include "support/whatwg.h"

namespace remora {
namespace {

struct Row {
  const char* content;
  const char* url;  // nullptr: browsers do not follow it; empty: the document itself
};

/// All spellings that browsers take, and the near misses.
const Row rows[] = {{"0;url=/x", "/x"},
                    {"0; url=/x", "/x"},
                    {"5;URL=/x", "/x"},
                    {"5; Url = /x", "/x"},
                    {" 5 ; url=/x ", "/x"},
                    {"0,url=/x", "/x"},
                    {"0 url=/x", "/x"},
                    {"0\turl=/x", "/x"},
                    {"0\n;\nurl\n=\n/x\n", "/x"},
                    {"0;/x", "/x"},
                    {"0 /x", "/x"},
                    {"0,/x", "/x"},
                    {"1.5;url=/x", "/x"},
                    {".5;url=/x", "/x"},
                    {".;url=/x", "/x"},
                    {"1...9.3;url=/x", "/x"},
                    {"0;url='/x'", "/x"},
                    {"0;url=\"/x\"", "/x"},
                    {"0;url='/x", "/x"},
                    {"0;url='/x' and more", "/x"},
                    {"0;'/x'", "/x"},
                    {"0;url=\"/x'y\"", "/x'y"},
                    {"0;url= ' /x ' ", "/x"},
                    {"0;url", "url"},
                    {"0;url/x", "url/x"},
                    {"0;ur=/x", "ur=/x"},
                    {"0;u", "u"},
                    {"0;urls=/x", "urls=/x"},
                    {"0;url:/x", "url:/x"},
                    {"0;;url=/x", ";url=/x"},
                    {"0;url=url=/x", "url=/x"},
                    {"0;url==/x", "=/x"},
                    {"5", ""},
                    {"5;", ""},
                    {" 5 , ", ""},
                    {"5;url=", ""},
                    {"5;url=''", ""},
                    {"5;url=' '", ""},
                    {".", ""},
                    {"", nullptr},
                    {" ", nullptr},
                    {";url=/x", nullptr},
                    {"url=/x", nullptr},
                    {"x;url=/x", nullptr},
                    {"-1;url=/x", nullptr},
                    {"+1;url=/x", nullptr},
                    {"5s;url=/x", nullptr},
                    {"5url=/x", nullptr},
                    {"5:url=/x", nullptr},
                    {"5/x", nullptr},
                    {"\v5;url=/x", nullptr}};

std::string trimmed(std::string text) {
  constexpr const char* spaces = " \t\n\f\r";
  text.erase(0, text.find_first_not_of(spaces));
  text.erase(text.find_last_not_of(spaces) + 1);
  return text;
}

TEST(Refresh, LeadsWhereBrowsersGo) {
  for (const Row& row : rows) {
    const std::string_view content = row.content;
    const auto found = find_refresh_url(content);
    const auto web = test::web_refresh(content);
    ASSERT_EQ(found.has_value(), row.url != nullptr) << content;
    ASSERT_EQ(web.has_value(), row.url != nullptr) << content;
    if (!found) continue;
    EXPECT_EQ(content.substr(found->at, found->size), row.url) << content;
    EXPECT_EQ(trimmed(*web), row.url) << content;
  }
}

TEST(Refresh, IsMarkedSoThatABrowserGoesToTheSamePlaceWithTheToken) {
  for (const char* document : {"/dir/page?a=1", "/it's/page", "/"})
    for (const auto style : {config::UrlStyle::path, config::UrlStyle::query})
      for (const Row& row : rows) {
        RequestView request;
        request.host = "h";
        UrlMarker marker(request, document, style, "s", "TOKEN");
        const test::WebUrl base{"http", "h", std::string(document).substr(0, std::string(document).find('?')),
                                ""};
        const auto edit = marker.edit_refresh(row.content);
        if (row.url == nullptr) {
          EXPECT_FALSE(edit) << row.content;
          continue;
        }
        const bool ours = std::string_view(row.url).find_first_of(":=") == std::string_view::npos;
        if (ours) {
          EXPECT_TRUE(edit) << row.content;
        }
        if (!edit) continue;
        std::string out = row.content;
        out.replace(edit->at, edit->erase, edit->text);
        const auto leads = test::web_refresh(out);
        ASSERT_TRUE(leads) << out;
        const auto to = test::web_resolve(*leads, base);
        ASSERT_TRUE(to) << out;
        EXPECT_EQ(to->origin(), "http://h") << out;
        EXPECT_NE((to->path + to->query).find("s=TOKEN"), std::string::npos) << out;
        const auto plain = test::web_resolve(*row.url != '\0' ? row.url : document, base);
        std::string bare = to->path + to->query;
        bare.erase(bare.find("s=TOKEN") - 1, 8);
        EXPECT_EQ(bare, plain->path + plain->query) << out;
      }
}

TEST(Refresh, ToElsewhereIsLeftAlone) {
  for (const char* content :
       {"0;url=//evil.example/", "0;url=http://evil.example/x", "0;url='\\\\evil.example'",
        "0;url=javascript:x", "0;url=/\\evil.example", "0;url=/a b"}) {
    RequestView request;
    request.host = "h";
    UrlMarker marker(request, "/", config::UrlStyle::path, "s", "T");
    EXPECT_FALSE(marker.edit_refresh(content)) << content;
  }
}

}  // namespace
}  // namespace remora
