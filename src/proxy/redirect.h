// Builds the Location of a route's `redirect`. Pure.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "remora/config.h"

namespace remora {

/// Fills a template: {scheme} {host} {port} {authority} {uri} {path} {query}. Values are as the client sent
/// them; requests with characters that could break out of a header were refused before.
///
/// `host` is the authority from the request. {host} is only its name, IPv6 in brackets, without a final dot.
/// If {host} is the whole authority of the URL and the scheme stays the same, the port is kept; another
/// scheme has another port (RFC 9110 4.2.2). {port} is the port, or the scheme's default.
///
/// Returns an empty string if the template needs a host and the client sent none (HTTP/1.0).
std::string expand_redirect(std::string_view to, std::string_view scheme, std::string_view host,
                            std::string_view uri, std::string_view path, std::string_view query);

/// The reply of a route with `redirect`: its status and Location; or 400 without a Location, if it leads to a
/// host and the request names none.
struct RedirectReply {
  std::uint16_t status;
  std::string location;
};
RedirectReply redirect_reply(const config::Redirect& redirect, const RequestHead& head, bool secure);

}  // namespace remora
