// Escapes untrusted text for logs: no byte may end a line, end a quoted field, or control a terminal. Pure.
//
// All escapes but those of the two printable forms are reversible. The JSON forms are no serializer's: a
// serializer passes invalid UTF-8, C1 controls and characters that turn the text's direction.
#pragma once

#include <string>
#include <string_view>

namespace remora {

/// For a quoted field: `\"`, `\\`, and `\xHH` for controls and non-ASCII bytes. Empty text: `-`.
void append_escaped(std::string& out, std::string_view text);
/// The same for one of several space-separated parts of a quoted field.
void append_escaped_part(std::string& out, std::string_view text);
/// As a field that is quoted only if necessary: one word, or `"..."`. Empty text: `-`.
void append_word(std::string& out, std::string_view text);
/// For a JSON string. A non-ASCII byte becomes the character with its number, so that the result is valid
/// JSON for any input.
void append_json_escaped(std::string& out, std::string_view text);
/// For messages to people: passes valid UTF-8 characters except controls. Backslashes and quotes stay
/// unchanged.
void append_printable(std::string& out, std::string_view text);
/// The same for a JSON string; bytes that do not pass become `\u00HH`.
void append_json_printable(std::string& out, std::string_view text);

}  // namespace remora
