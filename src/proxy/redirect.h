// The Location of a route's `redirect`. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora {

/// Fills a template: {scheme} {host} {port} {authority} {uri} {path} {query}. Values are as the client sent
/// them; what could break out of a header was refused with the request.
///
/// `host` is the authority that the client named. {host} is its name alone, IPv6 in brackets, without a final
/// dot. Where it is all of a URL's authority and the scheme stays the same, its port comes along; another
/// scheme has another port (RFC 9110 4.2.2). {port} is the port, or the scheme's own. Empty: the template
/// needs a host and the client named none (HTTP/1.0).
std::string expand_redirect(std::string_view to, std::string_view scheme, std::string_view host,
                            std::string_view uri, std::string_view path, std::string_view query);

}  // namespace remora
