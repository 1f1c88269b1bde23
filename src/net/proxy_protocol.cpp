#include "net/proxy_protocol.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "net/address.h"
#include "util/text.h"

namespace remora {

namespace {

using Status = ProxyLine::Status;
constexpr std::string_view v2_signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr ProxyLine bad{Status::bad, 0, 0, {}};

std::string_view next_word(std::string_view& line) noexcept {
  const auto space = line.find(' ');
  const auto word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

/// 0 to 65535, without leading zeros (haproxy doc/proxy-protocol.txt, 2.1).
std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
  const auto n = parse_decimal(text);
  if (!n || *n > 65535 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return static_cast<std::uint16_t>(*n);
}

bool possible_source(const ClientAddress& a) noexcept {
  const auto all = [&](int from, std::uint8_t value) {
    return std::all_of(a.bytes + from, a.bytes + 16, [&](std::uint8_t b) { return b == value; });
  };
  if (a.is_v4()) return !all(12, 0) && !all(12, 0xff) && (a.bytes[12] & 0xf0) != 0xe0;
  // All ones is the specification's example of the longest line (2.1), and senders are tested with it.
  return !all(0, 0) && (a.bytes[0] != 0xff || all(0, 0xff));
}

ProxyLine parse_v1(std::string_view bytes) noexcept {
  constexpr std::size_t longest = 107;
  const auto end = bytes.substr(0, longest).find("\r\n");
  if (end == std::string_view::npos) return bytes.size() >= longest ? bad : ProxyLine{};
  std::string_view line = bytes.substr(6, end - 6);
  const auto family = next_word(line);
  if (family == "UNKNOWN") return {Status::ok, end + 2, 0, {}};  // the rest of the line must be ignored
  if (family != "TCP4" && family != "TCP6") return bad;
  auto source = parse_ip(next_word(line));
  const auto destination = parse_ip(next_word(line));
  const auto source_port = parse_port(next_word(line));
  const auto destination_port = parse_port(line);
  // The family is that of the source, as the sender sees it. Under TCP6 a dual-stack socket's IPv4 client
  // appears as ::ffff:a.b.c.d. nginx combines the source address it got from another proxy with its own
  // socket's destination, so the destination, which remora does not use, may be of the other family.
  const bool fits = family == "TCP6" || (source && source->is_v4());
  if (!source || !destination || !fits || !source_port || !destination_port || !possible_source(*source))
    return bad;
  source->port = *source_port;
  return {Status::ok, end + 2, 0, source};
}

/// Parses the fixed part and the addresses. The TLVs behind them (up to 64 KiB: names, checksums, the
/// client's certificate) are only counted.
ProxyLine parse_v2(std::string_view bytes) noexcept {
  constexpr std::size_t fixed = 16;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  if (bytes.size() > 12 && (at(12) >> 4 != 2 || (at(12) & 0x0f) > 1)) return bad;
  if (bytes.size() < fixed) return {};
  const std::size_t length = static_cast<std::size_t>(at(14) << 8 | at(15));
  const unsigned family = at(13);
  const bool v4 = family == 0x11, v6 = family == 0x21;  // TCP
  // LOCAL is the proxy's own health check. LOCAL, unspecified, UDP and unix: keep the peer's address.
  const bool told = (at(12) & 0x0f) == 1 && (v4 || v6);
  if (!told) return {Status::ok, fixed, length, {}};
  const std::size_t addresses = v4 ? 12 : 36;
  if (length < addresses) return bad;
  if (bytes.size() < fixed + addresses) return {};
  sockaddr_storage storage{};
  if (v4) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, bytes.data() + 16, 4);
    std::memcpy(&in.sin_port, bytes.data() + 24, 2);
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, bytes.data() + 16, 16);
    std::memcpy(&in.sin6_port, bytes.data() + 48, 2);
  }
  const ClientAddress source = client_address(storage);
  if (!possible_source(source)) return bad;
  return {Status::ok, fixed + addresses, length - addresses, source};
}

}  // namespace

ProxyLine parse_proxy_line(std::string_view bytes) noexcept {
  if (bytes.empty()) return {};
  if (bytes[0] == 'P') {
    const std::string_view v1 = "PROXY ";
    const auto n = std::min(bytes.size(), v1.size());
    if (bytes.substr(0, n) != v1.substr(0, n)) return bad;
    return n < v1.size() ? ProxyLine{} : parse_v1(bytes);
  }
  const auto n = std::min(bytes.size(), v2_signature.size());
  if (bytes.substr(0, n) != v2_signature.substr(0, n)) return bad;
  return n < v2_signature.size() ? ProxyLine{} : parse_v2(bytes);
}

bool may_send_proxy_line(const config::Listener& listener, const ClientAddress& peer) noexcept {
  return peer.is_unknown() || contains(listener.proxy_protocol_from, peer);
}

}  // namespace remora
