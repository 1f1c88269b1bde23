#include "proxy/outer_scheme.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {
template <std::size_t n>
bool one_of(std::string_view word, const std::string_view (&list)[n]) noexcept {
  return std::any_of(std::begin(list), std::end(list), [&](std::string_view s) { return iequals(s, word); });
}
}  // namespace

SchemeField scheme_field(std::string_view name) noexcept {
  static constexpr std::string_view schemes[] = {"x-forwarded-scheme", "x-forwarded-protocol", "x-scheme",
                                                 "x-url-scheme", "cloudfront-forwarded-proto"};
  static constexpr std::string_view switches[] = {"x-forwarded-ssl", "x-forwarded-https", "front-end-https",
                                                  "fastly-ssl", "wl-proxy-ssl"};
  if (one_of(name, schemes)) return SchemeField::name;
  return one_of(name, switches) ? SchemeField::switch_ : SchemeField::none;
}

std::optional<bool> secure_scheme(std::string_view scheme) noexcept {
  static constexpr std::string_view secure[] = {"https", "wss", "ssl"}, plain[] = {"http", "ws"};
  if (one_of(scheme, secure)) return true;
  return one_of(scheme, plain) ? std::optional(false) : std::nullopt;
}

std::optional<bool> secure_switch(std::string_view value) noexcept {
  static constexpr std::string_view on[] = {"on", "1", "true", "yes"}, off[] = {"off", "0", "false", "no"};
  if (one_of(value, on)) return true;
  return one_of(value, off) ? std::optional(false) : std::nullopt;
}

std::string_view agreeing(SchemeField form, std::string_view value, bool secure) noexcept {
  if (form == SchemeField::none) return value;
  const bool name = form == SchemeField::name;
  const auto scheme_secure = name ? secure_scheme(value) : secure_switch(value);
  if (scheme_secure == secure && (!name || iequals(value, secure ? "https" : "http"))) return value;
  if (name) return secure ? "https" : "http";
  return secure ? "on" : "off";
}

}  // namespace remora
