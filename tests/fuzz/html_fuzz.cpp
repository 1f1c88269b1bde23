// Pages through the HTML rewriter. First byte: the style and where to cut. However a page is cut, the result
// is the same, and without the tokens it is the page.

#include <cstdlib>

#include "affinity/html_rewriter.h"

using namespace remora;

namespace {
std::string rewrite(std::string_view page, std::size_t piece, config::UrlStyle style) {
  RequestView request;
  request.host = "h";
  HtmlRewriter rewriter(UrlMarker(request, "/d/p?q", style, "s", "TOKEN"));
  std::string out;
  while (!page.empty()) {
    const std::size_t n = std::min(piece, page.size());
    rewriter.feed(page.substr(0, n), false, out);
    page.remove_prefix(n);
  }
  rewriter.feed({}, true, out);
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto style = (data[0] & 1) != 0 ? config::UrlStyle::path : config::UrlStyle::query;
  const std::string_view page(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string whole = rewrite(page, page.size() + 1, style);
  if (rewrite(page, 1 + data[0] / 2 % 9, style) != whole) std::abort();
  if (whole.size() < page.size() && page.find("s=") == std::string_view::npos) std::abort();
  if (whole.find("TOKEN") == std::string::npos && whole != page) std::abort();
  return 0;
}
