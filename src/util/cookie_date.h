// Cookie dates (RFC 6265 5.1.1): the forms that browsers accept, which are more than HTTP's three.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace remora {

/// Seconds since 1970; nullopt if browsers would ignore the date. Pure, no allocation.
std::optional<std::int64_t> parse_cookie_date(std::string_view text) noexcept;

}  // namespace remora
