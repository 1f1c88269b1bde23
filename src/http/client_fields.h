// The fields by which proxies tell apps who asks, how the request came and what it asked for.
//
// Only a trusted proxy's word counts (RFC 7239 8.1). Apps and their frameworks believe these fields from
// anybody who reaches them, so what a stranger says in one must not reach an app.
//
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace remora {

/// As apps compare names that came through CGI's variables: in any letter case, and with a hyphen for
/// whatever is neither letter nor digit.
bool same_to_apps(std::string_view a, std::string_view b) noexcept;
/// `name` begins so, compared in the same way.
bool begins_like(std::string_view name, std::string_view beginning) noexcept;

/// Such a field: X-Forwarded-*, Forwarded, X-Real-IP, Client-Cert and their like.
bool tells_of_the_client(std::string_view name) noexcept;
/// `Proxy`, which CGI programs get as HTTP_PROXY and take for their own proxy (httpoxy, CVE-2016-5385): no
/// proxy has a reason to send it.
bool is_httpoxy(std::string_view name) noexcept;

namespace detail {
/// Which first two letters such names have.
extern const std::array<std::uint64_t, 16> client_field_beginnings;
}  // namespace detail

/// False: tells_of_the_client() and is_httpoxy() are false as well. Cheap, for the fields of every request.
inline bool may_tell_of_the_client(std::string_view name) noexcept {
  if (name.size() < 2) return false;
  const unsigned hash =
      (static_cast<unsigned char>(name[0]) & 31U) << 5 | (static_cast<unsigned char>(name[1]) & 31U);
  return (detail::client_field_beginnings[hash >> 6] >> (hash & 63U) & 1U) != 0;
}

}  // namespace remora
