#include "affinity/html_rewriter.h"

#include <algorithm>
#include <array>
#include <vector>

#include "util/text.h"

namespace remora {

namespace {

constexpr bool space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
constexpr bool letter(char c) noexcept {
  return lower(c) >= 'a' && lower(c) <= 'z';
}

std::string_view name_of(std::string_view tag) noexcept {  // "<a href" -> "a", "</a>" -> "a"
  tag.remove_prefix(tag.size() > 1 && tag[1] == '/' ? 2 : 1);
  std::size_t n = 0;
  while (n < tag.size() && !space(tag[n]) && tag[n] != '/' && tag[n] != '>') ++n;
  return tag.substr(0, n);
}

struct Attribute {
  std::string_view name, value;  // value: as written, without quotes
  bool has_value = false;
};

/// Calls `f` with each attribute of a complete tag (13.2.5.32 to 13.2.5.40).
template <class F>
void for_each_attribute(std::string_view tag, F f) {
  std::size_t at = static_cast<std::size_t>(name_of(tag).data() - tag.data()) + name_of(tag).size();
  const std::size_t end = tag.size() - 1;  // '>'
  while (at < end) {
    if (space(tag[at]) || tag[at] == '/') {
      ++at;
      continue;
    }
    Attribute a;
    std::size_t stop = at + 1;  // a '=' in front belongs to the name
    while (stop < end && !space(tag[stop]) && tag[stop] != '/' && tag[stop] != '=') ++stop;
    a.name = tag.substr(at, stop - at);
    at = stop;
    while (at < end && space(tag[at])) ++at;
    if (at < end && tag[at] == '=') {
      ++at;
      while (at < end && space(tag[at])) ++at;
      a.has_value = true;
      if (at < end && (tag[at] == '"' || tag[at] == '\'')) {
        const char quote = tag[at++];
        stop = std::min(tag.find(quote, at), end);
        a.value = tag.substr(at, stop - at);
        at = std::min(stop + 1, end);
      } else {
        stop = at;
        while (stop < end && !space(tag[stop])) ++stop;
        a.value = tag.substr(at, stop - at);
        at = stop;
      }
    }
    f(a);
  }
}

// Character references ------------------------------------------------------------------------------

struct NamedReference {
  std::string_view name;
  char c;
};
/// All that stand for one character of ASCII (WHATWG HTML 13.5; the list is closed). The others stand for
/// characters that have no meaning in a URL.
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
/// Those that need no semicolon, unless a letter, a digit or `=` follows (13.2.5.73).
constexpr std::array<std::string_view, 8> without_semicolon{"amp", "AMP", "lt",   "LT",
                                                            "gt",  "GT",  "quot", "QUOT"};

/// Stands for a character beyond ASCII; itself it is never one of a URL's.
constexpr char some_character = '\xff';

bool alphanumeric(char c) noexcept {
  return letter(c) || (c >= '0' && c <= '9');
}

/// A character reference at the beginning of a text.
struct Reference {
  std::size_t size = 0;  // 0: there is none, the '&' stands for itself
  char c = 0;
  bool known = true;  // false: a name that is not in our list, if it is one
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

/// A value as the browser reads it, and where each of its characters stands in the text.
struct Decoded {
  std::string text;
  std::vector<std::size_t> from;            // one more than text
  std::size_t unknown = std::string::npos;  // the first reference that we do not know, in `text`
  /// What a URL begins with decides where it leads: nothing unknown may stand there. (Further on, in a host
  /// or a scheme, what is unknown is not ours anyway.)
  bool begins_clearly() const noexcept { return unknown >= 2; }
};

Decoded decode(std::string_view raw) {
  Decoded out;
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

void append_escaped(std::string_view text, std::string& out) {
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

/// One replacement inside a tag.
struct Patch {
  std::size_t at, erase;
  std::string text;
};

/// Without the white space that browsers ignore around a URL.
std::string_view bare(std::string_view raw) noexcept {
  while (!raw.empty() && space(raw.front())) raw.remove_prefix(1);
  while (!raw.empty() && space(raw.back())) raw.remove_suffix(1);
  return raw;
}

/// Whether a character more could become part of a reference: "&colon" is itself, but ":" with a ';' behind
/// it.
bool ends_in_open_reference(std::string_view raw) noexcept {
  while (!raw.empty() && (alphanumeric(raw.back()) || raw.back() == '#')) raw.remove_suffix(1);
  return !raw.empty() && raw.back() == '&';
}

/// How the value of a URL attribute has to change.
std::optional<Patch> patch_value(std::string_view tag, std::string_view raw, UrlMarker& marker) {
  const std::string_view trimmed = bare(raw);
  const Decoded decoded = decode(trimmed);
  if (!decoded.begins_clearly()) return std::nullopt;
  const auto edit = marker.edit(decoded.text);
  if (!edit) return std::nullopt;
  const auto offset = static_cast<std::size_t>(trimmed.data() - tag.data());
  Patch p;
  p.at = offset + decoded.from[edit->at];
  p.erase = decoded.from[edit->at + edit->erase] - decoded.from[edit->at];
  std::string_view text = edit->text;
  if (ends_in_open_reference(trimmed.substr(0, decoded.from[edit->at])) && !text.empty()) {
    p.text.append("&#").append(std::to_string(static_cast<unsigned char>(text.front()))).append(";");
    text.remove_prefix(1);
  }
  append_escaped(text, p.text);
  return p;
}

/// An attribute with nothing in it, where it stood.
Patch empty_value(std::string_view tag, const Attribute& a) {
  const auto at = static_cast<std::size_t>(a.value.data() - tag.data());
  const bool quoted = tag[at - 1] == '"' || tag[at - 1] == '\'';
  return {at, a.value.size(), quoted ? "" : "\"\""};
}

void append_patched(std::string_view tag, const Patch& patch, std::string& out) {
  out.append(tag.substr(0, patch.at)).append(patch.text).append(tag.substr(patch.at + patch.erase));
}

/// A reference that is never ours, for one that we cannot read.
constexpr std::string_view unreadable = "\\";

/// `<base href>`. What leads elsewhere after links were marked (where HTML allows no base any more) is
/// emptied: those links would take their tokens there.
bool rewrite_base(std::string_view tag, const Attribute& href, bool certain, UrlMarker& marker,
                  std::string& out) {
  const Decoded decoded = decode(bare(href.value));
  if (marker.rebase(decoded.begins_clearly() ? std::string_view(decoded.text) : unreadable, certain))
    return false;
  if (!href.has_value) return false;
  append_patched(tag, empty_value(tag, href), out);
  return true;
}

constexpr std::array<std::string_view, 7> raw_text_elements{"style",  "textarea", "title",   "xmp",
                                                            "iframe", "noembed",  "noframes"};

/// In these a browser may take `<base>` for something else, or for nothing.
constexpr std::array<std::string_view, 6> base_hiders{"svg",      "math",   "template",
                                                      "noscript", "select", "frameset"};

/// The token as a field of the form whose tag ends here: sent by GET, a form replaces the query of its
/// target.
void append_field(const UrlMarker& marker, std::string& out) {
  out.append("<input type=\"hidden\" name=\"")
      .append(marker.name())
      .append("\" value=\"")
      .append(marker.token())
      .append("\">");
}

struct Attributes {
  std::optional<Attribute> url, method;
  bool ping = false;
};
Attributes attributes_of(std::string_view tag, std::string_view url) {
  Attributes out;
  for_each_attribute(tag, [&](const Attribute& a) {
    if (!out.url && iequals(a.name, url)) out.url = a;  // of two, the first counts
    if (!out.method && iequals(a.name, "method")) out.method = a;
    out.ping = out.ping || iequals(a.name, "ping");
  });
  return out;
}

bool rewrite_form(std::string_view tag, UrlMarker& marker, bool& has_field, std::string& out) {
  const auto [url, method, ping] = attributes_of(tag, "action");
  if (method && iequals(method->value, "dialog")) return false;
  const bool as_field =
      !(method && iequals(method->value, "post")) && marker.style() == config::UrlStyle::query;
  std::optional<Patch> patch;
  if (!url || bare(url->value).empty()) {
    if (!marker.relative_is_ours()) return false;
    if (!as_field) {
      const auto target = marker.own_target();
      if (!target) return false;
      std::string text = " action=\"";
      append_escaped(*target, text);
      const std::string_view name = name_of(tag);
      const std::size_t after_name = static_cast<std::size_t>(name.data() - tag.data()) + name.size();
      patch = Patch{after_name, 0, text + "\""};  // before the empty one, so that it counts
    }
  } else {
    patch = patch_value(tag, url->value, marker);
    if (!patch) return false;
  }
  if (as_field) {
    out.append(tag);
    append_field(marker, out);
    has_field = true;
  } else {
    append_patched(tag, *patch, out);
  }
  return true;
}

}  // namespace

bool TagEnd::take(char c) noexcept {
  switch (state_) {
    case State::quoted:
      if (c == quote_) state_ = State::between;
      return false;
    case State::unquoted:
      if (space(c)) state_ = State::between;
      return c == '>';
    case State::before_value:
      if (space(c)) return false;
      quote_ = c;
      state_ = c == '"' || c == '\'' ? State::quoted : State::unquoted;
      return c == '>';
    case State::tag_name:
      if (space(c) || c == '/') state_ = State::between;
      return c == '>';
    case State::between:
      if (!space(c) && c != '/') state_ = State::name;  // even a '=' begins a name here
      return c == '>';
    case State::name:
    case State::after_name:
      if (c == '=') {
        state_ = State::before_value;
      } else if (c == '/') {
        state_ = State::between;
      } else if (space(c)) {
        state_ = State::after_name;
      } else {
        state_ = State::name;
      }
      return c == '>';
  }
  return false;
}

void HtmlRewriter::feed(std::string_view in, bool last, std::string& out) {
  held_.append(in);
  last_ = last;
  const auto step = [&] {
    switch (mode_) {
      case Mode::text:
        return text(out);
      case Mode::comment:
        return comment(out);
      case Mode::bogus_comment:
        return until_bracket(out);
      case Mode::raw_text:
        return raw_text(out);
      case Mode::script:
        return script(out);
      case Mode::long_tag:
        return long_tag(out);
      case Mode::plain_text:
        pass_but(0, out);
        return false;
    }
    return false;
  };
  while (at_ < held_.size() && step()) {
  }
  if (last) pass_but(0, out);
  held_.erase(0, at_);
  scanned_ -= std::min(scanned_, at_);
  at_ = 0;
}

void HtmlRewriter::pass_to(std::size_t end, std::string& out) {
  out.append(held_, at_, end - at_);
  at_ = end;
}

void HtmlRewriter::pass_but(std::size_t keep, std::string& out) {
  const std::size_t have = held_.size() - at_;
  if (have > keep || last_) pass_to(last_ ? held_.size() : held_.size() - keep, out);
}

bool HtmlRewriter::word_at(std::size_t at, std::string_view word) const noexcept {
  return iequals(std::string_view(held_).substr(std::min(at, held_.size()), word.size()), word);
}

bool HtmlRewriter::ends_name(std::size_t at) const noexcept {
  return at < held_.size() && (space(held_[at]) || held_[at] == '/' || held_[at] == '>');
}

bool HtmlRewriter::text(std::string& out) {
  const auto open = held_.find('<', at_);
  if (open == std::string::npos) {
    pass_but(0, out);
    return false;
  }
  pass_to(open, out);
  const std::size_t have = held_.size() - at_;
  if (have < 2) return false;
  const char c = held_[at_ + 1];
  if (letter(c)) return tag(out);
  if (c == '/') {
    if (have < 3) return false;
    if (letter(held_[at_ + 2])) return tag(out);
    mode_ = Mode::bogus_comment;
    return true;
  }
  if (c == '!') {
    if (have < 4 && std::string_view("<!--").substr(0, have) == std::string_view(held_).substr(at_))
      return false;
    const bool is_comment = word_at(at_, "<!--");
    if (is_comment) pass_to(at_ + 2, out);  // "<!-->" is a whole comment: its "-->" begins here
    mode_ = is_comment ? Mode::comment : Mode::bogus_comment;
    return true;
  }
  if (c == '?') {
    mode_ = Mode::bogus_comment;
    return true;
  }
  pass_to(at_ + 1, out);
  return true;
}

bool HtmlRewriter::comment(std::string& out) {
  for (auto dashes = held_.find("--", at_); dashes != std::string::npos;
       dashes = held_.find("--", dashes + 1)) {
    const bool bang = held_.compare(dashes, 4, "--!>") == 0;
    if (!bang && held_.compare(dashes, 3, "-->") != 0) continue;
    pass_to(dashes + (bang ? 4 : 3), out);
    mode_ = Mode::text;
    return true;
  }
  pass_but(3, out);
  return false;
}

bool HtmlRewriter::until_bracket(std::string& out) {
  const auto end = held_.find('>', at_);
  if (end == std::string::npos) {
    pass_but(0, out);
    return false;
  }
  pass_to(end + 1, out);
  mode_ = Mode::text;
  return true;
}

bool HtmlRewriter::raw_text(std::string& out) {
  const std::size_t longest = raw_name_.size() + 3;  // "</title" and what ends the name
  for (auto open = held_.find('<', at_); open != std::string::npos; open = held_.find('<', open + 1)) {
    if (held_.size() - open < longest && !last_) {
      pass_to(open, out);
      return false;
    }
    if (held_[open + 1 < held_.size() ? open + 1 : open] != '/' || !word_at(open + 2, raw_name_) ||
        !ends_name(open + 2 + raw_name_.size()))
      continue;
    pass_to(open, out);
    mode_ = Mode::text;
    return true;
  }
  pass_but(0, out);
  return false;
}

/// Script data with its two escaped states (13.2.5.15 to 13.2.5.31): `</script>` ends it, but not inside
/// `<!-- <script>`.
bool HtmlRewriter::script(std::string& out) {
  constexpr std::size_t longest = 9;  // "</script" and what ends the name
  for (;;) {
    const auto next = held_.find_first_of("<-", at_);
    if (next == std::string::npos) {
      pass_but(0, out);
      return false;
    }
    pass_to(next, out);
    if (held_.size() - at_ < longest && !last_) return false;
    std::size_t take = 1;
    if (escape_ != Escape::none && word_at(at_, "-->")) {
      escape_ = Escape::none;
      take = 3;
    } else if (escape_ == Escape::none && word_at(at_, "<!--")) {
      escape_ = Escape::escaped;
      take = 2;  // "<!-->" closes at once
    } else if (word_at(at_, "</script") && ends_name(at_ + 8)) {
      if (escape_ != Escape::twice) {
        mode_ = Mode::text;
        return true;
      }
      escape_ = Escape::escaped;
    } else if (escape_ == Escape::escaped && word_at(at_, "<script") && ends_name(at_ + 7)) {
      escape_ = Escape::twice;
    }
    pass_to(at_ + take, out);
    if (at_ >= held_.size()) return false;
  }
}

bool HtmlRewriter::tag(std::string& out) {
  if (scanned_ <= at_) {
    scanned_ = at_ + 1;
    end_ = {};
  }
  while (scanned_ < held_.size()) {
    if (!end_.take(held_[scanned_++])) continue;
    const std::string whole = held_.substr(at_, scanned_ - at_);
    if (whole[1] == '/' || !rewrite(whole, out)) out.append(whole);
    at_ = scanned_;
    scanned_ = 0;
    after_tag(whole);
    return true;
  }
  if (held_.size() - at_ <= most_tag_bytes) return false;
  mode_ = Mode::long_tag;
  pass_but(0, out);
  return false;
}

bool HtmlRewriter::long_tag(std::string& out) {
  for (std::size_t i = at_; i < held_.size(); ++i) {
    if (!end_.take(held_[i])) continue;
    pass_to(i + 1, out);
    mode_ = Mode::text;
    scanned_ = 0;
    return true;
  }
  pass_but(0, out);
  return false;
}

/// Rewrites one complete start tag; false: it stays as it is.
bool HtmlRewriter::rewrite(std::string_view tag, std::string& out) {
  const std::string_view name = name_of(tag);
  if (iequals(name, "form")) return rewrite_form(tag, marker_, has_field_, out);
  const bool link = iequals(name, "a") || iequals(name, "area"), base = iequals(name, "base");
  const bool button = iequals(name, "button") || iequals(name, "input");
  if (!link && !button && !base) return false;
  const Attributes a = attributes_of(tag, button ? "formaction" : "href");
  if (!a.url || !a.url->has_value) return false;
  if (base) return rewrite_base(tag, *a.url, !may_hide_base_, marker_, out);
  if (link && a.ping) return false;  // whoever is pinged is told the link's target
  if (const auto patch = patch_value(tag, a.url->value, marker_)) {
    append_patched(tag, *patch, out);
    return true;
  }
  // A button of a form sends that form's fields to its own target; a form with a token in one must not go
  // elsewhere.
  if (!button || !has_field_) return false;
  const Decoded decoded = decode(bare(a.url->value));
  if (decoded.text.empty() || (decoded.begins_clearly() && !marker_.leaves(decoded.text))) return false;
  append_patched(tag, empty_value(tag, *a.url), out);
  return true;
}

/// What a start tag turns the tokenizer into.
void HtmlRewriter::after_tag(std::string_view tag) {
  const std::string_view name = name_of(tag);
  const bool closes = tag[1] == '/';
  for (const std::string_view element : base_hiders)
    may_hide_base_ = may_hide_base_ || iequals(name, element);
  const bool empty = tag.size() > 2 && tag[tag.size() - 2] == '/';
  if (iequals(name, "svg") || iequals(name, "math")) {
    if (closes)
      foreign_ = std::max(0, foreign_ - 1);
    else if (!empty)
      ++foreign_;
    return;
  }
  if (closes || (foreign_ > 0 && empty)) return;
  if (iequals(name, "script")) {
    mode_ = Mode::script;
    escape_ = Escape::none;
  } else if (iequals(name, "plaintext")) {
    mode_ = Mode::plain_text;
  } else {
    for (const std::string_view element : raw_text_elements)
      if (iequals(name, element)) {
        mode_ = Mode::raw_text;
        raw_name_ = element;
      }
  }
}

}  // namespace remora
