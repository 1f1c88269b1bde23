#include "config/substitute.h"

#include <algorithm>

namespace remora::config {

namespace {

constexpr int max_depth = 8;

bool is_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// Position of the brace that closes the one before `at`.
std::size_t closing_brace(std::string_view text, std::size_t at) {
  for (int depth = 1; at < text.size(); ++at) {
    if (text.substr(at, 2) == "${") ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return std::string_view::npos;
}

class Replacer {
 public:
  Replacer(const Variables& variable, std::string& error) : variable_(variable), error_(error) {}

  bool replace(std::string_view text, std::string& out, int depth) {
    if (depth > max_depth) return fail("'${' nested too deeply");
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (text[i] != '$' || (next != '$' && next != '{')) {
        out += text[i];
        continue;
      }
      ++i;
      if (next == '$') {
        out += '$';
        continue;
      }
      const std::size_t end = closing_brace(text, i + 1);
      if (end == std::string_view::npos) return fail("'${' without '}'");
      if (!one(text.substr(i + 1, end - i - 1), out, depth)) return false;
      i = end;
    }
    return true;
  }

 private:
  bool fail(std::string why) {
    error_ = std::move(why);
    return false;
  }

  /// Expands one expression; `inside` is the text between the braces.
  bool one(std::string_view inside, std::string& out, int depth) {
    const std::size_t end = std::min(inside.find_first_of(":-?+"), inside.size());
    const std::string name(inside.substr(0, end));
    std::string_view rest = inside.substr(end);
    if (!is_name(name)) return fail("'${' wants the name of a variable");
    const char* value = variable_(name);
    if (rest.empty()) {
      if (value == nullptr) return fail("the environment has no '" + name + "'");
      out += value;
      return true;
    }
    const bool empty_counts = rest.front() == ':';  // an empty variable counts as unset
    if (empty_counts) rest.remove_prefix(1);
    const char how = rest.empty() ? '\0' : rest.front();
    if (how != '-' && how != '?' && how != '+')
      return fail("'${" + name + ":...}' is none of ${" + name + "}, ${" + name + ":-default}, ${" + name +
                  ":?reason}, ${" + name + ":+other}");
    const std::string_view word = rest.substr(1);
    const bool set = value != nullptr && !(empty_counts && *value == '\0');
    if (how == '+') return !set || replace(word, out, depth + 1);
    if (set) {
      out += value;
      return true;
    }
    if (how == '-') return replace(word, out, depth + 1);
    return fail("the environment has no '" + name + "'" + (word.empty() ? "" : ": " + std::string(word)));
  }

  const Variables& variable_;
  std::string& error_;
};

}  // namespace

std::optional<std::string> substitute(std::string_view text, const Variables& variable, std::string& error) {
  std::string out;
  if (text.find('$') == std::string_view::npos) return std::string(text);
  if (!Replacer(variable, error).replace(text, out, 0)) return std::nullopt;
  return out;
}

}  // namespace remora::config
