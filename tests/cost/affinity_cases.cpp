// Cookies, tokens in URLs, links and pages, through the kinds that read and write them.

#include "affinity/html_rewriter.h"
#include "affinity/seal.h"
#include "cost/cost.h"
#include "http/target.h"
#include "support/affinity.h"
#include "util/cookies.h"

namespace remora::test {

namespace {

using Work = std::function<void()>;
using Text = std::function<std::string(std::size_t)>;

/// A pool's kinds, asked about one request and one response.
struct Asked {
  explicit Asked(const std::string& affinity)
      : kinds(make_affinity(pool_with(affinity),
                            std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')}),
                            std::make_shared<SessionNamer>("i", "app"))) {}
  void run() {
    RequestView request;
    request.target = target;
    request.path = std::string_view(target).substr(0, target.find('?'));
    request.route_path = request.path;
    request.host = "h";
    request.fields = request_fields;
    ResponseView response;
    response.status = 200;
    response.fields = response_fields;
    TextArena arena;
    RequestEdits hidden(arena);
    ResponseEdits edits(arena);
    Served served;
    served.begun = true;
    for (const auto& kind : kinds) {
      keep(kind->identify(request, scratch, {}));
      kind->conceal(request, hidden);
      keep(kind->learn(request, response, scratch));
      kind->mark(request, served, response, scratch, {}, edits);
    }
    for (const Field& f : request_fields)
      if (f.known == Known::cookie) {
        std::string rest;
        append_cookies_without(f.value, hidden.dropped_cookies(), rest);
        keep(rest);
      }
  }
  const std::vector<std::shared_ptr<const Affinity>> kinds;
  CryptoScratch scratch;
  std::string target = "/d/p?q", text;
  std::vector<Field> request_fields, response_fields;
};

/// As an exchange does it: paths are normalized, then their beginnings are looked at.
class OwnUrls final : public UrlScope {
 public:
  bool leads_here(std::string_view path) const { return !as_routed(path).starts_with("/other"); }
  std::string as_routed(std::string_view path) const {
    std::string out;
    normalize_path(path, out);
    return out;
  }
  std::size_t deciding_bytes() const noexcept { return 6; }
};

const std::string in_urls = "{kind: url_rewrite, style: path, name: rsid, rewrite: [location, html]}";
const std::string in_queries = "{kind: url_rewrite, style: query, name: rsid, rewrite: [location, html]}";
const std::string learned = "{kind: app_cookie, name: S, path_parameter: jsessionid, query_parameter: sid}";

std::function<Work(std::size_t)> asks(const std::string& affinity, const char* name, Known known,
                                      Text value) {
  return [=](std::size_t n) -> Work {
    auto asked = std::make_shared<Asked>(affinity);
    asked->text = value(n);
    asked->request_fields = {{name, asked->text, known}};
    return [asked] { asked->run(); };
  };
}

std::function<Work(std::size_t)> asks_for(const std::string& affinity, Text target) {
  return [=](std::size_t n) -> Work {
    auto asked = std::make_shared<Asked>(affinity);
    asked->target = target(n);
    return [asked] { asked->run(); };
  };
}

std::function<Work(std::size_t)> asks_in_many_fields(const std::string& affinity, const char* name,
                                                     const std::string& value) {
  return [=](std::size_t n) -> Work {
    auto asked = std::make_shared<Asked>(affinity);
    asked->text = value;
    asked->request_fields.assign(n, {name, asked->text, Known::other});
    return [asked] { asked->run(); };
  };
}

std::function<Work(std::size_t)> hears(const std::string& affinity, const char* name, Known known, Text value,
                                       bool one_field = true) {
  return [=](std::size_t n) -> Work {
    auto asked = std::make_shared<Asked>(affinity);
    asked->text = value(one_field ? n : 1);
    asked->response_fields.assign(one_field ? 1 : n, {name, asked->text, known});
    return [asked] { asked->run(); };
  };
}

std::function<Work(std::size_t)> page(
    Text text, std::size_t piece = ~std::size_t{0}, const std::string& end = "",
    Text document = [](std::size_t) { return std::string("/d/p?q"); }) {
  return [=](std::size_t n) -> Work {
    return [page = text(n) + end, document = document(n), piece] {
      static const OwnUrls own_urls;
      RequestView request;
      request.host = "h";
      request.scope = &own_urls;
      HtmlRewriter rewriter(UrlMarker(request, document, config::UrlStyle::path, "s", "TOKEN"));
      std::string out;
      for (std::size_t at = 0; at < page.size(); at += std::min(piece, page.size() - at)) {
        out.clear();
        rewriter.feed(std::string_view(page).substr(at, piece), false, out);
      }
      rewriter.feed({}, true, out);
      keep(out);
    };
  };
}

Text repeated(const std::string& text, const std::string& begin = "", const std::string& end = "") {
  return [=](std::size_t n) { return begin + times(n, text) + end; };
}

}  // namespace

void add_affinity_cases(std::vector<CostCase>& to) {
  const std::string own = "{kind: cookie, name: c}";
  const std::string token(120, 'A');
  to.push_back({"CookiesOfOurName", 500, asks(own, "Cookie", Known::cookie, repeated("c=x; "))});
  to.push_back(
      {"CookiesOfOurNameWithTokens", 50, asks(own, "Cookie", Known::cookie, repeated("c=" + token + "; "))});
  to.push_back({"CookiesOfOtherNames", 1000, asks(own, "Cookie", Known::cookie, repeated("a=x; "))});
  to.push_back({"CookieWithALongValue", 3000, asks(own, "Cookie", Known::cookie, repeated("abcd", "c="))});
  to.push_back({"CookieOfQuotes", 3000, asks(own, "Cookie", Known::cookie, repeated("\"=;", "c="))});
  to.push_back({"CookieOfWhiteSpace", 3000, asks(own, "Cookie", Known::cookie, repeated(" \t;", "c="))});
  to.push_back({"IdsOfTheAppInCookies", 500, asks(learned, "Cookie", Known::cookie, repeated("S=x; "))});
  to.push_back({"IdsOfTheAppInThePath", 500, asks_for(learned, repeated(";jsessionid=x", "/a"))});
  to.push_back({"IdsOfTheAppInTheQuery", 500, asks_for(learned, repeated("&sid=x", "/a?"))});
  to.push_back({"TokensInThePath", 500, asks_for(in_urls, repeated(";rsid=x", "/a"))});
  to.push_back({"TokensInThePathsSegments", 500, asks_for(in_urls, repeated("/a;rsid=x;b=c", "/a"))});
  to.push_back({"TokensInTheQuery", 500, asks_for(in_queries, repeated("&rsid=x", "/a?"))});
  to.push_back({"NearlyTokensInThePath", 500, asks_for(in_urls, repeated(";rsi;rsid", "/a"))});
  to.push_back(
      {"TokensInReferer", 500, asks(in_urls, "Referer", Known::referer, repeated(";rsid=x", "http://h/a"))});
  to.push_back({"TokensInRefererQuery", 500,
                asks(in_queries, "Referer", Known::referer, repeated("&rsid=x", "http://h/a?"))});

  to.push_back({"TokensInHeaders", 500,
                asks_in_many_fields("{kind: header_token, name: X-T}", "X-T", std::string(128, 'A'))});
  to.push_back({"TokenInALongHeader", 3000,
                asks("{kind: header_token, name: X-T}", "X-T", Known::other, repeated("abcd"))});
  const std::string hashed = "{kind: hash, of: [{header: X}, {cookie: c}, {query: q}, {path: \"/r/{key}\"}]}";
  to.push_back({"HashOfManyHeaders", 500, asks_in_many_fields(hashed, "X", "a")});
  to.push_back({"HashOfALongHeader", 3000, asks(hashed, "X", Known::other, repeated("abcd"))});
  to.push_back({"HashOfManyCookies", 500, asks(hashed, "Cookie", Known::cookie, repeated("c=; "))});
  to.push_back({"HashOfManyParameters", 500, asks_for(hashed, repeated("&q=%41", "/a?"))});
  to.push_back({"HashOfALongPath", 500, asks_for(hashed, repeated("/a;b", "/r"))});

  to.push_back({"SetCookieManyTimes", 500,
                hears(learned, "Set-Cookie", Known::set_cookie, repeated("S=x; Path=/"), false)});
  to.push_back({"SetCookieOfManyAttributes", 1000,
                hears(learned, "Set-Cookie", Known::set_cookie, repeated("; a=b", "S=x"))});
  to.push_back(
      {"LocationWithALongPath", 1000, hears(in_urls, "Location", Known::location, repeated("a/../", "/"))});
  to.push_back(
      {"LocationOfTokens", 500, hears(in_urls, "Location", Known::location, repeated(";rsid=x", "/a"))});
  to.push_back(
      {"LocationManyTimes", 100, hears(in_urls, "Location", Known::location, repeated("/a"), false)});
  to.push_back(
      {"LinkOfManyTargets", 300, hears(in_urls, "Link", Known::link, repeated("</a>; rel=\"x\", "))});
  to.push_back({"LinkOfOpenBrackets", 5000, hears(in_urls, "Link", Known::link, repeated("<"))});
  to.push_back({"LinkOfQuotes", 1000, hears(in_urls, "Link", Known::link, repeated("<\"\\\""))});
  to.push_back(
      {"RefreshOfSeparators", 2000, hears(in_urls, "Refresh", Known::refresh, repeated(" ;,url=", "5"))});

  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"Brackets", "<"},
                                                        {"Dashes", "--"},
                                                        {"CommentsThatNeverEnd", "<!--"},
                                                        {"Comments", "<!--a-->"},
                                                        {"CommentEnds", "--!>"},
                                                        {"Tags", "<a>"},
                                                        {"EndTags", "</a>"},
                                                        {"Links", "<a href=\"x\">"},
                                                        {"LinksWithoutQuotes", "<a href=x>"},
                                                        {"LinksElsewhere", "<a href=\"http://evil/\">"},
                                                        {"LinksOfEntities", "<a href=\"&#x2f;&amp;&Tab;\">"},
                                                        {"FormsWithoutTarget", "<form>"},
                                                        {"Bases", "<base href=\"a/\">"},
                                                        {"Scripts", "<script>a</script>"},
                                                        {"ScriptsThatNeverEnd", "<script>"},
                                                        {"EscapedScripts", "<script><!--<script>"},
                                                        {"Textareas", "<textarea></textare>"},
                                                        {"Declarations", "<!a>"},
                                                        {"Svg", "<svg>"},
                                                        {"CData", "<![CDATA["}}) {
    to.push_back({"PageOf" + name, 600, page(repeated(text))});
    to.push_back({"PageOf" + name + "InSmallPieces", 300, page(repeated(text), 3)});
  }
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"Attributes", " a"},
                                                        {"AttributesWithValues", " a=b"},
                                                        {"Links", " href=x"},
                                                        {"Quotes", "\""},
                                                        {"EqualSigns", "="},
                                                        {"Slashes", "/"}}) {
    to.push_back({"TagOf" + name, 1000, page(repeated(text, "<a "), ~std::size_t{0}, ">")});
    to.push_back({"TagOf" + name + "ThatNeverEnds", 1000, page(repeated(text, "<a "))});
    to.push_back({"TagOf" + name + "InSmallPieces", 500, page(repeated(text, "<a "), 3, ">")});
  }
  to.push_back({"LinkOfEntities", 1000, page(repeated("&amp;&#47;", "<a href=\""), ~std::size_t{0}, "\">")});
  to.push_back({"LinkOfAmpersands", 1000, page(repeated("&", "<a href=\""), ~std::size_t{0}, "\">")});
  to.push_back({"LinkOfDots", 1000, page(repeated("../", "<a href=\""), ~std::size_t{0}, "\">")});
  to.push_back({"LongTag", 40000, page(repeated("a", "<a "), ~std::size_t{0}, ">")});
  // The longer the request's path, the more its page's links cost: together they must not multiply.
  const auto long_document = [](std::size_t n) { return "/" + times(n, "a/") + "p"; };
  to.push_back(
      {"PageOfLinksAtALongPath", 300, page(repeated("<a href=\"x\">"), ~std::size_t{0}, "", long_document)});
  to.push_back({"PageOfQueriesAtALongPath", 300,
                page(repeated("<a href=\"../../x?a\">"), ~std::size_t{0}, "", long_document)});
}

}  // namespace remora::test
