// Detects requests that a browser sent on behalf of another site's page. Pure.
//
// Without a token, anyone who can reach the address has control. A foreign web page can reach it through
// the browser of such a user: with a host name of its own that resolves to this machine (DNS rebinding,
// visible in Host), or by sending requests without reading the responses (CSRF, visible in Origin and
// Sec-Fetch-Site).
#pragma once

#include <string_view>

namespace remora {

/// True if Host is exactly `localhost`, an IPv4 address or a bracketed IPv6 address, with or without a port.
/// No other site can point such a name at this machine.
bool is_own_name(std::string_view host) noexcept;

/// True if the browser says that the page is from this origin, or if it says nothing: not a browser, or an
/// old one. `host`: the Host field of the same request.
bool is_same_origin(std::string_view origin, std::string_view fetch_site, std::string_view host) noexcept;

}  // namespace remora
