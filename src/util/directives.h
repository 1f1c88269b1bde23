// Parses lists of directives such as Cache-Control (RFC 9111 5.2): NAME, NAME=TOKEN, NAME="TEXT, WITH
// COMMAS". Pure, no allocation.
#pragma once

#include <string_view>

#include "util/text.h"

namespace remora {

struct Directive {
  std::string_view name, argument;  // argument as written, including quotes
  std::string_view whole;
};

/// Calls `f` with each directive of one field line; skips empty elements. An unterminated quote extends to
/// the end of the line.
template <class F>
void for_each_directive(std::string_view line, F f) {
  while (!line.empty()) {
    std::size_t end = 0;
    for (bool quoted = false; end < line.size() && (quoted || line[end] != ','); ++end) {
      if (line[end] == '"') quoted = !quoted;
      if (quoted && line[end] == '\\' && end + 1 < line.size()) ++end;
    }
    Directive d;
    d.whole = trim(line.substr(0, end));
    const auto equals = d.whole.find('=');
    d.name = trim(d.whole.substr(0, equals));
    if (equals != std::string_view::npos) d.argument = trim(d.whole.substr(equals + 1));
    if (!d.whole.empty()) f(d);
    line.remove_prefix(end < line.size() ? end + 1 : end);
  }
}

}  // namespace remora
