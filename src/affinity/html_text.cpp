#include "affinity/html_text.h"

#include <algorithm>
#include <array>

namespace remora {

namespace {

struct NamedReference {
  std::string_view name;
  char c;
};
/// All names that stand for one ASCII character (WHATWG HTML 13.5; the list is closed). The other names stand
/// for characters without a meaning in URLs.
constexpr std::array<NamedReference, 45> named{{
    {"Tab", '\t'},
    {"NewLine", '\n'},
    {"excl", '!'},
    {"QUOT", '"'},
    {"quot", '"'},
    {"num", '#'},
    {"dollar", '$'},
    {"percnt", '%'},
    {"AMP", '&'},
    {"amp", '&'},
    {"apos", '\''},
    {"lpar", '('},
    {"rpar", ')'},
    {"ast", '*'},
    {"midast", '*'},
    {"plus", '+'},
    {"comma", ','},
    {"period", '.'},
    {"sol", '/'},
    {"colon", ':'},
    {"semi", ';'},
    {"LT", '<'},
    {"lt", '<'},
    {"equals", '='},
    {"GT", '>'},
    {"gt", '>'},
    {"quest", '?'},
    {"commat", '@'},
    {"lbrack", '['},
    {"lsqb", '['},
    {"bsol", '\\'},
    {"rbrack", ']'},
    {"rsqb", ']'},
    {"Hat", '^'},
    {"UnderBar", '_'},
    {"lowbar", '_'},
    {"DiacriticalGrave", '`'},
    {"grave", '`'},
    {"lbrace", '{'},
    {"lcub", '{'},
    {"VerticalLine", '|'},
    {"verbar", '|'},
    {"vert", '|'},
    {"rbrace", '}'},
    {"rcub", '}'},
}};
/// Names that need no semicolon, unless a letter, a digit or `=` follows (13.2.5.73).
constexpr std::array<std::string_view, 8> without_semicolon{"amp", "AMP", "lt",   "LT",
                                                            "gt",  "GT",  "quot", "QUOT"};

/// Stands for any character beyond ASCII. Never part of a URL's syntax.
constexpr char some_character = '\xff';

bool alphanumeric(char c) noexcept {
  return html_letter(c) || (c >= '0' && c <= '9');
}

/// A character reference at the beginning of a text.
struct Reference {
  std::size_t size = 0;  // 0: no reference, the '&' stands for itself
  char c = 0;
  bool known = true;  // false: not a name of our list, so perhaps no reference at all
};

Reference numeric_reference(std::string_view text) noexcept {
  const bool hex = text.size() > 2 && lower(text[2]) == 'x';
  std::size_t at = hex ? 3 : 2;
  const std::size_t digits = at;
  unsigned code = 0;
  for (; at < text.size(); ++at) {
    const int d = hex_value(text[at]);
    if (d < 0 || (!hex && d > 9)) break;
    code = std::min(code * (hex ? 16U : 10U) + static_cast<unsigned>(d), 0x110000U);
  }
  if (at == digits) return {};
  if (at < text.size() && text[at] == ';') ++at;
  return {at, code < 0x80 ? static_cast<char>(code) : some_character, true};
}

Reference named_reference(std::string_view text) noexcept {
  std::size_t end = 1;
  while (end < text.size() && alphanumeric(text[end])) ++end;
  const std::string_view name = text.substr(1, end - 1);
  if (name.empty()) return {};
  const bool closed = end < text.size() && text[end] == ';';
  const auto* const hit =
      std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.name == name; });
  if (closed) return {end + 1, hit != named.end() ? hit->c : some_character, hit != named.end()};
  const bool open =
      std::find(without_semicolon.begin(), without_semicolon.end(), name) != without_semicolon.end() &&
      (end == text.size() || text[end] != '=');
  if (open) return {end, hit->c, true};
  return {0, 0, false};
}

}  // namespace

DecodedValue decode_value(std::string_view raw) {
  DecodedValue out;
  for (std::size_t i = 0; i < raw.size();) {
    Reference r;
    if (raw[i] == '&')
      r = raw.substr(i + 1, 1) == "#" ? numeric_reference(raw.substr(i)) : named_reference(raw.substr(i));
    if (!r.known) out.unknown = std::min(out.unknown, out.text.size());
    out.text += r.size > 0 ? r.c : raw[i];
    out.from.push_back(i);
    i += std::max(r.size, std::size_t{1});
  }
  out.from.push_back(raw.size());
  return out;
}

void append_html_escaped(std::string_view text, std::string& out) {
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
}

bool ends_in_open_reference(std::string_view raw) noexcept {
  while (!raw.empty() && (alphanumeric(raw.back()) || raw.back() == '#')) raw.remove_suffix(1);
  return !raw.empty() && raw.back() == '&';
}

}  // namespace remora
