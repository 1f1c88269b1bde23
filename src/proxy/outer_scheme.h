// How the client came to the first proxy, as proxies say it: one of a dozen fields, in two forms. Pure.
//
// X-Forwarded-Proto and `Forwarded: proto=` name a scheme; Traefik writes that of a WebSocket as `ws` or
// `wss` (traefik/traefik #6388), gunicorn knows `ssl`. X-Forwarded-Ssl and Front-End-Https say `on`.
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
/// Fields other than X-Forwarded-Proto and Forwarded.
SchemeField scheme_field(std::string_view name) noexcept;

/// https, wss and ssl are secure, http and ws are not; any other word says nothing.
std::optional<bool> secure_scheme(std::string_view scheme) noexcept;
/// on, 1, true and yes; off, 0, false and no.
std::optional<bool> secure_switch(std::string_view value) noexcept;

/// A value of such a field that agrees with `secure`: as it came if it does.
std::string_view agreeing(SchemeField form, std::string_view value, bool secure) noexcept;

}  // namespace remora
