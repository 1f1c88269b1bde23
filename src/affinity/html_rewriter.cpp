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
/// Those that matter in URLs; any other passes as it is written.
constexpr std::array<NamedReference, 14> named{{{"amp;", '&'},
                                                {"quot;", '"'},
                                                {"apos;", '\''},
                                                {"lt;", '<'},
                                                {"gt;", '>'},
                                                {"sol;", '/'},
                                                {"bsol;", '\\'},
                                                {"quest;", '?'},
                                                {"num;", '#'},
                                                {"colon;", ':'},
                                                {"semi;", ';'},
                                                {"equals;", '='},
                                                {"commat;", '@'},
                                                {"Tab;", '\t'}}};

/// A value as the browser reads it, and where each of its characters stands in the text.
struct Decoded {
  std::string text;
  std::vector<std::size_t> from;  // one more than text
};

Decoded decode(std::string_view raw) {
  Decoded out;
  const auto put = [&](char c, std::size_t at) {
    out.text += c;
    out.from.push_back(at);
  };
  for (std::size_t i = 0; i < raw.size();) {
    std::size_t next = i + 1;
    char c = raw[i];
    if (c == '&' && raw.substr(i + 1, 1) == "#") {
      const bool hex = raw.size() > i + 2 && lower(raw[i + 2]) == 'x';
      std::size_t at = i + (hex ? 3 : 2);
      const std::size_t digits = at;
      unsigned code = 0;
      for (; at < raw.size(); ++at) {
        const int d = hex_value(raw[at]);
        if (d < 0 || (!hex && d > 9)) break;
        code = std::min(code * (hex ? 16U : 10U) + static_cast<unsigned>(d), 0x110000U);
      }
      if (at > digits) {
        if (at < raw.size() && raw[at] == ';') ++at;
        next = at;
        c = code < 0x80 ? static_cast<char>(code) : '~';  // beyond ASCII: some ordinary character
      }
    } else if (c == '&') {
      const auto* hit = std::find_if(named.begin(), named.end(), [&](const NamedReference& n) {
        return raw.substr(i + 1, n.name.size()) == n.name;
      });
      if (hit != named.end()) {
        next = i + 1 + hit->name.size();
        c = hit->c;
      }
    }
    put(c, i);
    i = next;
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

/// How the value of a URL attribute has to change.
std::optional<Patch> patch_value(std::string_view tag, std::string_view raw, const UrlMarker& marker) {
  std::size_t lead = 0;
  while (lead < raw.size() && space(raw[lead])) ++lead;
  std::string_view trimmed = raw.substr(lead);
  while (!trimmed.empty() && space(trimmed.back())) trimmed.remove_suffix(1);
  const Decoded decoded = decode(trimmed);
  const auto edit = marker.edit(decoded.text);
  if (!edit) return std::nullopt;
  const auto offset = static_cast<std::size_t>(trimmed.data() - tag.data());
  Patch p;
  p.at = offset + decoded.from[edit->at];
  p.erase = decoded.from[edit->at + edit->erase] - decoded.from[edit->at];
  append_escaped(edit->text, p.text);
  return p;
}

constexpr std::array<std::string_view, 7> raw_text_elements{"style",  "textarea", "title",   "xmp",
                                                            "iframe", "noembed",  "noframes"};

/// Rewrites one complete start tag; false: it stays as it is.
bool rewrite_tag(std::string_view tag, UrlMarker& marker, std::string& out) {
  const std::string_view name = name_of(tag);
  const bool link = iequals(name, "a") || iequals(name, "area"), form = iequals(name, "form");
  const bool button = iequals(name, "button") || iequals(name, "input"), base = iequals(name, "base");
  if (!link && !form && !button && !base) return false;
  const std::string_view wanted = form ? "action" : button ? "formaction" : "href";
  std::optional<Attribute> url, method;
  for_each_attribute(tag, [&](const Attribute& a) {
    if (!url && iequals(a.name, wanted)) url = a;  // of two, the first counts
    if (!method && iequals(a.name, "method")) method = a;
  });
  if (base) {
    if (url) marker.rebase(decode(url->value).text);
    return false;
  }
  const bool by_post = method && iequals(method->value, "post");
  if (form && method && iequals(method->value, "dialog")) return false;

  // A form that is sent by GET replaces the query of its target: there the token has to be a field.
  const bool as_field = form && !by_post && marker.style() == config::UrlStyle::query;
  const bool empty = form && (!url || url->value.find_first_not_of(" \t\n\r\f") == std::string_view::npos);
  std::optional<Patch> patch;
  bool ours = false;
  if (empty) {
    ours = marker.relative_is_ours();
    if (ours && !as_field) {
      std::string target;
      append_escaped(marker.own_target(), target);
      const std::size_t after_name = static_cast<std::size_t>(name.data() - tag.data()) + name.size();
      patch = Patch{after_name, 0, " action=\"" + target + "\""};  // before the empty one, so that it counts
    }
  } else if (url && url->has_value) {
    patch = patch_value(tag, url->value, marker);
    ours = patch.has_value();
    if (as_field) patch.reset();
  }
  if (!ours) return false;
  if (patch) {
    out.append(tag.substr(0, patch->at)).append(patch->text).append(tag.substr(patch->at + patch->erase));
  } else {
    out.append(tag);
  }
  if (as_field)
    out.append("<input type=\"hidden\" name=\"")
        .append(marker.name())
        .append("\" value=\"")
        .append(marker.token())
        .append("\">");
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
    if (whole[1] == '/' || !rewrite_tag(whole, marker_, out)) out.append(whole);
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

/// What a start tag turns the tokenizer into.
void HtmlRewriter::after_tag(std::string_view tag) {
  const std::string_view name = name_of(tag);
  const bool closes = tag[1] == '/';
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
