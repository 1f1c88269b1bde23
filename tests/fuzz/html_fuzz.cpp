// Pages through the HTML rewriter. First byte: the style and where to cut; then a line, the document's
// target, and the page. However a page is cut, the result is the same; without the tokens it is the page; and
// no tag that carries one names another host.

#include <cstdlib>
#include <optional>
#include <vector>

#include "affinity/html_rewriter.h"
#include "support/whatwg.h"

using namespace remora;

namespace {
std::string rewrite(std::string_view document, std::string_view page, std::size_t piece,
                    config::UrlStyle style) {
  RequestView request;
  request.host = "h";
  HtmlRewriter rewriter(UrlMarker(request, document, style, "s", "TOKEN"));
  std::string out;
  while (!page.empty()) {
    const std::size_t n = std::min(piece, page.size());
    rewriter.feed(page.substr(0, n), false, out);
    page.remove_prefix(n);
  }
  rewriter.feed({}, true, out);
  return out;
}

bool html_space_of_standard(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/// The URL in the link's attribute around `at`, if a tag that begins at `begin` has one there (WHATWG HTML
/// 13.2.5.32 to 40).
std::optional<std::string> link_value(std::string_view page, std::size_t begin, std::size_t at) {
  std::size_t i = begin + 1;
  while (i < page.size() && !html_space_of_standard(page[i]) && page[i] != '/' && page[i] != '>') ++i;
  while (i < page.size() && i < at) {
    if (html_space_of_standard(page[i]) || page[i] == '/') {
      ++i;
      continue;
    }
    if (page[i] == '>') return std::nullopt;
    const std::size_t name_at = i++;
    while (i < page.size() && !html_space_of_standard(page[i]) && page[i] != '/' && page[i] != '>' &&
           page[i] != '=')
      ++i;
    const std::string name = test::web_lower(std::string(page.substr(name_at, i - name_at)));
    while (i < page.size() && html_space_of_standard(page[i])) ++i;
    if (i >= page.size() || page[i] != '=') continue;
    ++i;
    while (i < page.size() && html_space_of_standard(page[i])) ++i;
    if (i >= page.size()) return std::nullopt;
    std::size_t end;
    if (page[i] == '"' || page[i] == '\'') {
      end = page.find(page[i], i + 1);
      ++i;
    } else {
      end = page.find_first_of(" \t\n\r\f>", i);
    }
    if (end == std::string_view::npos) return std::nullopt;
    if (at >= i && at < end) {
      const std::string value = test::web_attribute(page.substr(i, end - i));
      if (name == "content") return test::web_refresh(value);
      const bool link =
          name == "href" || name == "xlink:href" || name == "src" || name == "action" || name == "formaction";
      return link ? std::optional(value) : std::nullopt;
    }
    i = end + (page[end] == '"' || page[end] == '\'' ? 1 : 0);
  }
  return std::nullopt;
}

/// Each link with a token, where there is one way to read it, stays on its origin.
void judge(const std::string& page, const test::WebUrl& base) {
  if (test::web_lower(page).find("<base") != std::string::npos) return;  // by tables: url_origin_test
  constexpr int max_looks = 2000;
  int looks = 0;
  for (auto at = page.find("TOKEN"); at != std::string::npos; at = page.find("TOKEN", at + 1)) {
    std::vector<std::string> readings;
    for (auto open = page.find('<'); open < at && ++looks < max_looks; open = page.find('<', open + 1))
      if (const auto value = link_value(page, open, at)) readings.push_back(*value);
    if (readings.size() != 1 || looks >= max_looks) continue;
    auto to = test::web_resolve(readings.front(), base);
    if (to && to->host.ends_with('.')) to->host.pop_back();  // the same name (RFC 3986 3.2.2)
    if (!to || to->origin() != base.origin()) std::abort();
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto style = (data[0] & 1) != 0 ? config::UrlStyle::path : config::UrlStyle::query;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if (text.find("TOKEN") != std::string_view::npos) return 0;
  const auto cut = std::min(text.find('\n'), text.size());
  std::string document = "/";
  for (const char c : text.substr(0, cut))
    if (static_cast<unsigned char>(c) > ' ' && c != 0x7f && c != '#') document += c;
  const std::string_view page = text.substr(std::min(cut + 1, text.size()));
  const std::string whole = rewrite(document, page, page.size() + 1, style);
  if (rewrite(document, page, 1 + data[0] / 2 % 9, style) != whole) std::abort();
  if (whole.find("TOKEN") == std::string::npos && whole != page) std::abort();
  judge(whole,
        {"http", "h", test::web_path("/", std::string_view(document).substr(1, document.find('?') - 1)), ""});
  return 0;
}
