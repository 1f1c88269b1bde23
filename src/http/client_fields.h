// Fields in which proxies tell apps about the client, the connection and the original request.
//
// Only a trusted proxy's values count (RFC 7239 8.1). Apps and frameworks believe these fields from anybody,
// so a stranger's values must not reach an app.
//
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "util/field_name.h"

namespace remora {

/// Whether `name` starts with `beginning`, compared as same_to_apps() does.
bool begins_like(std::string_view name, std::string_view beginning) noexcept;

/// Whether it is such a field: X-Forwarded-*, Forwarded, X-Real-IP, Client-Cert and the like.
bool tells_of_the_client(std::string_view name) noexcept;
/// `Proxy`, which CGI programs get as HTTP_PROXY and use as their own proxy (httpoxy, CVE-2016-5385). No
/// proxy has a reason to send it.
bool is_httpoxy(std::string_view name) noexcept;

namespace detail {
/// Bit set of the first two letters of these names.
extern const std::array<std::uint64_t, 16> client_field_beginnings;
}  // namespace detail

/// False implies that tells_of_the_client() and is_httpoxy() are false. Cheap pre-check for the fields of
/// every request.
inline bool may_tell_of_the_client(std::string_view name) noexcept {
  if (name.size() < 2) return false;
  const unsigned hash =
      (static_cast<unsigned char>(name[0]) & 31U) << 5 | (static_cast<unsigned char>(name[1]) & 31U);
  return (detail::client_field_beginnings[hash >> 6] >> (hash & 63U) & 1U) != 0;
}

}  // namespace remora
