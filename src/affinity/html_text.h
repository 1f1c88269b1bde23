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
/// Without white space at its ends.
constexpr std::string_view html_trim(std::string_view raw) noexcept {
  while (!raw.empty() && html_space(raw.front())) raw.remove_prefix(1);
  while (!raw.empty() && html_space(raw.back())) raw.remove_suffix(1);
  return raw;
}

/// A value as the browser reads it, and where each of its characters stands in the text.
struct DecodedValue {
  std::string text;
  std::vector<std::size_t> from;            // one more than text
  std::size_t unknown = std::string::npos;  // the first reference that we do not know, in `text`
  /// What a URL begins with decides where it leads: nothing unknown may stand there. (Further on, in a host
  /// or a scheme, what is unknown is not ours anyway.)
  bool begins_clearly() const noexcept { return unknown >= 2; }
};
DecodedValue decode_value(std::string_view raw);

/// Whether a character more could become part of a reference: "&colon" is itself, but ":" with a ';' behind
/// it.
bool ends_in_open_reference(std::string_view raw) noexcept;

void append_html_escaped(std::string_view text, std::string& out);

}  // namespace remora
