#include "affinity/html_rewriter.h"

#include <algorithm>
#include <array>

#include "affinity/html_text.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::array<std::string_view, 7> raw_text_elements{"style",  "textarea", "title",   "xmp",
                                                            "iframe", "noembed",  "noframes"};

}  // namespace

bool TagEnd::take(char c) noexcept {
  switch (state_) {
    case State::quoted:
      if (c == quote_) state_ = State::between;
      return false;
    case State::unquoted:
      if (html_space(c)) state_ = State::between;
      return c == '>';
    case State::before_value:
      if (html_space(c)) return false;
      quote_ = c;
      state_ = c == '"' || c == '\'' ? State::quoted : State::unquoted;
      return c == '>';
    case State::tag_name:
      if (html_space(c) || c == '/') state_ = State::between;
      return c == '>';
    case State::between:
      if (!html_space(c) && c != '/') state_ = State::name;  // here even a '=' begins a name
      return c == '>';
    case State::name:
    case State::after_name:
      if (c == '=') {
        state_ = State::before_value;
      } else if (c == '/') {
        state_ = State::between;
      } else if (html_space(c)) {
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
  return at < held_.size() && (html_space(held_[at]) || held_[at] == '/' || held_[at] == '>');
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
  if (html_letter(c)) return tag(out);
  if (c == '/') {
    if (have < 3) return false;
    if (html_letter(held_[at_ + 2])) return tag(out);
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
    if (whole[1] == '/' || !tags_.rewrite(whole, out)) out.append(whole);
    at_ = scanned_;
    scanned_ = 0;
    after_tag(whole);
    return true;
  }
  if (held_.size() - at_ <= max_tag_bytes) return false;
  mode_ = Mode::long_tag;
  const std::string_view name = html_tag_name(std::string_view(held_).substr(at_));
  const std::string_view guard = held_[at_ + 1] == '/' ? std::string_view() : tags_.guard_unread(name);
  if (!guard.empty()) pass_to(static_cast<std::size_t>(name.data() - held_.data()) + name.size(), out);
  out.append(guard);
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

/// Switches to the tokenizer state that follows a tag.
void HtmlRewriter::after_tag(std::string_view tag) {
  const std::string_view name = html_tag_name(tag);
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
