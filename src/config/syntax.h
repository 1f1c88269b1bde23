// What is wrong with a file that is no YAML, said of the line where the mistake is and not where the parser
// met it. Pure: works on the text and on what yaml-cpp said.
#pragma once

#include <string>
#include <string_view>

namespace remora::config {

/// Lines and columns count from 0, as yaml-cpp's do.
struct SyntaxError {
  int line = 0, column = 0;
  std::string what;
};

/// `message` is yaml-cpp's.
SyntaxError explain_syntax(std::string_view text, int line, int column, const std::string& message);

/// A value that begins with a quote at this place has a closing one.
bool quote_is_closed(std::string_view text, int line, int column);

/// Something begins here although the document has ended: a second one, or a line outside the first one's
/// map.
std::string explain_second_document(std::string_view text, int line);

}  // namespace remora::config
