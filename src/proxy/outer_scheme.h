// The scheme that the client used toward the first proxy, as proxies report it: in one of a dozen fields, in
// two forms. Pure.
//
// X-Forwarded-Proto and `Forwarded: proto=` hold a scheme; Traefik writes `ws` or `wss` for a WebSocket
// (traefik/traefik #6388), gunicorn accepts `ssl`. X-Forwarded-Ssl and Front-End-Https hold `on`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace remora {

enum class SchemeField : std::uint8_t {
  none,
  name,     // X-Forwarded-Scheme, X-Scheme, ...: https
  switch_,  // X-Forwarded-Ssl, Front-End-Https, ...: on
};
/// The form of a field other than X-Forwarded-Proto and Forwarded; `none`: it carries no scheme.
SchemeField scheme_field(std::string_view name) noexcept;

/// https, wss and ssl are secure, http and ws are not; none: any other word.
std::optional<bool> secure_scheme(std::string_view scheme) noexcept;
/// True for on, 1, true, yes; false for off, 0, false, no; none: any other word.
std::optional<bool> secure_switch(std::string_view value) noexcept;

/// The value if it agrees with `secure`, else a corrected one. A form of `none` is returned unchanged.
std::string_view agreeing(SchemeField form, std::string_view value, bool secure) noexcept;

}  // namespace remora
