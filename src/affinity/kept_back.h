// Did another site's page send this request? Then the browser may have kept our cookies back (SameSite), and
// a new one would replace a session that lives: the POST that comes back from an identity provider, say.
// Pure.
#pragma once

#include "remora/http_view.h"

namespace remora {

/// A request with an unsafe method from another site. Cookies with SameSite=Lax or Strict, and after two
/// minutes those without the attribute, do not come along with it (RFC 6265bis, 5.2 and 5.6.7.2).
/// By Sec-Fetch-Site; from browsers that do not send it, by Origin.
bool posted_by_another_site(const RequestView& request) noexcept;

}  // namespace remora
