#include "remora/http_view.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace remora {

bool ClientAddress::is_v4() const noexcept {
  return std::memcmp(bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool ClientAddress::is_unknown() const noexcept {
  static constexpr std::uint8_t nobody[sizeof bytes] = {};
  return std::memcmp(bytes, nobody, sizeof bytes) == 0;
}

std::size_t ClientAddress::format(char* out) const noexcept {
  char* at = out;
  if (is_v4()) {  // by hand: inet_ntop() costs more than all other work at the start of a connection
    for (int i = 12; i < 16; ++i) {
      if (i > 12) *at++ = '.';
      at = std::to_chars(at, at + 3, unsigned{bytes[i]}).ptr;
    }
    return static_cast<std::size_t>(at - out);
  }
  if (is_unknown()) {
    constexpr std::string_view unknown = "unknown";
    std::memcpy(out, unknown.data(), unknown.size());
    return unknown.size();
  }
  char text[INET6_ADDRSTRLEN];
  if (::inet_ntop(AF_INET6, bytes, text, sizeof text) == nullptr) return 0;
  const std::size_t n = std::strlen(text);
  std::memcpy(out, text, n);
  return n;
}

std::string ClientAddress::text() const {
  char room[INET6_ADDRSTRLEN];
  return std::string(room, format(room));
}

}  // namespace remora
