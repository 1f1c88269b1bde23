// How a browser parses a link: attribute values (WHATWG HTML 13.2.5.72 to 80) and URLs (WHATWG URL 4.4).
// Written from the standards, independently of remora's code, to check which links it marks. Covers only what
// decides where a link leads, and only ASCII hosts.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace remora::test {

struct WebUrl {
  std::string scheme, host, path, query;  // host: with the port unless it is the scheme's default
  std::string origin() const { return scheme + "://" + host; }
};

inline bool web_special(std::string_view scheme) {
  return scheme == "http" || scheme == "https" || scheme == "ws" || scheme == "wss" || scheme == "ftp";
}

inline std::string web_lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

inline int web_hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

inline bool web_slash(char c) {
  return c == '/' || c == '\\';
}

/// The path state of the URL parser, starting from `base`.
inline std::string web_path(std::string base, std::string_view text) {
  // `base` ends with a slash. `..` removes its segments, others are appended.
  std::string path = std::move(base);
  for (;;) {
    const auto end = std::min(text.find_first_of("/\\"), text.size());
    std::string segment(text.substr(0, end));
    std::string plain = web_lower(segment);
    for (auto at = plain.find("%2e"); at != std::string::npos; at = plain.find("%2e"))
      plain.replace(at, 3, ".");
    const bool last = end == text.size();
    if (plain == "..") {
      if (path.size() > 1) path.resize(path.rfind('/', path.size() - 2) + 1);
    } else if (plain != ".") {
      path += segment;
      if (!last) path += '/';
    }
    if (last) return path;
    text.remove_prefix(end + 1);
  }
}

inline std::optional<WebUrl> web_after_scheme(WebUrl out, std::string_view rest) {  // special authority
  while (!rest.empty() && web_slash(rest.front())) rest.remove_prefix(1);
  const auto end = std::min(rest.find_first_of("/\\?#"), rest.size());
  std::string authority(rest.substr(0, end));
  rest.remove_prefix(end);
  if (const auto at = authority.rfind('@'); at != std::string::npos) authority.erase(0, at + 1);
  std::string host;
  for (std::size_t i = 0; i < authority.size(); ++i) {
    if (authority[i] == '%' && i + 2 < authority.size() && web_hex(authority[i + 1]) >= 0 &&
        web_hex(authority[i + 2]) >= 0) {
      host += static_cast<char>(web_hex(authority[i + 1]) * 16 + web_hex(authority[i + 2]));
      i += 2;
    } else {
      host += authority[i];
    }
  }
  host = web_lower(host);
  const std::string own = out.scheme == "https" || out.scheme == "wss" ? ":443" : ":80";
  if (host.size() > own.size() && host.ends_with(own)) host.resize(host.size() - own.size());
  if (!host.empty() && host.back() == ':') host.pop_back();
  if (host.empty()) return std::nullopt;
  out.host = host;
  const auto mark = std::min(rest.find_first_of("?#"), rest.size());
  std::string_view path = rest.substr(0, mark);
  if (!path.empty()) path.remove_prefix(1);
  out.path = web_path("/", path);
  out.query = std::string(rest.substr(mark, rest.find('#', mark) - mark));
  return out;
}

/// Resolves a reference against `base`. Nothing: invalid, or without an origin.
inline std::optional<WebUrl> web_resolve(std::string_view reference, const WebUrl& base) {
  while (!reference.empty() && static_cast<unsigned char>(reference.front()) <= ' ')
    reference.remove_prefix(1);
  while (!reference.empty() && static_cast<unsigned char>(reference.back()) <= ' ')
    reference.remove_suffix(1);
  std::string text;
  for (const char c : reference)
    if (c != '\t' && c != '\n' && c != '\r') text += c;
  std::string_view rest = text;
  WebUrl out = base;

  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  std::size_t n = 0;
  if (!rest.empty() && letter(rest.front()))
    while (n < rest.size() && (letter(rest[n]) || (rest[n] >= '0' && rest[n] <= '9') || rest[n] == '+' ||
                               rest[n] == '-' || rest[n] == '.'))
      ++n;
  if (n > 0 && n < rest.size() && rest[n] == ':') {
    out.scheme = web_lower(std::string(rest.substr(0, n)));
    rest.remove_prefix(n + 1);
    if (!web_special(out.scheme)) return std::nullopt;
    if (out.scheme != base.scheme || rest.starts_with("//")) return web_after_scheme(out, rest);
  }
  if (!rest.empty() && web_slash(rest.front())) {
    if (rest.size() > 1 && web_slash(rest[1])) return web_after_scheme(out, rest);
    const auto mark = std::min(rest.find_first_of("?#"), rest.size());
    out.path = web_path("/", rest.substr(1, mark - 1));
    out.query = std::string(rest.substr(mark, rest.find('#', mark) - mark));
    return out;
  }
  const auto mark = std::min(rest.find_first_of("?#"), rest.size());
  if (mark > 0) {
    out.path = web_path(base.path.substr(0, base.path.rfind('/') + 1), rest.substr(0, mark));
    out.query.clear();
  }
  if (mark < rest.size() && rest[mark] == '?')
    out.query = std::string(rest.substr(mark, rest.find('#', mark) - mark));
  return out;
}

