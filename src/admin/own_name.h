// Which requests a browser may have sent here for somebody else's page. Pure.
//
// Without a token whoever reaches the address may steer. A web page of a stranger reaches it through the
// browser of somebody who may: by a name of its own that it points at this machine (DNS rebinding: the Host
// field tells), or by sending without reading (CSRF: Origin and Sec-Fetch-Site tell).
#pragma once

#include <string_view>

namespace remora {

/// A Host field that is exactly `localhost`, an IPv4 address or an IPv6 address in brackets, with or without
/// a port: no name that somebody else could point at us.
bool is_own_name(std::string_view host) noexcept;

/// What a browser says of the page that sent the request. Empty fields: no browser, or an old one.
/// `host`: of the same request.
bool is_same_origin(std::string_view origin, std::string_view fetch_site, std::string_view host) noexcept;

}  // namespace remora
