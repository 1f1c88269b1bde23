#include "config/syntax.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "util/text.h"

namespace remora::config {

namespace {

constexpr auto npos = std::string_view::npos;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    out.push_back(line);
    text = end == npos ? std::string_view() : text.substr(end + 1);
  }
  return out;
}

int indent_of(std::string_view line) {
  const auto first = line.find_first_not_of(' ');
  return static_cast<int>(first == npos ? line.size() : first);
}

bool is_blank(std::string_view line) {
  const std::string_view rest = trim(line);
  return rest.empty() || rest.front() == '#';
}

/// The line without comment and list dashes.
std::string_view content_of(std::string_view line) {
  line = trim(line);
  while (line.starts_with("- ")) line = trim(line.substr(2));
  if (const auto comment = line.find(" #"); comment != npos) line = trim(line.substr(0, comment));
  return line;
}

bool has_key(std::string_view content) {
  return content.find(": ") != npos || content.ends_with(':');
}

struct Bracket {
  char kind;
  int line, column;
};

/// Brackets still open at the end of `lines`, ignoring quotes and comments.
std::vector<Bracket> open_brackets(const std::vector<std::string_view>& lines) {
  std::vector<Bracket> open;
  char quote = '\0';
  for (std::size_t l = 0; l < lines.size(); ++l)
    for (std::size_t i = 0; i < lines[l].size(); ++i) {
      const char c = lines[l][i];
      const char before = i == 0 ? ' ' : lines[l][i - 1];
      const bool begins_word =
          before == ' ' || before == '[' || before == '{' || before == ',' || before == ':';
      if (quote != '\0') {
        if (c == '\\' && quote == '"')
          ++i;
        else if (c == quote)
          quote = '\0';
      } else if ((c == '"' || c == '\'') && begins_word) {
        quote = c;
      } else if (c == '#' && before == ' ') {
        break;
      } else if ((c == '[' || c == '{') && (begins_word || !open.empty())) {
        open.push_back({c, static_cast<int>(l), static_cast<int>(i)});
      } else if ((c == ']' || c == '}') && !open.empty()) {
        open.pop_back();
      }
    }
  return open;
}

/// A hint for the most common quoting mistakes, whatever the parser reported; empty if none applies.
std::string quoting_hint(std::string_view line) {
  if (line.find("{{") != npos || line.find("{%") != npos)
    return " (a template's braces? This file is read as it is, only ${NAME} is replaced)";
  if (line.find("*.") != npos) return " (quote it: \"*.example.com\")";
  if (line.find("[::") != npos || line.find("]:") != npos) return " (quote it: \"[::1]:80\")";
  return "";
}

class Explainer {
 public:
  Explainer(std::string_view text, int line, int column, const std::string& message)
      : lines_(lines_of(text)), line_(line), column_(column), message_(message) {}

  SyntaxError explain() const {
    const std::string_view here = line_at(line_);
    if (const auto tab = tab_in_indent(here))
      return at(line_, *tab, "a tab: YAML forbids tabs for indentation; use spaces");
    if (message_.find("map value") != npos) return map_value(here);
    if (message_.find("flow not found") != npos) return unclosed();
    if (message_.find("flow end") != npos)
      return at(line_, column_, "a closing bracket that closes nothing, or another kind of bracket");
    if (message_.find("block entry") != npos)
      return at(line_, column_, "a list with dashes begins on a line of its own; in one line it is [a, b]");
    if (message_.find("anchor") != npos || message_.find("alias") != npos) return alias(here);
    if (message_ == "unknown token")
      return at(line_, column_, "a plain value cannot begin with this; quote it" + quoting_hint(here));
    if (message_.find("not found") != npos) return misplaced(here);
    return at(line_, column_, message_ + quoting_hint(here));
  }

 private:
  static SyntaxError at(int line, int column, const std::string& what) {
    return {line, column, "syntax: " + what};
  }

  std::string_view line_at(int n) const {
    return n >= 0 && static_cast<std::size_t>(n) < lines_.size() ? lines_[static_cast<std::size_t>(n)]
                                                                 : std::string_view();
  }
  /// The last non-blank line before `n`; -1 if there is none.
  int previous(int n) const {
    for (--n; n >= 0; --n)
      if (!is_blank(line_at(n))) return n;
    return -1;
  }
  static std::optional<int> tab_in_indent(std::string_view line) {
    const auto first = line.find_first_not_of(" \t");
    const auto tab = line.substr(0, first).find('\t');
    return tab == npos ? std::nullopt : std::optional<int>(static_cast<int>(tab));
  }

