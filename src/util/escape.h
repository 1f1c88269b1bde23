// Texts from outside on their way into a log: no byte of them may end a line, end a quoted field, or act on a
// terminal. Pure; each way of escaping can be undone without loss.
#pragma once

#include <string>
#include <string_view>

namespace remora {

/// For a quoted field: `\"`, `\\`, and `\xHH` for controls and everything beyond ASCII. Empty: `-`.
void append_escaped(std::string& out, std::string_view text);
/// The same for one of several parts of a quoted field, which spaces separate.
void append_escaped_part(std::string& out, std::string_view text);
/// As a whole field that is not quoted unless it has to be: one word, or `"..."`. Empty: `-`.
void append_word(std::string& out, std::string_view text);
/// Inside a JSON string. Bytes beyond ASCII become the characters of the same number, so that the result is
/// valid whatever they were.
void append_json_escaped(std::string& out, std::string_view text);
/// A message for people: characters beyond ASCII pass if they are whole and no controls. Backslashes and
/// quotes stand as they are.
void append_printable(std::string& out, std::string_view text);
/// The same inside a JSON string, where what does not pass becomes `\u00HH`.
void append_json_printable(std::string& out, std::string_view text);

}  // namespace remora
