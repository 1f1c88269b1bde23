#include "util/escape.h"

#include <algorithm>
#include <cstdint>

#include "util/text.h"

namespace remora {

namespace {

void append_byte(std::string& out, std::string_view prefix, char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  out.append(prefix);
  append_hex(out, &byte, 1);
}

/// Calls `f` for each byte that is not `plain`; copies runs of plain bytes at once.
template <class Plain, class F>
void escape(std::string& out, std::string_view text, Plain plain, F f) {
  while (!text.empty()) {
    const auto run =
        static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), plain) - text.begin());
    out.append(text.substr(0, run));
    text.remove_prefix(run);
    if (text.empty()) return;
    f(text.front());
    text.remove_prefix(1);
  }
}

bool plain_ascii(char c) noexcept {
  return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

void append_quoted(std::string& out, std::string_view text, std::string_view prefix) {
  escape(out, text, plain_ascii, [&](char c) {
    if (c == '"' || c == '\\')
      out.append({'\\', c});
    else
      append_byte(out, prefix, c);
  });
}

/// The size of the UTF-8 character at the start of a text; 0: invalid, a control (C1), or a character that
/// breaks lines or changes the text direction (U+2028 and the like).
std::size_t character(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size == 0 || text.size() < size) return 0;
  std::uint32_t code = first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool too_long = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool turns = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
                     code == 0x200e || code == 0x200f || code == 0x61c;
  return too_long || surrogate || code > 0x10ffff || code < 0xa0 || turns ? 0 : size;
}

template <class F>
void printable(std::string& out, std::string_view text, F f) {
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const bool ascii = c >= ' ' && c < 0x7f;
    const std::size_t size = ascii ? 1 : character(text.substr(i));
    if (ascii || size == 0)
      f(c, ascii);
    else
      out.append(text.substr(i, size));
    i += std::max(size, std::size_t{1});
  }
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += '-';
  } else if (text == "-") {
    append_byte(out, "\\x", '-');
  } else {
    append_quoted(out, text, "\\x");
  }
}

void append_escaped_part(std::string& out, std::string_view text) {
  for (;;) {
    const auto space = std::min(text.find(' '), text.size());
    append_quoted(out, text.substr(0, space), "\\x");
    if (space == text.size()) return;
    append_byte(out, "\\x", ' ');
    text.remove_prefix(space + 1);
  }
}

void append_json_escaped(std::string& out, std::string_view text) {
  append_quoted(out, text, "\\u00");
}

void append_word(std::string& out, std::string_view text) {
  const auto fits = [](char c) { return plain_ascii(c) && c != ' ' && c != '='; };
  if (text.empty()) {
    out += '-';
  } else if (text != "-" && std::all_of(text.begin(), text.end(), fits)) {
    out.append(text);
  } else {
    out += '"';
    append_escaped(out, text);
    out += '"';
  }
}

void append_printable(std::string& out, std::string_view text) {
  printable(out, text, [&](char c, bool ascii) {
    if (ascii)
      out += c;
    else
      append_byte(out, "\\x", c);
  });
}

void append_json_printable(std::string& out, std::string_view text) {
  printable(out, text, [&](char c, bool ascii) {
    if (!ascii)
      append_byte(out, "\\u00", c);
    else if (c == '"' || c == '\\')
      out.append({'\\', c});
    else
      out += c;
  });
}

}  // namespace remora