  /// yaml-cpp reports this at the next colon, which is often on the line after the mistake.
  SyntaxError map_value(std::string_view here) const {
    const std::string_view before = here.substr(0, static_cast<std::size_t>(std::max(column_, 0)));
    if (content_of(before).find(": ") != npos)
      return at(line_, column_, "a value cannot hold ': ' without quotes" + quoting_hint(here));
    const int last = previous(line_);
    const std::string_view content = content_of(line_at(last));
    const int begin = indent_of(line_at(last));
    if (last >= 0 && !has_key(content)) {
      const auto colon = content.find(':');
      const bool key = colon != npos && content.find_first_of(" \"'[{/.") > colon;
      return at(last, begin,
                key ? "a blank is missing behind the colon" : "a colon is missing behind the key");
    }
    if (last >= 0 && indent_of(here) > begin && !content.ends_with(':'))
      return at(line_, indent_of(here), "indented deeper than the line before, which has a value already");
    return at(line_, column_, "a key cannot stand here");
  }

  SyntaxError unclosed() const {
    const std::size_t count = std::min(lines_.size(), static_cast<std::size_t>(std::max(line_, 0)));
    const auto open = open_brackets({lines_.begin(), lines_.begin() + static_cast<std::ptrdiff_t>(count)});
    if (!open.empty()) {
      std::string what = "this '' is not closed";
      what.insert(what.find('\'') + 1, 1, open.back().kind);
      return at(open.back().line, open.back().column, what);
    }
    const std::string_view here = line_at(line_);
    std::string hint = quoting_hint(here);
    if (hint.empty() && here.find(": ") != npos) hint = " (a value that holds ': ' or ',' needs quotes)";
    return at(line_, column_, "a bracket is not closed, or a comma is missing" + hint);
  }

  SyntaxError alias(std::string_view here) const {
    std::string hint = quoting_hint(here);
    if (hint.empty()) hint = " (text that begins with '*' needs quotes)";
    return at(line_, column_, "there is no such anchor before" + hint);
  }

  SyntaxError misplaced(std::string_view here) const {
    if (const std::string hint = quoting_hint(here); !hint.empty())
      return at(line_, column_, "unexpected text behind a value" + hint);
    if (column_ > indent_of(here))
      return at(line_, column_, "unexpected text behind a value (quote the whole value?)");
    const int last = previous(line_);
    if (trim(line_at(last)).starts_with("-") != trim(here).starts_with("-"))
      return at(line_, column_, "a list's items and keys are mixed, or the indentation is wrong");
    return at(line_, column_, "indented unlike the lines that it belongs to");
  }

  const std::vector<std::string_view> lines_;
  const int line_, column_;
  const std::string& message_;
};

}  // namespace

SyntaxError explain_syntax(std::string_view text, int line, int column, const std::string& message) {
  return Explainer(text, line, column, message).explain();
}

bool quote_is_closed(std::string_view text, int line, int column) {
  for (int i = 0; i < line; ++i) {
    const auto end = text.find('\n');
    if (end == npos) return true;
    text.remove_prefix(end + 1);
  }
  if (column < 0 || static_cast<std::size_t>(column) >= text.size()) return true;
  const char quote = text[static_cast<std::size_t>(column)];
  if (quote != '"' && quote != '\'') return true;
  for (std::size_t i = static_cast<std::size_t>(column) + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\')
      ++i;
    else if (text[i] == quote && (quote == '"' || i + 1 >= text.size() || text[i + 1] != quote))
      return true;
    else if (text[i] == quote)
      ++i;
  }
  return false;
}

std::string explain_second_document(std::string_view text, int line) {
  const auto lines = lines_of(text);
  for (int n = std::min(line, static_cast<int>(lines.size()) - 1); n >= 0; --n) {
    const std::string_view here = lines[static_cast<std::size_t>(n)];
    if (here.starts_with("---")) return "a second document begins here; only one can be in the file";
    if (n < line && !is_blank(here)) break;
  }
  return "syntax: outside of what stands above: is the file's first line indented, or a bracket closed too "
         "early?";
}

}  // namespace remora::config
