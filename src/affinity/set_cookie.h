// What the Set-Cookie lines of a response say of the app's session cookie, as a browser would understand them
// (RFC 6265 5.2, 5.3): a cookie is name, domain and path, so that a line which deletes it for another path or
// domain says nothing of the one that is set beside it. Pure, no allocation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "remora/http_view.h"

namespace remora {

/// One line, as far as it matters.
struct SetCookie {
  std::string_view name, value;  // the value without surrounding quotes
  std::string_view domain;       // without its leading dot; empty: the host alone
  std::string_view path;         // empty: the default of the request
  bool deletes = false;          // an empty value, "deleted", or an end that lies in the past
};

/// `now`: seconds since 1970.
SetCookie read_set_cookie(std::string_view line, std::int64_t now) noexcept;

/// What is left of a cookie when a browser has gone through all lines.
struct CookieOutcome {
  std::string_view id;   // a living one: of several the last
  bool cleared = false;  // none lives, and the one that this request could have sent was deleted
};
/// `path`: of the request; empty: not known.
CookieOutcome cookie_outcome(std::span<const Field> response, std::string_view name, std::string_view path,
                             std::int64_t now) noexcept;

}  // namespace remora
