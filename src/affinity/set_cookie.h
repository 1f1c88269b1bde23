// What the Set-Cookie lines of a response say about the app's session cookie, as a browser would understand
// them (RFC 6265 5.2, 5.3). A cookie is identified by name, domain and path, so a line that deletes it for
// another path or domain does not affect the one that is set beside it. Pure, no allocation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "remora/http_view.h"

namespace remora {

/// One line, as far as it matters here.
struct SetCookie {
  std::string_view name, value;  // the value without surrounding quotes
  std::string_view domain;       // without a leading dot; empty: only the host itself
  std::string_view path;         // empty: the default path of the request
  bool deletes = false;          // an empty value, "deleted", or an expiry in the past
};

/// `now`: seconds since 1970.
SetCookie read_set_cookie(std::string_view line, std::int64_t now) noexcept;

/// What is left of a cookie after a browser has processed all lines.
struct CookieOutcome {
  std::string_view id;   // value of a living cookie; of several, the last
  bool cleared = false;  // none lives, and the one that this request could have sent was deleted
};
/// `path`: the request's; empty: unknown.
CookieOutcome cookie_outcome(std::span<const Field> response, std::string_view name, std::string_view path,
                             std::int64_t now) noexcept;

}  // namespace remora
