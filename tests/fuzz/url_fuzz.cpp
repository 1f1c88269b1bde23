// URLs of requests and responses through the URL rewriter, judged by how browsers read them. First byte:
// style, scheme and whether the reference is written in HTML; then two lines: the document's target and a
// reference.

#include <cstdlib>

#include "affinity/html_rewriter.h"
#include "support/whatwg.h"

using namespace remora;

namespace {
constexpr std::string_view token = "TOKEN";

/// As take_target_apart and the attribute's quotes let them be.
std::string target_from(std::string_view text) {
  std::string out = "/";
  for (const char c : text)
    if (static_cast<unsigned char>(c) > ' ' && c != 0x7f && c != '#') out += c;
  return out;
}

void demand(bool holds) {
  if (!holds) std::abort();
}

std::string in_html(UrlMarker marker, const std::string& attribute) {
  HtmlRewriter rewriter(std::move(marker));
  const std::string before = "<a href=\"", behind = "\">";
  std::string out;
  rewriter.feed(before + attribute + behind, true, out);
  demand(out.starts_with(before) && out.ends_with(behind));
  return out.substr(before.size(), out.size() - before.size() - behind.size());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto style = (data[0] & 1) != 0 ? config::UrlStyle::path : config::UrlStyle::query;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if (text.find(token) != std::string_view::npos) return 0;
  const auto cut = std::min(text.find('\n'), text.size());
  const std::string target = target_from(text.substr(0, cut));
  std::string reference(text.substr(std::min(cut + 1, text.size())));

  TextArena arena;
  const std::string_view clean = without_url_parameter(target, style, "s", arena);
  demand(clean.size() <= target.size() && !find_url_parameter(clean, style, "s", UrlForm::target));
  const std::string_view masked = mask_url_parameter(target, style, "s", arena);
  const auto left = find_url_parameter(masked, style, "s", UrlForm::target);
  demand(!left || left.value == "***");

  RequestView request;
  request.host = "h";
  request.secure = (data[0] & 2) != 0;
  const std::string document(clean);
  const auto mark = std::min(document.find('?'), document.size());
  const test::WebUrl base{request.secure ? "https" : "http", "h",
                          test::web_path("/", std::string_view(document).substr(1, mark - 1)),
                          document.substr(mark)};
  UrlMarker marker(request, document, style, "s", std::string(token));
  const auto stays = [&](const std::string& url) {
    if (url.find(token) == std::string::npos) return;
    auto to = test::web_resolve(url, base);
    if (to && to->host.ends_with('.')) to->host.pop_back();  // the same name (RFC 3986 3.2.2)
    demand(to && to->origin() == base.origin());
  };
  if (const auto own = marker.own_target()) stays(*own);
  if ((data[0] & 4) != 0) {
    std::erase(reference, '"');
    const std::string out = in_html(marker, reference);
    demand(out.find(token) != std::string::npos || out == reference);
    stays(test::web_attribute(out));
    return 0;
  }
  std::string out;
  demand(marker.append(reference, out) || out == reference);
  stays(out);
  return 0;
}