/// The URL of a refresh (WHATWG HTML 4.2.5.3, "shared declarative refresh steps"). Nothing: not a valid
/// refresh. Empty: the document itself.
inline std::optional<std::string> web_refresh(std::string_view in) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; };
  const auto at = [&](std::size_t i) { return i < in.size() ? in[i] : '\0'; };
  std::size_t i = 0;
  while (i < in.size() && space(in[i])) ++i;
  std::string time;
  while (i < in.size() && in[i] >= '0' && in[i] <= '9') time += in[i++];
  if (time.empty() && at(i) != '.') return std::nullopt;
  while (i < in.size() && ((in[i] >= '0' && in[i] <= '9') || in[i] == '.')) ++i;
  if (i == in.size()) return "";
  if (in[i] != ';' && in[i] != ',' && !space(in[i])) return std::nullopt;
  while (i < in.size() && space(in[i])) ++i;
  if (at(i) == ';' || at(i) == ',') ++i;
  while (i < in.size() && space(in[i])) ++i;
  if (i == in.size()) return "";
  std::string url(in.substr(i));
  if (at(i) == 'u' || at(i) == 'U') {
    ++i;
    if (at(i) != 'r' && at(i) != 'R') return url;
    ++i;
    if (at(i) != 'l' && at(i) != 'L') return url;
    ++i;
    while (i < in.size() && space(in[i])) ++i;
    if (at(i) != '=') return url;
    ++i;
    while (i < in.size() && space(in[i])) ++i;
  }
  const char quote = at(i) == '"' || at(i) == '\'' ? at(i) : '\0';
  if (quote != '\0') ++i;
  url = std::string(in.substr(std::min(i, in.size())));
  if (quote != '\0') url = url.substr(0, url.find(quote));
  return url;
}

/// Decodes an attribute value from source text to its value in the DOM.
inline std::string web_attribute(std::string_view raw) {
  static const std::map<std::string, char, std::less<>> names{
      {"Tab;", '\t'},        {"NewLine;", '\n'}, {"excl;", '!'},   {"quot;", '"'},
      {"QUOT;", '"'},        {"quot", '"'},      {"QUOT", '"'},    {"num;", '#'},
      {"dollar;", '$'},      {"percnt;", '%'},   {"amp;", '&'},    {"AMP;", '&'},
      {"amp", '&'},          {"AMP", '&'},       {"apos;", '\''},  {"lpar;", '('},
      {"rpar;", ')'},        {"ast;", '*'},      {"midast;", '*'}, {"plus;", '+'},
      {"comma;", ','},       {"period;", '.'},   {"sol;", '/'},    {"colon;", ':'},
      {"semi;", ';'},        {"lt;", '<'},       {"LT;", '<'},     {"lt", '<'},
      {"LT", '<'},           {"equals;", '='},   {"gt;", '>'},     {"GT;", '>'},
      {"gt", '>'},           {"GT", '>'},        {"quest;", '?'},  {"commat;", '@'},
      {"lsqb;", '['},        {"lbrack;", '['},   {"bsol;", '\\'},  {"rsqb;", ']'},
      {"rbrack;", ']'},      {"Hat;", '^'},      {"lowbar;", '_'}, {"UnderBar;", '_'},
      {"grave;", '`'},       {"lcub;", '{'},     {"lbrace;", '{'}, {"verbar;", '|'},
      {"vert;", '|'},        {"rcub;", '}'},     {"rbrace;", '}'}, {"DiacriticalGrave;", '`'},
      {"VerticalLine;", '|'}};
  constexpr std::size_t longest = 17;
  const auto alnum = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  std::string out;
  while (!raw.empty()) {
    if (raw.front() != '&') {
      out += raw.front() == '\0' ? std::string("\xef\xbf\xbd") : std::string(1, raw.front());
      raw.remove_prefix(1);
      continue;
    }
    if (raw.size() > 1 && raw[1] == '#') {
      const bool hex = raw.size() > 2 && (raw[2] == 'x' || raw[2] == 'X');
      std::size_t at = hex ? 3 : 2;
      const std::size_t begin = at;
      unsigned long code = 0;
      while (at < raw.size() && web_hex(raw[at]) >= 0 && (hex || web_hex(raw[at]) < 10)) {
        code =
            std::min(code * (hex ? 16UL : 10UL) + static_cast<unsigned long>(web_hex(raw[at])), 0x200000UL);
        ++at;
      }
      if (at > begin) {
        if (at < raw.size() && raw[at] == ';') ++at;
        out +=
            code > 0 && code < 0x80 ? std::string(1, static_cast<char>(code)) : std::string("\xef\xbf\xbd");
        raw.remove_prefix(at);
        continue;
      }
    }
    bool found = false;
    for (std::size_t size = std::min(longest, raw.size() - 1); size > 0 && !found;
         --size) {  // the longest match wins
      const auto hit = names.find(raw.substr(1, size));
      if (hit == names.end()) continue;
      const char next = size + 1 < raw.size() ? raw[size + 1] : '\0';
      if (hit->first.back() != ';' && (next == '=' || alnum(next))) break;
      out += hit->second;
      raw.remove_prefix(size + 1);
      found = true;
    }
    if (found) continue;
    out += '&';
    raw.remove_prefix(1);
  }
  return out;
}

}  // namespace remora::test
