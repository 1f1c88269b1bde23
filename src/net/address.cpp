#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <boost/asio/error.hpp>
#include <cstring>

namespace remora {

namespace asio = boost::asio;

Result<Endpoint> resolve(const config::Address& a) {
  Endpoint e;
  if (a.kind == config::Address::Kind::unix_path) {
    auto* un = reinterpret_cast<sockaddr_un*>(&e.storage);
    if (a.host.size() >= sizeof un->sun_path) return error_code(asio::error::name_too_long);
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, a.host.c_str(), a.host.size() + 1);
    e.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + a.host.size() + 1);
    return e;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  if (parse_ip(a.host)) hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
  addrinfo* list = nullptr;
  const int rc = ::getaddrinfo(a.host.c_str(), std::to_string(a.port).c_str(), &hints, &list);
  if (rc != 0) return error_code(rc, asio::error::get_addrinfo_category());
  std::memcpy(&e.storage, list->ai_addr, list->ai_addrlen);
  e.size = list->ai_addrlen;
  ::freeaddrinfo(list);
  return e;
}

ClientAddress client_address(const sockaddr_storage& s) noexcept {
  ClientAddress c;
  if (s.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(s);
    std::memcpy(c.bytes, ClientAddress::v4_prefix, sizeof ClientAddress::v4_prefix);
    std::memcpy(c.bytes + 12, &in.sin_addr, 4);
    c.port = ntohs(in.sin_port);
  } else if (s.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(s);
    std::memcpy(c.bytes, &in.sin6_addr, 16);
    c.port = ntohs(in.sin6_port);
  }
  return c;
}

std::optional<ClientAddress> parse_ip(std::string_view text) noexcept {
  char room[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof room) return std::nullopt;
  std::memcpy(room, text.data(), text.size());
  room[text.size()] = '\0';
  ClientAddress c;
  if (::inet_pton(AF_INET, room, c.bytes + 12) == 1) {
    std::memcpy(c.bytes, ClientAddress::v4_prefix, sizeof ClientAddress::v4_prefix);
    return c;
  }
  if (::inet_pton(AF_INET6, room, c.bytes) == 1) return c;
  return std::nullopt;
}

bool contains(const config::Cidr& block, const ClientAddress& a) noexcept {
  const unsigned whole = block.bits / 8, rest = block.bits % 8;
  if (std::memcmp(block.bytes, a.bytes, whole) != 0) return false;
  if (rest == 0) return true;
  const auto top = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (block.bytes[whole] & top) == (a.bytes[whole] & top);
}

bool contains(std::span<const config::Cidr> blocks, const ClientAddress& a) noexcept {
  for (const auto& b : blocks)
    if (contains(b, a)) return true;
  return false;
}

ClientAddress mask(const ClientAddress& a, unsigned v4, unsigned v6) noexcept {
  ClientAddress out = a;
  out.port = 0;
  const unsigned keep = a.is_v4() ? 96 + v4 : v6;
  for (unsigned bit = keep; bit < 128; ++bit)
    out.bytes[bit / 8] = static_cast<std::uint8_t>(out.bytes[bit / 8] & ~(0x80 >> (bit % 8)));
  return out;
}

}  // namespace remora
