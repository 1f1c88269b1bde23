// Did a page of another site send this request? If so, the browser may have withheld our cookies (SameSite),
// and a new cookie would replace a living session: in the POST that returns from an identity provider, for
// example. A session in the URL may then be that of the link's author.
// Pure.
#pragma once

#include "remora/http_view.h"

namespace remora {

/// A request with an unsafe method from another site. Browsers do not send cookies with SameSite=Lax or
/// Strict along with it, nor, two minutes after they were set, cookies without the attribute (RFC 6265bis,
/// 5.2 and 5.6.7.2). Judged by Sec-Fetch-Site; for browsers that do not send it, by Origin.
bool posted_by_another_site(const RequestView& request) noexcept;

/// A page other than ours may have led here, whatever the method: a session in the URL may be its sender's
/// and must not become a cookie. Judged by Sec-Fetch-Site, where only `same-origin` means a page of ours.
/// Browsers send that field to https only; without it Origin decides, without that Referer. False if none of
/// them is sent. Always true for preflights, which pages of ours do not need.
bool may_be_led_by_another(const RequestView& request) noexcept;

}  // namespace remora
