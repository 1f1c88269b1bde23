// Frames of HTTP/2 written by hand, as a server sends them to a probe.
#pragma once

#include <string>

namespace remora::test {

inline std::string frame(char type, char flags, char stream, const std::string& payload) {
  return std::string("\0\0", 2) + static_cast<char>(payload.size()) + type + flags +
         std::string("\0\0\0", 3) + stream + payload;
}
inline const std::string settings = frame(4, 0, 0, "");
constexpr char end_headers = 4, end_headers_and_stream = 5;
inline const std::string status_200 = "\x88", status_404 = "\x8d";
/// A literal field that is not indexed (RFC 7541 6.2.2).
inline std::string literal(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) +
         value;
}

}  // namespace remora::test
