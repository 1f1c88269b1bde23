// URLs of requests and responses through the URL rewriter. First byte: the style; then two lines: a target
// and a reference found in a response.

#include <cstdlib>

#include "affinity/url_marker.h"

using namespace remora;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto style = (data[0] & 1) != 0 ? config::UrlStyle::path : config::UrlStyle::query;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto cut = std::min(text.find('\n'), text.size());
  const std::string_view target = text.substr(0, cut),
                         reference = text.substr(std::min(cut + 1, text.size()));
  TextArena arena;
  const std::string_view clean = without_url_parameter(target, style, "s", arena);
  if (clean.size() > target.size()) std::abort();
  const std::string_view masked = mask_url_parameter(target, style, "s", arena);
  if (const auto left = find_url_parameter(masked, style, "s"); left && left.value != "***") std::abort();

  RequestView request;
  request.host = "h";
  request.secure = (data[0] & 2) != 0;
  UrlMarker marker(request, "/d/p?q", style, "s", "TOKEN");
  std::string out;
  if (!marker.append(reference, out)) {
    if (out != reference) std::abort();
    return 0;
  }
  // What was marked is ours, holds the token once, and reads back.
  if (find_url_parameter(out, style, "s").value != "TOKEN") std::abort();
  if (classify_reference(out, {request.secure, "h"}).kind != UrlReference::Kind::same_origin)
    std::abort();
  std::string again;
  if (!marker.append(out, again) || again != out) std::abort();
  return 0;
}
