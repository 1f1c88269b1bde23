// Text in attributes of HTML: character references and white space, as browsers read them (WHATWG
// HTML 13.2.5.72 to 80). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "util/text.h"

namespace remora {

constexpr bool html_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
constexpr bool html_letter(char c) noexcept {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
/// Without white space at both ends.
constexpr std::string_view html_trim(std::string_view raw) noexcept {
  while (!raw.empty() && html_space(raw.front())) raw.remove_prefix(1);
  while (!raw.empty() && html_space(raw.back())) raw.remove_suffix(1);
  return raw;
}

/// A value as a browser reads it, and where each of its characters stands in the raw text.
struct DecodedValue {
  std::string text;
  std::vector<std::size_t> from;            // one entry more than text: the end
  std::size_t unknown = std::string::npos;  // index in `text` of the first unknown reference
  /// The beginning of a URL decides where it leads, so nothing unknown may stand there. (A URL with something
  /// unknown further on, in the host or the scheme, is not ours anyway.)
  bool begins_clearly() const noexcept { return unknown >= 2; }
};
DecodedValue decode_value(std::string_view raw);

/// Whether one more character could complete a reference: "&colon" stands for itself, but for ":" with a ';'
/// behind it.
bool ends_in_open_reference(std::string_view raw) noexcept;

void append_html_escaped(std::string_view text, std::string& out);

}  // namespace remora
