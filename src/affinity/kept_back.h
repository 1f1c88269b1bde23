// Did another site's page send this request? Then the browser may have kept our cookies back (SameSite), and
// a new one would replace a session that lives: the POST that comes back from an identity provider, say.
// And the session in its URL may be that of whoever wrote the link.
// Pure.
#pragma once

#include "remora/http_view.h"

namespace remora {

/// A request with an unsafe method from another site. Cookies with SameSite=Lax or Strict, and after two
/// minutes those without the attribute, do not come along with it (RFC 6265bis, 5.2 and 5.6.7.2).
/// By Sec-Fetch-Site; from browsers that do not send it, by Origin.
bool posted_by_another_site(const RequestView& request) noexcept;

/// Another page than one of ours may have led here, with whatever method: a session in the URL is perhaps its
/// sender's, and must not become a cookie. By Sec-Fetch-Site, where only `same-origin` says that it was ours.
/// Browsers send that to https alone; without it by Origin, without that by Referer. False if none says
/// anything. Always true of preflights, which pages of ours do not need.
bool may_be_led_by_another(const RequestView& request) noexcept;

}  // namespace remora
