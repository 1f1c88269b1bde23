// Explains YAML syntax errors at the line of the mistake, not where the parser noticed it. Pure: works on the
// text and on yaml-cpp's message.
#pragma once

#include <string>
#include <string_view>

namespace remora::config {

/// Lines and columns count from 0, as in yaml-cpp.
struct SyntaxError {
  int line = 0, column = 0;
  std::string what;
};

/// `message`: the text of yaml-cpp's error.
SyntaxError explain_syntax(std::string_view text, int line, int column, const std::string& message);

/// True if the quoted value that starts at this position is closed. Also true if no quote starts there.
bool quote_is_closed(std::string_view text, int line, int column);

/// Explains content after the end of the document: a second document, or a line outside the first one's map.
std::string explain_second_document(std::string_view text, int line);

}  // namespace remora::config
